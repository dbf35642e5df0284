"""Services: from Kubernetes Services and ServiceEntries, and who may see them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.core import ServiceSpec as KubernetesService
from mizzen.config.types.core import ServiceType
from mizzen.config.types.networking import ServiceEntry
from mizzen.config.validation.hosts import is_subnet
from mizzen.derive.age import age
from mizzen.derive.hosts import service_host
from mizzen.derive.inputs import (
    BY_KIND,
    BY_NAMESPACE,
    RESOURCES,
    SERVICES_BY_HOST,
    TRAFFIC_DISTRIBUTION_ANNOTATION,
)
from mizzen.derive.mesh import exported, mesh_config
from mizzen.derive.namespaces import bounded_export, is_discovered
from mizzen.derive.protocols import port_protocol
from mizzen.frozen import EMPTY
from mizzen.incremental import Database, query
from mizzen.model.service import Resolution, Service, ServicePort, ServiceRef, TrafficDistribution
from mizzen.model.workload import Family, family_of

EXPORT_TO_ANNOTATION = "networking.istio.io/exportTo"


@query
def declared_services(db: Database, key: ResourceKey) -> tuple[Service, ...]:
    """The services that one object declares: a Service one, a ServiceEntry one per host."""
    resource = RESOURCES(db, key)
    if resource is None:
        return ()
    if isinstance(resource.spec, KubernetesService):
        return (_kubernetes_service(resource, resource.spec),)
    if isinstance(resource.spec, ServiceEntry):
        return tuple(_entry_services(db, resource, resource.spec))
    return ()


def _kubernetes_service(resource: Resource[KubernetesService], spec: KubernetesService) -> Service:
    key = resource.key
    annotation = resource.annotations.get(EXPORT_TO_ANNOTATION, "")
    cluster_ips = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    return Service(
        ref=ServiceRef(service_host(key.name, key.namespace), key.namespace, key),
        name=key.name,
        ports=tuple(
            ServicePort(
                name=port.name,
                number=port.port,
                target=port.target_port or port.port,
                protocol=port_protocol(port.name, port.app_protocol, port.protocol.value),
            )
            for port in spec.ports
        ),
        addresses=tuple(address for address in cluster_ips if address != "None"),
        headless="None" in cluster_ips,
        families=_families(spec, cluster_ips),
        external_name=spec.external_name if spec.type is ServiceType.EXTERNAL_NAME else "",
        selector=spec.selector,
        export_to=tuple(part.strip() for part in annotation.split(",") if part.strip()),
        traffic_distribution=_traffic_distribution(resource, spec.traffic_distribution),
        same_node_only=spec.internal_traffic_policy == "Local",
        publishes_not_ready=spec.publish_not_ready_addresses,
    )


def _families(spec: KubernetesService, cluster_ips: Iterable[str]) -> frozenset[Family]:
    """The IP families of a Service: those that it asks for, else those of its addresses; both where nothing says."""
    if spec.ip_family_policy in {"PreferDualStack", "RequireDualStack"}:
        return frozenset(Family)
    asked = [family for family in Family if family.value in spec.ip_families]
    return frozenset(asked or [family for each in cluster_ips if (family := family_of(each))] or Family)


def _traffic_distribution(resource: Resource[Any], declared: str = "") -> TrafficDistribution:
    """Istio's annotation, for platforms whose services have no such field, before the field. What is unknown is none."""
    named = resource.annotations.get(TRAFFIC_DISTRIBUTION_ANNOTATION, "") or declared
    return next((one for one in TrafficDistribution if one.value == named), TrafficDistribution.ANY)


def _entry_services(db: Database, resource: Resource[ServiceEntry], spec: ServiceEntry) -> Iterator[Service]:
    key = resource.key
    resolution = Resolution(spec.resolution.value)
    ports = tuple(
        ServicePort(
            name=port.name,
            number=port.number,
            target=port.target_port or (0 if resolution is Resolution.NONE else port.number),
            protocol=port_protocol(port.name, port.protocol),
        )
        for port in spec.ports
    )
    addresses, subnets = _addresses(spec.addresses)
    for host in spec.hosts:
        yield Service(
            ref=ServiceRef(host, key.namespace, key),
            name=host,
            ports=ports,
            addresses=addresses,
            subnets=subnets,
            resolution=resolution,
            mesh_external=spec.location.value == "MESH_EXTERNAL",
            selector=spec.workload_selector.labels if spec.workload_selector else EMPTY,
            export_to=bounded_export(db, spec.export_to, key.namespace),
            traffic_distribution=_traffic_distribution(resource),
            subject_alt_names=spec.subject_alt_names,
        )


