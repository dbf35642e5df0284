"""What a sidecar serves: the ports on which its workload is called, and the protocol of each."""

from collections.abc import Iterator
from dataclasses import dataclass

from mizzen.config.resource import ResourceKey
from mizzen.config.types.mesh import InboundTrafficMode
from mizzen.config.types.networking import (
    CaptureMode,
    ConnectionPoolSettings,
    IstioIngressListener,
    ServerTLSMode,
    ServerTLSSettings,
)
from mizzen.config.types.security import MutualTLSMode
from mizzen.derive.authentication import mutual_tls_mode
from mizzen.derive.inputs import BY_NAMESPACE, ENTRIES_BY_ADDRESS, RESOURCES
from mizzen.derive.mesh import mesh_config
from mizzen.derive.protocols import port_protocol
from mizzen.derive.services import declared_services, service
from mizzen.derive.sidecars import sidecar, sidecar_for
from mizzen.derive.workloads import covers
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import Instance
from mizzen.model.service import Protocol, Resolution, ServicePort, ServiceRef
from mizzen.model.workload import NO_PORTS

_LOCALHOST = "127.0.0.1"
_ENDS_TLS = frozenset({ServerTLSMode.SIMPLE, ServerTLSMode.MUTUAL, ServerTLSMode.OPTIONAL_MUTUAL})
_UNIX = "unix://"
_OWN_ADDRESS = frozenset({"", "0.0.0.0", "[::]"})  # noqa: S104  # as users write the workload's own address


@dataclass(frozen=True, slots=True)
class InboundPort:
    """A port on which a workload is called.

    `service` is the first service (by name) that sends there, `service_port` the number by which it is called; None
    and 0 where only a Sidecar opens the port.
    """

    number: int
    protocol: Protocol
    source: ResourceKey  # the object that declares it
    service: ServiceRef | None = None
    service_port: int = 0
    ingress: int | None = None  # the index in the Sidecar's `ingress`


@dataclass(frozen=True, slots=True)
class InboundScope:
    """The whole input of what a workload serves: replicas share it."""

    namespace: str
    labels: FrozenMap[str, str] = EMPTY
    ports: FrozenMap[str, int] = NO_PORTS
    container_ports: FrozenMap[str, int] = NO_PORTS
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


def inbound_port(db: Database, scope: InboundScope, number: int) -> InboundPort:
    """Raises LookupError where the workload has no such port."""
    for port in inbound_ports(db, scope):
        if port.number == number:
            return port
    raise LookupError(f"{number} is not called")


def instances(db: Database, scope: InboundScope) -> tuple[Instance, ...]:
    """A workload as an endpoint: of the services that select it, and of those that name its address."""
    selecting = (Instance(ref, scope.ports) for ref in services_of(db, scope.namespace, scope.labels))
    return (*selecting, *scope.instances)


@query
def inbound_ports(db: Database, scope: InboundScope) -> tuple[InboundPort, ...]:
    """The ports on which a workload is called, by number: those of its Sidecar's `ingress` where it has any (what else
    its services send there is then undeclared, as in Istio), else those of its services.
    """
    called = {port.number: port for port in _called_ports(db, scope)}
    key = sidecar_for(db, scope.namespace, scope.labels)
    opened = {port.number: port for port in _opened_ports(db, key, called)} if key else {}
    found = opened or called
    return tuple(found[number] for number in sorted(found))


def _called_ports(db: Database, scope: InboundScope) -> Iterator[InboundPort]:
    """What services send to, the first of a number last."""
    for instance in reversed(instances(db, scope)):
        ref = instance.service
        declared = service(db, ref)
        for port in reversed(declared.ports if declared else ()):
            number = target_port(port, instance.ports, scope.container_ports)
            if number is not None and port.protocol.is_stream:
                yield InboundPort(number, port.protocol, ref.source, ref, port.number)


