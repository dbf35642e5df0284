"""Services: what can be called, on which ports, by which protocol."""

from dataclasses import dataclass
from enum import Enum

from mizzen.config.resource import ResourceKey
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.model.workload import Family


class Protocol(Enum):
    """Application protocols as Istio's protocol selection names them (by appProtocol or the port's name)."""

    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-Web"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    MONGO = "Mongo"
    MYSQL = "MySQL"
    REDIS = "Redis"
    AUTO = "auto"  # the port says nothing: the proxy looks at what comes (Istio's sniffing)
    UDP = "UDP"

    @property
    def is_http(self) -> bool:
        """HTTP in the clear: the proxy routes by request."""
        return self in _HTTP

    @property
    def is_http2(self) -> bool:
        return self in _HTTP2

    @property
    def is_tls(self) -> bool:
        """TLS that the application speaks itself: the proxy routes by SNI."""
        return self in _TLS

    @property
    def is_tcp(self) -> bool:
        """A stream that is not read, or not known yet to be HTTP."""
        return self.is_stream and not self.is_http

    @property
    def is_stream(self) -> bool:
        """Whether the mesh carries it at all."""
        return self is not Protocol.UDP


_HTTP = frozenset({Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB})
_HTTP2 = frozenset({Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB})
_TLS = frozenset({Protocol.HTTPS, Protocol.TLS})


class Resolution(Enum):
    """How the addresses of a service are found (ServiceEntry.resolution; a Kubernetes Service is STATIC)."""

    STATIC = "STATIC"  # by discovery (EDS)
    DNS = "DNS"  # by the proxy, asking DNS: all addresses
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"  # by the proxy, asking DNS: one address at a time
    DYNAMIC_DNS = "DYNAMIC_DNS"  # by the proxy, asking DNS for the name in each request
    NONE = "NONE"  # the address that the caller already chose


class TrafficDistribution(Enum):
    """Which endpoints a service's callers should prefer, by the service's own word (Kubernetes' trafficDistribution)."""

    ANY = ""
    PREFER_CLOSE = "PreferClose"
    PREFER_SAME_ZONE = "PreferSameZone"
    PREFER_SAME_NODE = "PreferSameNode"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a service. `target` is the port of the endpoints: a number, or a name that each endpoint resolves; with
    resolution NONE 0 where callers keep the port that they chose.
    """

    name: str
    number: int
    target: int | str
    protocol: Protocol


@dataclass(frozen=True, slots=True)
class ServiceRef:
    """Which service, and which object declares it. Two objects may declare the same host: each is a service."""

    host: str
    namespace: str
    source: ResourceKey


@dataclass(frozen=True, slots=True)
class Service:
    """A service as its callers see it. Endpoints are apart (derive.endpoints): they change far more often."""

    ref: ServiceRef
    name: str
    ports: tuple[ServicePort, ...]
    addresses: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()  # in CIDR notation: it is called at all their addresses
    resolution: Resolution = Resolution.STATIC
    mesh_external: bool = False
    headless: bool = False
    families: frozenset[Family] = frozenset(Family)  # of its endpoints
    external_name: str = ""  # of an ExternalName Service: the host that it stands for
    selector: FrozenMap[str, str] = EMPTY
    export_to: tuple[str, ...] = ()  # empty: the mesh's default
    subject_alt_names: tuple[str, ...] = ()  # what certificates may say, besides who runs the service
    traffic_distribution: TrafficDistribution = TrafficDistribution.ANY
    same_node_only: bool = False  # endpoints on the caller's own node are all that there are for it
    publishes_not_ready: bool = False  # endpoints that are not ready count as endpoints

    @property
    def host(self) -> str:
        return self.ref.host

    @property
    def namespace(self) -> str:
        return self.ref.namespace

    def port(self, number: int) -> ServicePort | None:
        return next((port for port in self.ports if port.number == number), None)
