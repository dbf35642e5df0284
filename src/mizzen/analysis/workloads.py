"""Workloads as analysis sees them: Pods, WorkloadEntries, and the templates of Deployments and their kin.

A folder of configuration mostly holds templates, not the Pods that come of them; they count as one workload each.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mizzen.analysis.kubernetes import has_proxy, injection_switch, pod_template
from mizzen.analysis.objects import labels_of, namespace_labels, spec_of
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.core import Protocol, ServiceSpec
from mizzen.config.types.kubernetes import PodSpec
from mizzen.config.types.networking import Sidecar, WorkloadEntry
from mizzen.config.types.telemetry import Telemetry
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.inputs import workload_labels as entry_labels
from mizzen.derive.workloads import covers
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, Index, query

AMBIENT_REDIRECTION: Final = "ambient.istio.io/redirection"

# What Kubernetes writes on nodes and Istio copies to the workloads on them.
_TOPOLOGY = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")
_HOSTNAME = "kubernetes.io/hostname"

_ALL = ("", "")  # the label of the bucket that holds every workload


def _own_labels(resource: Resource[Any]) -> Mapping[str, str] | None:
    """The labels of the workload that an object is or makes; None: it is none."""
    if isinstance(resource.spec, PodSpec):
        return resource.labels
    if isinstance(resource.spec, WorkloadEntry):
        return entry_labels(resource)
    template = pod_template(resource)
    return None if template is None else template.labels


def _labelled(key: ResourceKey, resource: Resource[Any]) -> Iterator[tuple[str, str, str]]:
    labels = _own_labels(resource)
    if labels is not None:
        for name, value in (_ALL, *labels.items()):
            yield "", name, value
            yield key.namespace, name, value


BY_LABEL = Index("analysed_workload_by_label", RESOURCES, _labelled)
"""(namespace or "" for all, label, value) -> workloads."""


@query
def workload_labels(db: Database, key: ResourceKey) -> FrozenMap[str, str]:
    """A workload's labels, with the topology of the node that a Pod runs on."""
    resource = RESOURCES(db, key)
    labels = None if resource is None else _own_labels(resource)
    if resource is None or labels is None:
        return EMPTY
    node = resource.spec.node_name if isinstance(resource.spec, PodSpec) else ""
    if not node:
        return FrozenMap(labels)
    of_node = labels_of(db, ResourceKey("Node", "", node))
    topology = {name: of_node[name] for name in _TOPOLOGY if of_node.get(name)}
    return FrozenMap({**labels, **topology, **({_HOSTNAME: node} if of_node else {})})


@query
def selected(db: Database, namespace: str, selector: FrozenMap[str, str]) -> tuple[ResourceKey, ...]:
    """The workloads of a namespace ("": of all) that a selector picks. An empty one picks all, as in Istio.

    Only the workloads with the selector's rarest label are looked at. Labels that come from nodes are in no bucket.
    """
    own = [item for item in selector.items() if item[0] not in _TOPOLOGY and item[0] != _HOSTNAME]
    found = min((BY_LABEL(db, (namespace, *item)) for item in own or [_ALL]), key=len)
    return tuple(key for key in found if covers(selector, workload_labels(db, key)))


@query
def in_mesh(db: Database, key: ResourceKey) -> bool:
    """Whether a workload has a proxy, or will get one. Source: Istio's rules of injection."""
    resource = RESOURCES(db, key)
    if resource is None or isinstance(resource.spec, WorkloadEntry):
        return resource is not None
    pod, labels, annotations = _pod(resource)
    if pod is None:
        return False
    if has_proxy(pod) or annotations.get(AMBIENT_REDIRECTION) == "enabled":
        return True
    switch = injection_switch(labels, annotations)
    if switch is not None:
        return switch
    return injects(namespace_labels(db, key.namespace) or EMPTY)


def injects(labels: Mapping[str, str]) -> bool:
    """Whether a namespace with these labels injects sidecars."""
    legacy = labels.get("istio-injection")
    return legacy == "enabled" if legacy is not None else "istio.io/rev" in labels


def _pod(resource: Resource[Any]) -> tuple[PodSpec | None, Mapping[str, str], Mapping[str, str]]:
    if isinstance(resource.spec, PodSpec):
        return resource.spec, resource.labels, resource.annotations
    template = pod_template(resource)
    return (None, EMPTY, EMPTY) if template is None else (template.pod, template.labels, template.annotations)


def _selector_of(resource: Resource[Any]) -> FrozenMap[str, str]:
    """The labels by which an object picks workloads of its namespace; EMPTY: it does not pick by label."""
    spec = resource.spec
    if isinstance(spec, ServiceSpec):
        return spec.selector
    if isinstance(spec, Sidecar):
        return spec.workload_selector.labels if spec.workload_selector else EMPTY
    return spec.selector.match_labels if isinstance(spec, Telemetry) and spec.selector else EMPTY


def _first_label(key: ResourceKey, resource: Resource[Any]) -> Iterator[tuple[str, str, str, str]]:
    if selector := _selector_of(resource):
        yield key.kind, key.namespace, *min(selector.items())


BY_SELECTOR = Index("picker_by_first_label", RESOURCES, _first_label)


@query
def pickers(db: Database, kind: str, workload: ResourceKey) -> tuple[ResourceKey, ...]:
    """The objects of a kind (Service, Sidecar, Telemetry) that pick a workload by label, in its own namespace."""
    labels = workload_labels(db, workload)
    buckets = ((kind, workload.namespace, *item) for item in sorted(labels.items()))
    near = (key for bucket in buckets for key in BY_SELECTOR(db, bucket))
    return tuple(sorted(key for key in near if covers(_selector(db, key), labels)))


@query
def _selector(db: Database, key: ResourceKey) -> FrozenMap[str, str]:
    resource = RESOURCES(db, key)
    return EMPTY if resource is None else _selector_of(resource)


@query
def reachable_ports(db: Database, key: ResourceKey) -> frozenset[int]:
    """The ports at which a workload can be reached through Services: as callers know them, and as the workload does.

    A gateway listens on the target of the Service's port that it names, so both numbers name the port.
    """
    ports = set()
    for service in pickers(db, "Service", key):
        spec = spec_of(db, service, ServiceSpec)
        for port in spec.ports if spec is not None else ():
            if port.protocol is Protocol.TCP:
                ports.add(port.port)
                if isinstance(port.target_port, int):
                    ports.add(port.target_port)
    return frozenset(ports)


@query
def ambient(db: Database, key: ResourceKey) -> bool:
    """Whether a workload is in ambient mode: its traffic goes through the node's proxy, not through a sidecar."""
    resource = RESOURCES(db, key)
    return resource is not None and resource.annotations.get(AMBIENT_REDIRECTION) == "enabled"


def ambient_namespace(db: Database, namespace: str) -> bool:
    """Whether a namespace is in ambient mode; sidecar injection wins over it."""
    labels = namespace_labels(db, namespace) or EMPTY
    return labels.get("istio.io/dataplane-mode") == "ambient" and not injects(labels)
