"""Services: from Kubernetes Services and ServiceEntries, and who may see them."""

from collections.abc import Iterator

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.core import ServiceSpec as KubernetesService
from mizzen.config.types.core import ServiceType
from mizzen.config.types.networking import ServiceEntry
from mizzen.derive.hosts import service_host
from mizzen.derive.inputs import BY_KIND, RESOURCES
from mizzen.derive.mesh import exported, mesh_config
from mizzen.derive.protocols import port_protocol
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope
from mizzen.model.service import Resolution, Service, ServicePort, ServiceRef

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
        return tuple(_entry_services(resource, resource.spec))
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
        external_name=spec.external_name if spec.type is ServiceType.EXTERNAL_NAME else "",
        selector=spec.selector,
        export_to=tuple(part.strip() for part in annotation.split(",") if part.strip()),
    )


def _entry_services(resource: Resource[ServiceEntry], spec: ServiceEntry) -> Iterator[Service]:
    key = resource.key
    resolution = Resolution(spec.resolution.value)
    ports = tuple(
        ServicePort(
            name=port.name,
            number=port.number,
            target=port.target_port or port.number,
            protocol=port_protocol(port.name, port.protocol),
        )
        for port in spec.ports
    )
    for host in spec.hosts:
        yield Service(
            ref=ServiceRef(host, key.namespace, key),
            name=host,
            ports=ports,
            addresses=tuple(address for address in spec.addresses if "/" not in address),
            resolution=resolution,
            mesh_external=spec.location.value == "MESH_EXTERNAL",
            selector=spec.workload_selector.labels if spec.workload_selector else EMPTY,
            export_to=spec.export_to,
            subject_alt_names=spec.subject_alt_names,
        )


@query
def service(db: Database, ref: ServiceRef) -> Service | None:
    return next((found for found in declared_services(db, ref.source) if found.ref == ref), None)


@query
def _header(db: Database, key: ResourceKey) -> tuple[tuple[ServiceRef, tuple[str, ...]], ...]:
    """What visibility depends on, apart from the rest: a changed port re-runs no visibility."""
    return tuple((found.ref, found.export_to) for found in declared_services(db, key))


@query
def all_services(db: Database) -> tuple[tuple[ServiceRef, tuple[str, ...]], ...]:
    """Every service with its exportTo. Kubernetes Services come before ServiceEntries of the same host, then by name."""
    keys = (*BY_KIND(db, "Service"), *BY_KIND(db, "ServiceEntry"))
    return tuple(entry for key in keys for entry in _header(db, key))


@query
def visible_services(db: Database, scope: OutboundScope) -> tuple[ServiceRef, ...]:
    """The services that a proxy of a scope can call. Of several with one host the namespace's own wins, then
    the first (Istio's rule).
    """
    return exported_services(db, scope.namespace)


@query
def exported_services(db: Database, namespace: str) -> tuple[ServiceRef, ...]:
    """The services that a namespace may see, before a Sidecar narrows them."""
    default = mesh_config(db).default_service_export_to
    chosen: dict[str, ServiceRef] = {}
    for ref, export_to in all_services(db):
        if not exported(export_to, default, ref.namespace, namespace):
            continue
        held = chosen.get(ref.host)
        if held is None or (ref.namespace == namespace and held.namespace != namespace):
            chosen[ref.host] = ref
    return tuple(sorted(chosen.values(), key=lambda ref: (ref.host, ref.namespace)))


@query
def visible_hosts(db: Database, scope: OutboundScope) -> FrozenMap[str, ServiceRef]:
    """The same by host."""
    return FrozenMap({ref.host: ref for ref in visible_services(db, scope)})
