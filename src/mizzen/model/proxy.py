"""What a proxy is to translation: never the proxy itself, only what its configuration depends on."""

from dataclasses import dataclass, replace
from enum import Enum

from mizzen.config.resource import ResourceKey
from mizzen.config.types.proxy import ConnectionSettings, ProxyHeaders, Topology
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.model.service import ServiceRef
from mizzen.model.workload import NO_PORTS, Family


class ProxyKind(Enum):
    SIDECAR = "sidecar"
    GATEWAY = "router"  # as Istio's node IDs spell it


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a proxy that captures nothing listens (Istio's interception mode NONE; the lab's loopback mode).

    `app_ports` maps a service's target port to the private port of the application on the same address.
    """

    address: str
    http_proxy_port: int
    app_ports: FrozenMap[int, int]


@dataclass(frozen=True, slots=True)
class Instance:
    """A workload as an endpoint that a service names by its address. `ports` maps port names to the endpoint's own."""

    service: ServiceRef
    ports: FrozenMap[str, int] = NO_PORTS


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What one workload's annotation asks of what discovery serves it. None: as the mesh has it."""

    headers: ProxyHeaders | None = None
    topology: Topology | None = None
    connections: ConnectionSettings | None = None


AS_THE_MESH = ProxySettings()


@dataclass(frozen=True, slots=True)
class Capture:
    """How traffic comes to a proxy that captures it. `transparent`: with the caller's own address, with which the proxy
    calls the application, too (Istio's interception mode TPROXY). `ipv6`: also by IPv6.
    """

    transparent: bool = False
    ipv6: bool = False


@dataclass(frozen=True, slots=True)
class ProxyView:
    """The smallest value on which a proxy's configuration depends: proxies with equal views share every byte.

    Replicas of a deployment have the same namespace, labels and ports, hence one view; only a proxy without
    capture has an address in it, because its listeners must bind it.
    """

    kind: ProxyKind
    namespace: str
    labels: FrozenMap[str, str] = EMPTY
    ports: FrozenMap[str, int] = NO_PORTS
    locality: str = ""  # region/zone/sub-zone
    network: str = ""
    node: str = ""  # of Kubernetes; "" where no service tells callers apart by it
    binding: Binding | None = None
    instances: tuple[Instance, ...] = ()  # by address; those that select by label are found by it
    settings: ProxySettings = AS_THE_MESH
    service_account: str = ""  # what it may read depends on it
    agent: bool = False  # what the agent beside the proxy holds: the mesh's names and nothing else
    container_ports: FrozenMap[str, int] = NO_PORTS
    families: tuple[Family, ...] = (Family.IPV4,)  # in which the workload has addresses, hence listeners
    transparent: bool = False  # what comes in is captured by TPROXY


@dataclass(frozen=True, slots=True)
class OutboundScope:
    """The whole input of what a proxy calls: services, routes, clusters.

    `labels` are only those of the proxy's labels by which some rule tells callers apart: workloads that no rule tells
    apart share every byte. `sidecar` is the Sidecar that narrows what the proxy sees, `listener` the one of its egress
    listeners that is meant. Without it the scope is all that the proxy may send to: its clusters.
    """

    namespace: str
    labels: FrozenMap[str, str] = EMPTY
    sidecar: ResourceKey | None = None
    listener: int | None = None

    @property
    def whole(self) -> "OutboundScope":
        """All that the proxy may send to, whichever listener takes it."""
        return self if self.listener is None else replace(self, listener=None)

    @property
    def unlabelled(self) -> "OutboundScope":
        """The scope of all whom only their labels tell apart: what is asked for it is shared by them."""
        return replace(self, labels=EMPTY) if self.labels else self