def _addresses(given: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Single addresses, and subnets. A subnet of one address is that address (Istio's rule)."""
    networks = dict.fromkeys(ip_network(text, strict=False) for text in given if is_subnet(text))
    return (
        tuple(str(found.network_address) for found in networks if found.num_addresses == 1),
        tuple(str(found) for found in networks if found.num_addresses > 1),
    )


@query
def service(db: Database, ref: ServiceRef) -> Service | None:
    return next((found for found in declared_services(db, ref.source) if found.ref == ref), None)


Exported = tuple[ServiceRef, tuple[str, ...]]
"""A service, and its exportTo."""


@dataclass(frozen=True, slots=True)
class _Header:
    """What visibility depends on, apart from the rest: a changed port re-runs no visibility."""

    age: tuple[bool, str] = (True, "")
    services: tuple[Exported, ...] = ()
    stands_for: str = ""  # of an ExternalName Service: the host of another


@query
def _header(db: Database, key: ResourceKey) -> _Header:
    resource = RESOURCES(db, key)
    if resource is None or not is_discovered(db, key.namespace):
        return _Header()
    declared = declared_services(db, key)
    stands_for = next((found.external_name for found in declared if found.external_name), "")
    return _Header(age(resource)[:2], tuple((each.ref, each.export_to) for each in declared), stands_for)


def _in_order(db: Database, *kinds: Iterable[ResourceKey]) -> Iterator[_Header]:
    """Of several services with one host, who comes first has it (Istio's rule)."""
    for kind in kinds:
        keys = sorted((_header(db, key).age, key) for key in kind)
        yield from (_header(db, key) for _, key in keys)


@query
def all_services(db: Database) -> tuple[Exported, ...]:
    """Every service with its exportTo. Kubernetes Services come before ServiceEntries, the oldest of each first."""
    found = _in_order(db, BY_KIND(db, "Service"), BY_KIND(db, "ServiceEntry"))
    return tuple(entry for header in found for entry in header.services)


@query
def _callable_services(db: Database) -> tuple[Exported, ...]:
    """Those that are called by themselves, in the same order."""
    return _callable(db, BY_KIND(db, "Service"), BY_KIND(db, "ServiceEntry"))


@query
def _services_of_namespace(db: Database, owner: str) -> tuple[Exported, ...]:
    return _callable(db, BY_NAMESPACE(db, ("Service", owner)), BY_NAMESPACE(db, ("ServiceEntry", owner)))


@query
def services_of_host(db: Database, host: str) -> tuple[Exported, ...]:
    """Those of one host, in the same order."""
    keys = SERVICES_BY_HOST(db, host)
    kubernetes = [key for key in keys if key.kind == "Service"]
    found = _callable(db, kubernetes, [key for key in keys if key.kind != "Service"])
    return tuple((ref, export_to) for ref, export_to in found if ref.host == host)


def _callable(db: Database, *kinds: Iterable[ResourceKey]) -> tuple[Exported, ...]:
    return tuple(
        entry for header in _in_order(db, *kinds) if not header.stands_for for entry in header.services
    )


@query
def external_names(db: Database) -> tuple[tuple[Exported, str], ...]:
    """The ExternalName Services, and the host for which each stands, in lower case."""
    headers = (_header(db, key) for key in BY_KIND(db, "Service"))
    return tuple(
        (entry, header.stands_for.lower().rstrip("."))
        for header in headers
        if header.stands_for
        for entry in header.services
    )


@query
def exported_services(db: Database, namespace: str) -> tuple[ServiceRef, ...]:
    """The services that a namespace may see, before a Sidecar narrows them. Of those with one host the namespace's own
    come first.
    """
    return _seen_from(db, namespace, _callable_services(db))


@query
def exported_services_of(db: Database, owner: str, namespace: str) -> tuple[ServiceRef, ...]:
    """The services of namespace `owner` that `namespace` may see."""
    return _seen_from(db, namespace, _services_of_namespace(db, owner))


def exported_services_named(db: Database, host: str, namespace: str) -> tuple[ServiceRef, ...]:
    """The services with a host that a namespace may see."""
    return _seen_from(db, namespace, services_of_host(db, host))


def _seen_from(db: Database, namespace: str, services: Iterable[Exported]) -> tuple[ServiceRef, ...]:
    default = mesh_config(db).default_service_export_to
    seen = [ref for ref, to in services if exported(to, default, ref.namespace, namespace)]
    return tuple(sorted(seen, key=lambda ref: ref.namespace != namespace))
