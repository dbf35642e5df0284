"""The settings of the mesh as Kubernetes holds them: YAML inside of a ConfigMap named istio, or istio-REVISION."""

from dataclasses import dataclass
from typing import Any, TypeVar

from mizzen.config.conform import conform
from mizzen.config.diagnostics import Finding
from mizzen.config.documents import DocumentError, split
from mizzen.config.resource import Path, ResourceKey
from mizzen.config.types.kubernetes import ConfigMap
from mizzen.config.types.mesh import MeshConfig, MeshNetworks
from mizzen.config.types.message import Message

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """What a ConfigMap says of the mesh. A part that is not there, or has errors, is None."""

    mesh: MeshConfig | None = None
    networks: MeshNetworks | None = None
    findings: tuple[Finding, ...] = ()  # paths lead into the text: ("data", "mesh", "trustDomain")


def holds_mesh_settings(key: ResourceKey, root_namespace: str = "istio-system") -> bool:
    """Whether the object is the ConfigMap that Istio reads, of any revision."""
    is_named_so = key.name == "istio" or key.name.startswith("istio-")
    return key.kind == "ConfigMap" and key.namespace == root_namespace and is_named_so


def mesh_settings(config_map: ConfigMap) -> MeshSettings:
    """The settings in `data.mesh` and `data.meshNetworks`. Never raises on bad input."""
    findings: list[Finding] = []
    mesh = _part(config_map, "mesh", MeshConfig, findings)
    networks = _part(config_map, "meshNetworks", MeshNetworks, findings)
    return MeshSettings(mesh, networks, tuple(findings))


def _part(config_map: ConfigMap, name: str, wanted: type[M], findings: list[Finding]) -> M | None:
    if name not in config_map.data:
        return None
    path: Path = ("data", name)
    try:
        value = _value(config_map.data[name])
    except DocumentError as error:
        message = f"line {error.line} of the text: {error.message}"
        findings.append(Finding(error.code, path, message, error.hint))
        return None
    found = conform({} if value is None else value, wanted, path)
    if isinstance(found, tuple):
        findings.extend(found)
        return None
    return found


def _value(text: str) -> Any:
    """The first document that says something; None where there is none."""
    values = (document.value() for document in split(text, ""))
    return next((value for value in values if value is not None), None)
