"""The inputs: everything that the daemon sets from outside. All else is derived."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.core import Service
from mizzen.config.types.networking import ServiceEntry, WorkloadEntry
from mizzen.derive.hosts import service_host
from mizzen.incremental import Index, Input

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


def _kind(key: ResourceKey, _: Resource[Any]) -> tuple[str]:
    return (key.kind,)


def _kind_and_namespace(key: ResourceKey, _: Resource[Any]) -> tuple[tuple[str, str]]:
    return ((key.kind, key.namespace),)


def _workload_labels(key: ResourceKey, resource: Resource[Any]) -> Iterable[tuple[str, str, str]]:
    if isinstance(resource.spec, WorkloadEntry):
        for name, value in workload_labels(resource).items():
            yield key.namespace, name, value


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
    """Labels of a WorkloadEntry: those of its spec over those of its metadata, as Istio merges them."""
    return {**resource.labels, **resource.spec.labels}


BY_KIND = Index("resource_by_kind", RESOURCES, _kind)
BY_NAMESPACE = Index("resource_by_kind_and_namespace", RESOURCES, _kind_and_namespace)
WORKLOADS_BY_LABEL = Index("workload_by_label", RESOURCES, _workload_labels)
"""(namespace, label, value) -> WorkloadEntries: a new workload concerns only the services that may select it."""
ENTRIES_BY_ADDRESS = Index("service_entry_by_address", RESOURCES, _entry_addresses)
"""(namespace, address) -> the ServiceEntries of a namespace that have an endpoint there."""

SERVICES_BY_HOST = Index("service_by_host", RESOURCES, _service_hosts)
"""host -> Services and ServiceEntries that declare it: a new service concerns only those who ask for its host."""
