"""Gateways: which servers a gateway workload runs, where it listens for them, and which of them cannot be.

Source: Istio's merged gateways. Gateway objects of any namespace select a workload; all servers of one port share a
listener, if they can: HTTP with HTTP, TLS with TLS of other hosts. Of two that cannot share, the older one's Gateway wins.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import Gateway, Server, ServerTLSMode
from mizzen.config.validation.gateway import SERVICE_ANNOTATION
from mizzen.derive.gateway_objects import gateway_objects, gateway_reference
from mizzen.derive.hosts import matches
from mizzen.derive.inbound import InboundScope, instances, target_port
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.services import service
from mizzen.derive.workloads import covers
from mizzen.incremental import Database, query
from mizzen.model.proxy import Instance

AS_IT_IS_LABEL = "experimental.istio.io/disable-gateway-port-translation"
"""On a service: its target ports do not concern a Gateway that selects by label."""
_HTTP = frozenset({"HTTP", "HTTP2", "GRPC", "GRPC-WEB"})
_WITH_TLS = frozenset({"HTTPS", "TLS"})
_NOT_FOR_GATEWAYS = frozenset({"UDP", "HBONE", "HTTP_PROXY"})
HTTP3_ANNOTATION = "gateway.mizzen.dev/http3"
"""On a Gateway: "true" serves its HTTPS servers by HTTP/3 too, where they ask callers for no certificate."""


_NO_CERTIFICATE = ServerTLSMode.SIMPLE


class Carries(Enum):
    """What a server does with a connection."""

    HTTP = auto()  # in the clear
    HTTPS = auto()  # TLS ends here, and HTTP is inside
    TERMINATED = auto()  # TLS ends here, what is inside is not read
    PASSTHROUGH = auto()  # TLS goes on, by the server name
    AUTO_PASSTHROUGH = auto()  # likewise: the server name is that of a cluster
    TCP = auto()

    @property
    def is_tls(self) -> bool:
        return self not in {Carries.HTTP, Carries.TCP}


@dataclass(frozen=True, slots=True)
class GatewayServer:
    """One server of a Gateway object."""

    key: ResourceKey
    index: int
    server: Server
    http3: bool = False

    @property
    def gateway(self) -> str:
        """The Gateway as VirtualServices refer to it: "namespace/name"."""
        return gateway_reference(self.key)

    @property
    def carries(self) -> Carries:
        protocol, tls = self.server.port.protocol.upper(), self.server.tls
        if protocol in _HTTP:
            return Carries.HTTP
        if tls is None or protocol not in _WITH_TLS:
            return Carries.TCP
        if tls.mode is ServerTLSMode.PASSTHROUGH:
            return Carries.PASSTHROUGH
        if tls.mode is ServerTLSMode.AUTO_PASSTHROUGH:
            return Carries.AUTO_PASSTHROUGH
        return Carries.HTTPS if protocol == "HTTPS" else Carries.TERMINATED

    @property
    def offers_http3(self) -> bool:
        """Whether it is served by QUIC, too: Envoy asks no certificate of callers there."""
        tls = self.server.tls
        return (
            self.http3 and self.carries is Carries.HTTPS and tls is not None and tls.mode is _NO_CERTIFICATE
        )

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts, whoever may use them, in lower case, each once."""
        return tuple(dict.fromkeys(entry.rpartition("/")[2].lower() for entry in self.server.hosts))

    def admits(self, host_owner: str) -> tuple[str, ...]:
        """The host patterns that a VirtualService of a namespace may use here ("namespace/host", ".", "*" forms)."""
        patterns = []
        for entry in self.server.hosts:
            owner, slash, host = entry.rpartition("/")
            if not slash or owner in {"*", host_owner} or (owner == "." and host_owner == self.key.namespace):
                patterns.append(host.lower())
        return tuple(patterns)

    def admitted(self, host_owner: str, hosts: Iterable[str]) -> tuple[str, ...]:
        """The hosts that both the server and a VirtualService of a namespace name: the narrower of each pair."""
        found: dict[str, None] = {}
        for pattern in self.admits(host_owner):
            for host in map(str.lower, hosts):
                if matches(pattern, host):
                    found[host] = None
                elif matches(host, pattern):
                    found[pattern] = None
        return tuple(found)


@dataclass(frozen=True, slots=True)
class GatewayPort:
    """A port on which a gateway workload listens, with the servers that share it, the oldest Gateway's first. `bind` is an
    address, or unix:///path; "": all addresses.
    """

    number: int
    bind: str
    servers: tuple[GatewayServer, ...]

    def of(self, *kinds: Carries) -> tuple[GatewayServer, ...]:
        return tuple(found for found in self.servers if found.carries in kinds)