def _opened_ports(db: Database, key: ResourceKey, called: dict[int, InboundPort]) -> Iterator[InboundPort]:
    """What a Sidecar opens. The service that sends to the same port gives its settings."""
    spec = sidecar(db, key)
    for index, listener in enumerate(spec.ingress if spec else ()):
        port = listener.port
        protocol = port_protocol(port.name, port.protocol)
        if protocol.is_stream:
            of = called.get(port.number)
            service, service_port = (of.service, of.service_port) if of else (None, 0)
            yield InboundPort(port.number, protocol, key, service, service_port, index)


def target_port(
    port: ServicePort, own: FrozenMap[str, int], container_ports: FrozenMap[str, int] = NO_PORTS
) -> int | None:
    """Where a workload serves a service's port: its own mapping for the port's name first (WorkloadEntry.ports), else the
    target; None where a named target is not among its ports.
    """
    if port.name in own:
        return own[port.name]
    if isinstance(port.target, int):
        return port.target
    return own.get(port.target, container_ports.get(port.target))


# --- what a Sidecar says about a port -------------------------------------------------------------------------


def ingress(db: Database, port: InboundPort) -> IstioIngressListener | None:
    """The Sidecar's listener of a port; None where a service declares the port."""
    spec = sidecar(db, port.source) if port.ingress is not None else None
    return spec.ingress[port.ingress] if spec and port.ingress is not None else None


@dataclass(frozen=True, slots=True)
class Application:
    """Where the proxy hands on what it takes at a port. `address` is "" for that to which the caller connected, or names a
    unix socket ("unix:///path").
    """

    address: str
    port: int


def application(db: Database, port: InboundPort) -> Application:
    """A Sidecar's `defaultEndpoint`; else the port itself, at the address that MeshConfig's inboundTrafficPolicy says.

    Where callers connect to the proxy itself, the application is at localhost.
    """
    opened = ingress(db, port)
    text = opened.default_endpoint if opened else ""
    if text.startswith(_UNIX):
        return Application(text, port.number)
    address, _, number = text.rpartition(":")
    local = not number and mesh_config(db).inbound_traffic_policy.mode is InboundTrafficMode.LOCALHOST
    if local or (address in _OWN_ADDRESS and own_address(db, port)):
        address = _LOCALHOST
    elif address in _OWN_ADDRESS:
        address = ""
    return Application(address.strip("[]"), int(number or port.number))


def own_address(db: Database, port: InboundPort) -> str:
    """The address to which the proxy itself binds a port; "" where its traffic is captured."""
    opened = ingress(db, port)
    if opened is None or opened.capture_mode is not CaptureMode.NONE:
        return ""
    return opened.bind or "0.0.0.0"  # noqa: S104  # captureMode NONE without bind: whatever the workload's address is


def own_tls(db: Database, scope: InboundScope, port: InboundPort) -> ServerTLSSettings | None:
    """TLS that the proxy ends at a port with certificates of the workload's own (a Sidecar's `ingress[].tls`). The mesh's
    mTLS goes first: what PeerAuthentication asks for, no Sidecar can undo (Istio's rule).
    """
    opened = ingress(db, port)
    tls = opened.tls if opened else None
    if tls is None or tls.mode not in _ENDS_TLS:
        return None
    mode = mutual_tls_mode(db, scope.namespace, scope.labels, port.number)
    return tls if mode is MutualTLSMode.DISABLE else None


@query
def sidecar_pool(db: Database, scope: InboundScope, number: int) -> ConnectionPoolSettings | None:
    """The connection pool that a Sidecar sets for a port: the listener's own, else that of all ingress."""
    key = sidecar_for(db, scope.namespace, scope.labels)
    spec = sidecar(db, key) if key else None
    if spec is None:
        return None
    own = (listener.connection_pool for listener in spec.ingress if listener.port.number == number)
    return next((pool for pool in own if pool), spec.inbound_connection_pool)
