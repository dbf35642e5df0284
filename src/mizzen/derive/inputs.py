"""The inputs: everything that the daemon sets from outside. All else is derived."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.core import Service
from mizzen.config.types.kubernetes import EndpointSlice, PodSpec, PodStatus
from mizzen.config.types.networking import ServiceEntry, WorkloadEntry
from mizzen.derive.hosts import service_host
from mizzen.incremental import Index, Input

TRAFFIC_DISTRIBUTION_ANNOTATION = "networking.istio.io/traffic-distribution"
SERVICE_NAME_LABEL = "kubernetes.io/service-name"  # of an EndpointSlice

RESOURCES: Input[ResourceKey, Resource[Any]] = Input("resource")
"""Every object of the configuration, valid and in force."""


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """What the daemon is started with and configuration cannot change."""

    trust_domain: str = "cluster.local"


SETTINGS: Input[str, MeshSettings] = Input("mesh_settings")
"""One entry, under the key "mesh"."""

UNHEALTHY: Input[ResourceKey, str] = Input("unhealthy_workload")
"""Workloads that must get no traffic, with the reason: their agent drains or reports a failed probe."""


@dataclass(frozen=True, slots=True, order=True)
class KeySource:
    """Where the keys of an issuer are to be fetched. `discovered`: the URI leads to the document that names their URI."""

    uri: str
    discovered: bool = False


KEY_SETS: Input[KeySource, str] = Input("key_set")
"""The JSON Web Key Sets that the daemon has fetched."""

DRAINING = "draining"
"""The reason of a workload that is about to end."""


def _kind(key: ResourceKey, _: Resource[Any]) -> tuple[str]:
    return (key.kind,)


def _kind_and_namespace(key: ResourceKey, _: Resource[Any]) -> tuple[tuple[str, str]]:
    return ((key.kind, key.namespace),)


def _workload_labels(key: ResourceKey, resource: Resource[Any]) -> Iterable[tuple[str, str, str, str]]:
    if isinstance(resource.spec, WorkloadEntry | PodSpec):
        for name, value in workload_labels(resource).items():
            yield key.kind, key.namespace, name, value


def _pod_addresses(_: ResourceKey, resource: Resource[Any]) -> Iterable[str]:
    if isinstance(resource.spec, PodSpec) and not resource.spec.host_network:
        yield from pod_addresses(resource)


def _by_node(_: ResourceKey, resource: Resource[Any]) -> Iterable[tuple[()]]:
    if isinstance(resource.spec, Service):
        own = (resource.spec.traffic_distribution, resource.annotations.get(TRAFFIC_DISTRIBUTION_ANNOTATION))
        if resource.spec.internal_traffic_policy == "Local" or "PreferSameNode" in own:
            yield ()


def pod_addresses(resource: Resource[Any]) -> tuple[str, ...]:
    """The addresses of a Pod, the first first; none before it has any."""
    status = resource.observed
    if not isinstance(status, PodStatus):
        return ()
    found = (status.pod_ip, *(each.ip for each in status.pod_ips))
    return tuple(dict.fromkeys(address for address in found if address))


def _slice_service(key: ResourceKey, resource: Resource[Any]) -> Iterable[tuple[str, str]]:
    if isinstance(resource.spec, EndpointSlice):
        yield key.namespace, resource.labels.get(SERVICE_NAME_LABEL, "")


def _entry_addresses(key: ResourceKey, resource: Resource[Any]) -> Iterable[tuple[str, str]]:
    if isinstance(resource.spec, ServiceEntry):
        for endpoint in resource.spec.endpoints:
            yield key.namespace, endpoint.address


def _service_hosts(key: ResourceKey, resource: Resource[Any]) -> Iterable[str]:
    if isinstance(resource.spec, Service):
        yield service_host(key.name, key.namespace)
    elif isinstance(resource.spec, ServiceEntry):
        yield from resource.spec.hosts


def workload_labels(resource: Resource[Any]) -> dict[str, str]:
    """Labels of a Pod; of a WorkloadEntry those of its spec over those of its metadata, as Istio merges them."""
    own = resource.spec.labels if isinstance(resource.spec, WorkloadEntry) else {}
    return {**resource.labels, **own}


BY_KIND = Index("resource_by_kind", RESOURCES, _kind)
BY_NAMESPACE = Index("resource_by_kind_and_namespace", RESOURCES, _kind_and_namespace)
WORKLOADS_BY_LABEL = Index("workload_by_label", RESOURCES, _workload_labels)
"""(kind, namespace, label, value) -> workloads: a new one concerns only the services that may select it."""

SERVICES_BY_NODE = Index("service_by_node", RESOURCES, _by_node)
"""() -> the Services whose endpoints depend on the node of the caller: mostly there is none."""

PODS_BY_ADDRESS = Index("pod_by_address", RESOURCES, _pod_addresses)

SLICES_BY_SERVICE = Index("endpoint_slice_by_service", RESOURCES, _slice_service)
"""(namespace, name of a Service) -> its EndpointSlices."""

ENTRIES_BY_ADDRESS = Index("service_entry_by_address", RESOURCES, _entry_addresses)
"""(namespace, address) -> the ServiceEntries of a namespace that have an endpoint there."""

SERVICES_BY_HOST = Index("service_by_host", RESOURCES, _service_hosts)
"""host -> Services and ServiceEntries that declare it: a new service concerns only those who ask for its host."""