class Conflict(Enum):
    """Why a server cannot share a port with an older one."""

    PROTOCOL = auto()  # one is TLS, HTTP or TCP, and the other is not
    HOST = auto()  # both are TLS for the same host
    STREAM = auto()  # both are TCP: nothing tells their connections apart


@dataclass(frozen=True, slots=True)
class Refused:
    """A server that is not served on a port, and the older one that is."""

    server: GatewayServer
    winner: GatewayServer
    conflict: Conflict
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MergedGateway:
    ports: tuple[GatewayPort, ...]
    refused: tuple[Refused, ...] = ()

    def port(self, number: int, bind: str) -> GatewayPort | None:
        return next((port for port in self.ports if (port.number, port.bind) == (number, bind)), None)


@query
def merged_gateway(db: Database, scope: InboundScope) -> MergedGateway:
    """The ports that a gateway workload opens, with their servers."""
    return merge(_placed(db, scope))


@query
def is_chosen(db: Database, scope: InboundScope) -> bool:
    """Whether a Gateway picks a workload by its labels or its services: somebody means it to be a gateway.

    That a proxy says so of itself, and that a Gateway without a selector takes every gateway, shows nothing.
    """
    return any(
        of_services is not None or resource.spec.selector for resource, of_services in _gateways_of(db, scope)
    )


def merge(placed: Iterable[tuple[int, GatewayServer]]) -> MergedGateway:
    """Servers, each with the port where it is to listen, the oldest first: by port, without those that cannot share."""
    slots: dict[tuple[int, str], list[GatewayServer]] = {}
    refused: list[Refused] = []
    for number, found in placed:
        others = slots.setdefault((number, found.server.bind), [])
        conflict = next((each for other in others if (each := _conflict(found, other))), None)
        if conflict is None:
            others.append(found)
        elif conflict not in refused:
            refused.append(conflict)
    found_ports = (GatewayPort(*slot, tuple(servers)) for slot, servers in sorted(slots.items()))
    return MergedGateway(tuple(found_ports), tuple(refused))


def _conflict(found: GatewayServer, other: GatewayServer) -> Refused | None:
    if found.carries is Carries.HTTP and other.carries is Carries.HTTP:
        return None
    if not (found.carries.is_tls and other.carries.is_tls):
        same = found.carries is other.carries
        return Refused(found, other, Conflict.STREAM if same else Conflict.PROTOCOL)
    shared = tuple(host for host in found.hosts if host in other.hosts)
    return Refused(found, other, Conflict.HOST, shared) if shared else None


def _placed(db: Database, scope: InboundScope) -> Iterator[tuple[int, GatewayServer]]:
    for resource, of_services in _gateways_of(db, scope):
        http3 = resource.annotations.get(HTTP3_ANNOTATION, "").lower() == "true"
        for index, server in enumerate(resource.spec.servers):
            if server.port.protocol.upper() in _NOT_FOR_GATEWAYS:
                continue
            found = GatewayServer(resource.key, index, server, http3)
            for number in _listening_ports(db, scope, server.port.number, of_services):
                yield number, found


def _gateways_of(
    db: Database, scope: InboundScope
) -> Iterator[tuple[Resource[Gateway], frozenset[str] | None]]:
    """The Gateways for a workload, the oldest first; with the services that they are for, if not for a selector's
    workloads. An empty selector selects every gateway.
    """
    own_hosts = {instance.service.host for instance in instances(db, scope)}
    for resource in gateway_objects(db):
        annotation = resource.annotations.get(SERVICE_ANNOTATION, "")
        if annotation:
            of_services = own_hosts.intersection(host.strip() for host in annotation.split(","))
            if of_services:
                yield resource, frozenset(of_services)
        elif covers(resource.spec.selector, scope.labels):
            yield resource, None


def _listening_ports(
    db: Database, scope: InboundScope, number: int, of_services: frozenset[str] | None
) -> tuple[int, ...]:
    """Where a workload listens for a server's port: the target ports of its services that have that port.

    Source: Istio. For a selector's workloads it is the first such service's, or the port itself where there is none. A
    Gateway for services is served on the target ports of all of them, and nowhere else.
    """
    found = dict.fromkeys(
        target
        for instance in instances(db, scope)
        if of_services is None or instance.service.host in of_services
        for target in _targets(db, scope, instance, number, translated=of_services is not None)
    )
    if of_services is None:
        return (next(iter(found), number),)
    return tuple(found)


def _targets(
    db: Database, scope: InboundScope, instance: Instance, number: int, *, translated: bool
) -> Iterator[int]:
    declared = service(db, instance.service)
    port = declared.port(number) if declared else None
    if port is None or not (translated or _translates(db, instance)):
        return
    target = target_port(port, instance.ports, scope.container_ports)
    if target is not None:
        yield target


def _translates(db: Database, instance: Instance) -> bool:
    resource = RESOURCES(db, instance.service.source)
    return resource is None or AS_IT_IS_LABEL not in resource.labels
