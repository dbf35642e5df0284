"""Topology: where workloads stand, by the labels of their Nodes, of the root namespace and of their own."""

from collections.abc import Mapping

from mizzen.config.resource import ResourceKey
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.mesh import root_namespace
from mizzen.incremental import Database, query

LOCALITY_LABEL = "istio-locality"
NETWORK_LABEL = "topology.istio.io/network"
# region, zone, sub-zone: each by its name of today, else by that of old clusters.
_NODE_LABELS = (
    ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"),
    ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
    ("topology.istio.io/subzone",),
)


def labelled_locality(labels: Mapping[str, str]) -> str:
    """What a workload's own label says: labels hold no slash, so Istio takes dots ("eu.one.rack-7")."""
    found = labels.get(LOCALITY_LABEL, "")
    return found if "/" in found else found.replace(".", "/")


@query
def node_locality(db: Database, node: str) -> str:
    """region/zone/sub-zone of a Node, "" where it has none."""
    resource = RESOURCES(db, ResourceKey("Node", "", node)) if node else None
    if resource is None:
        return ""
    parts = (next(filter(None, map(resource.labels.get, names)), "") for names in _NODE_LABELS)
    return "/".join(parts).rstrip("/")


def network_of(db: Database, labels: Mapping[str, str]) -> str:
    """The network of a workload: its own label, else that of the root namespace, which names the cluster's."""
    return labels.get(NETWORK_LABEL) or _default_network(db)


@query
def _default_network(db: Database) -> str:
    resource = RESOURCES(db, ResourceKey("Namespace", "", root_namespace(db)))
    return resource.labels.get(NETWORK_LABEL, "") if resource is not None else ""
