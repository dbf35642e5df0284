"""Does an AuthorizationPolicy hold for some workload, and do the namespaces that it names exist?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.selectors import selector_text
from mizzen.analysis.workloads import in_mesh, selected
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path, Resource
from mizzen.config.types.security import AuthorizationPolicy
from mizzen.derive.inputs import BY_KIND
from mizzen.derive.mesh import root_namespace
from mizzen.frozen import EMPTY
from mizzen.incremental import Database, query


@analyzer("AuthorizationPolicy", codes="IST0101 IST0127")
def authorization_policies(db: Database, resource: Resource[AuthorizationPolicy]) -> Findings:
    yield from _workloads(db, resource)
    for rule_index, rule in enumerate(resource.spec.rules):
        for from_index, origin in enumerate(rule.from_):
            if origin.source is not None:
                path = ("spec", "rules", rule_index, "from", from_index, "source")
                yield from _namespaces(db, origin.source.namespaces, (*path, "namespaces"))
                yield from _namespaces(db, origin.source.not_namespaces, (*path, "notNamespaces"))


def _workloads(db: Database, resource: Resource[AuthorizationPolicy]) -> Findings:
    spec, owner = resource.spec, resource.key.namespace
    mesh_wide = owner == root_namespace(db)
    if spec.target_ref is not None or spec.target_refs or (mesh_wide and spec.selector is None):
        return
    labels = spec.selector.match_labels if spec.selector else EMPTY
    if any(in_mesh(db, key) for key in selected(db, "" if mesh_wide else owner, labels)):
        return
    where = "the mesh" if mesh_wide else owner
    having = f" with the labels {selector_text(labels)}" if labels else ""
    path: Path = ("spec", "selector") if spec.selector else ("spec",)
    hint = "correct the selector or the namespace, or start a workload with a sidecar"
    yield Finding("IST0127", path, f"{where} has no workload{having}: the policy holds for none", hint)


def _namespaces(db: Database, patterns: tuple[str, ...], path: Path) -> Findings:
    for index, pattern in enumerate(patterns):
        if not _any_namespace(db, pattern.lower()):
            message = f'there is no namespace "{pattern}"'
            yield Finding("IST0101", (*path, index), message, "create it or correct the name")


@query
def _any_namespace(db: Database, pattern: str) -> bool:
    """Whether a namespace matches: "*", "prefix*", "*suffix" or a name."""
    names = (key.name.lower() for key in BY_KIND(db, "Namespace"))
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return any(name.endswith(pattern[1:]) for name in names)
    if pattern.endswith("*"):
        return any(name.startswith(pattern[:-1]) for name in names)
    return pattern in names
