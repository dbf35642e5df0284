"""Mesh-wide settings: MeshConfig over its defaults, and what an exportTo means."""

from mizzen.config.resource import Resource
from mizzen.config.types.mesh import MeshConfig
from mizzen.derive.inputs import BY_KIND, RESOURCES, SETTINGS, MeshSettings
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, query


@query
def mesh_config(db: Database) -> MeshConfig:
    """The MeshConfig in force: the first by name where there are several, the defaults where there is none."""
    found = _in_force(db)
    return found.spec if found else MeshConfig()


@query
def mesh_annotations(db: Database) -> FrozenMap[str, str]:
    """Those of the MeshConfig in force."""
    found = _in_force(db)
    return found.annotations if found else EMPTY


def _in_force(db: Database) -> Resource[MeshConfig] | None:
    resources = (RESOURCES(db, key) for key in BY_KIND(db, "MeshConfig"))
    return next((one for one in resources if one is not None and isinstance(one.spec, MeshConfig)), None)


@query
def root_namespace(db: Database) -> str:
    """Istio's root namespace: policies there apply to the whole mesh."""
    return mesh_config(db).root_namespace


@query
def trust_domain(db: Database) -> str:
    return (SETTINGS(db, "mesh") or MeshSettings()).trust_domain


@query
def trust_domains(db: Database) -> tuple[str, ...]:
    """The mesh's own trust domain first, then its aliases."""
    own = trust_domain(db)
    return (own, *(alias for alias in mesh_config(db).trust_domain_aliases if alias != own))


def exported(export_to: tuple[str, ...], default: tuple[str, ...], owner: str, namespace: str) -> bool:
    """Whether an object of namespace `owner` is visible in `namespace` (Istio's exportTo: ".", "*", "~", or names)."""
    for scope in export_to or default or ("*",):
        if scope in {"*", namespace} or (scope == "." and owner == namespace):
            return True
    return False
