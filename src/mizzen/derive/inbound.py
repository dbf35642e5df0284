"""What a sidecar serves: the ports that services send to its workload, and the protocol of each."""

from dataclasses import dataclass

from mizzen.config.resource import ResourceKey
from mizzen.derive.inputs import BY_NAMESPACE
from mizzen.derive.services import declared_services, service
from mizzen.derive.workloads import covers
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.service import Protocol, Resolution, ServicePort, ServiceRef


@dataclass(frozen=True, slots=True)
class InboundPort:
    """A port on which a workload is called, by the first service (by name) that sends there."""

    number: int
    protocol: Protocol
    service: ServiceRef


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
def inbound_ports(
    db: Database, namespace: str, labels: FrozenMap[str, str], named_ports: FrozenMap[str, int]
) -> tuple[InboundPort, ...]:
    """The ports on which a workload is called, by number."""
    found: dict[int, InboundPort] = {}
    for ref in services_of(db, namespace, labels):
        declared = service(db, ref)
        for port in declared.ports if declared else ():
            number = target_port(port, named_ports)
            if number is not None and port.protocol.is_stream:
                found.setdefault(number, InboundPort(number, port.protocol, ref))
    return tuple(found[number] for number in sorted(found))


def target_port(port: ServicePort, named_ports: FrozenMap[str, int]) -> int | None:
    """Where a workload serves a service's port: its own mapping for the port's name first (WorkloadEntry.ports),
    else the target; None where a named target is not among its ports.
    """
    own = named_ports.get(port.name)
    if own is not None:
        return own
    return port.target if isinstance(port.target, int) else named_ports.get(port.target)
