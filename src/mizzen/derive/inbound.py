"""What a sidecar serves: the ports that services send to its workload, and the protocol of each."""

from dataclasses import dataclass

from mizzen.config.resource import ResourceKey
from mizzen.derive.inputs import BY_NAMESPACE, ENTRIES_BY_ADDRESS, RESOURCES
from mizzen.derive.services import declared_services, service
from mizzen.derive.workloads import covers
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import Instance
from mizzen.model.service import Protocol, Resolution, ServicePort, ServiceRef
from mizzen.model.workload import NO_PORTS


@dataclass(frozen=True, slots=True)
class InboundPort:
    """A port on which a workload is called, by the first service (by name) that sends there, from its `service_port`."""

    number: int
    protocol: Protocol
    service: ServiceRef
    service_port: int


@dataclass(frozen=True, slots=True)
class InboundScope:
    """The whole input of what a workload serves: replicas share it."""

    namespace: str
    labels: FrozenMap[str, str] = EMPTY
    ports: FrozenMap[str, int] = NO_PORTS
    instances: tuple[Instance, ...] = ()


@query
def _selectors(db: Database, key: ResourceKey) -> tuple[tuple[ServiceRef, FrozenMap[str, str]], ...]:
    return tuple(
        (found.ref, found.selector)
        for found in declared_services(db, key)
        if found.selector and found.resolution is not Resolution.NONE
    )


@query
def services_of(db: Database, namespace: str, labels: FrozenMap[str, str]) -> tuple[ServiceRef, ...]:
    """The services of a namespace that select a workload with these labels."""
    keys = (*BY_NAMESPACE(db, ("Service", namespace)), *BY_NAMESPACE(db, ("ServiceEntry", namespace)))
    return tuple(ref for key in keys for ref, selector in _selectors(db, key) if covers(selector, labels))


@query
def instances_at(db: Database, namespace: str, address: str) -> tuple[Instance, ...]:
    """The services that name an address among their endpoints: ServiceEntries of the workload's own namespace, so that
    nobody can make a workload of another namespace serve ports (Istio's rule).
    """
    return tuple(
        Instance(found.ref, endpoint.ports)
        for key in ENTRIES_BY_ADDRESS(db, (namespace, address))
        if (resource := RESOURCES(db, key)) is not None
        for endpoint in resource.spec.endpoints
        if endpoint.address == address
        for found in declared_services(db, key)
        if found.resolution is not Resolution.NONE
    )


@query
def inbound_ports(db: Database, scope: InboundScope) -> tuple[InboundPort, ...]:
    """The ports on which a workload is called, by number."""
    found: dict[int, InboundPort] = {}
    selecting = (Instance(ref, scope.ports) for ref in services_of(db, scope.namespace, scope.labels))
    for instance in (*selecting, *scope.instances):
        declared = service(db, instance.service)
        for port in declared.ports if declared else ():
            number = target_port(port, instance.ports)
            if number is not None and port.protocol.is_stream:
                found.setdefault(number, InboundPort(number, port.protocol, instance.service, port.number))
    return tuple(found[number] for number in sorted(found))


def target_port(port: ServicePort, named_ports: FrozenMap[str, int]) -> int | None:
    """Where a workload serves a service's port: its own mapping for the port's name first (WorkloadEntry.ports),
    else the target; None where a named target is not among its ports.
    """
    own = named_ports.get(port.name)
    if own is not None:
        return own
    return port.target if isinstance(port.target, int) else named_ports.get(port.target)
