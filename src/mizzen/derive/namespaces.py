"""Namespaces: which of them the mesh looks at, and how far their ServiceEntries reach."""

from mizzen.config.resource import ResourceKey
from mizzen.config.types.mesh import MatchRule, Visibility
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.mesh import exported, mesh_config
from mizzen.derive.selectors import selects
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query

_NAME_LABEL = "kubernetes.io/metadata.name"  # Kubernetes gives it to every namespace


@query
def namespace_labels(db: Database, namespace: str) -> FrozenMap[str, str]:
    """The labels of a namespace, whether or not there is an object for it."""
    resource = RESOURCES(db, ResourceKey("Namespace", "", namespace))
    labels = resource.labels if resource is not None else {}
    return FrozenMap({**labels, _NAME_LABEL: namespace})


@query
def is_discovered(db: Database, namespace: str) -> bool:
    """Whether MeshConfig.discoverySelectors let the mesh look at a namespace: any of them must, and without any all are
    looked at. What is in other namespaces, services and configuration, is as if it were not there.
    """
    selectors = mesh_config(db).discovery_selectors
    return not selectors or any(selects(selector, namespace_labels(db, namespace)) for selector in selectors)


@query
def service_entry_visibility(db: Database, namespace: str) -> Visibility:
    """How far ServiceEntries of a namespace may reach: the first policy of MeshConfig.serviceEntryVisibility whose rules
    all match, else its default. Sidecars heed it only where it says so (Istio's rule: it was made for ambient).
    """
    setting = mesh_config(db).service_entry_visibility
    if setting is None or not setting.apply_to_sidecars:
        return Visibility.PUBLIC
    for policy in setting.policies:
        if all(_matches(db, rule, namespace) for rule in policy.matching_rules):
            return policy.visibility
    return setting.default_visibility


def _matches(db: Database, rule: MatchRule, namespace: str) -> bool:
    """A rule that says nothing matches nothing."""
    selector = rule.namespace_selector
    return selector is not None and selects(selector, namespace_labels(db, namespace))


def bounded_export(db: Database, export_to: tuple[str, ...], namespace: str) -> tuple[str, ...]:
    """The exportTo of a ServiceEntry within what its namespace may reach."""
    visibility = service_entry_visibility(db, namespace)
    if visibility is Visibility.NONE:
        return _TO_NOBODY
    if visibility is not Visibility.NAMESPACE:
        return export_to
    default = mesh_config(db).default_service_export_to
    return (".",) if exported(export_to, default, namespace, namespace) else _TO_NOBODY


_TO_NOBODY = ("~",)
