"""networking.istio.io: EnvoyFilter. Patches to the configuration that the mesh makes for Envoy."""

from enum import Enum
from typing import Annotated, ClassVar

from mizzen.config.types.constraints import PORT, at_most_one
from mizzen.config.types.message import Cel, Int32, Message, OneOf, Struct, UInt32
from mizzen.config.types.networking import WorkloadSelector
from mizzen.config.types.targets import TargetRefs
from mizzen.frozen import EMPTY, FrozenMap


class ApplyTo(Enum):
    """What a patch changes."""

    INVALID = "INVALID"  # not set
    LISTENER = "LISTENER"
    FILTER_CHAIN = "FILTER_CHAIN"
    NETWORK_FILTER = "NETWORK_FILTER"
    HTTP_FILTER = "HTTP_FILTER"  # of a HTTP connection manager
    ROUTE_CONFIGURATION = "ROUTE_CONFIGURATION"
    VIRTUAL_HOST = "VIRTUAL_HOST"
    HTTP_ROUTE = "HTTP_ROUTE"
    CLUSTER = "CLUSTER"
    EXTENSION_CONFIG = "EXTENSION_CONFIG"  # adds what a filter with config discovery names
    BOOTSTRAP = "BOOTSTRAP"  # merged when the proxy starts
    LISTENER_FILTER = "LISTENER_FILTER"


class PatchContext(Enum):
    """Which configuration of which proxies is meant."""

    ANY = "ANY"
    SIDECAR_INBOUND = "SIDECAR_INBOUND"
    SIDECAR_OUTBOUND = "SIDECAR_OUTBOUND"
    GATEWAY = "GATEWAY"
    WAYPOINT = "WAYPOINT"


class ProxyMatch(Message):
    """Proxies, by what they tell of themselves."""

    proxy_version: str = ""  # RE2 on Istio's version of the proxy; "": any
    metadata: FrozenMap[str, str] = EMPTY  # of the node, each exactly as given


class ClusterMatch(Message):
    """All that is set must hold."""

    port_number: UInt32 = 0  # of the service; 0: any
    service: str = ""  # the service's full name; "": any
    subset: str = ""  # "": any
    name: str = ""  # of the cluster itself, such as the internal ones; "": any


class RouteAction(Enum):
    """The API's RouteConfigurationMatch.RouteMatch.Action."""

    ANY = "ANY"
    ROUTE = "ROUTE"  # forwards to a cluster
    REDIRECT = "REDIRECT"
    DIRECT_RESPONSE = "DIRECT_RESPONSE"


class RouteMatch(Message):
    """The API's RouteConfigurationMatch.RouteMatch."""

    name: str = ""  # of the route; "": any
    action: RouteAction = RouteAction.ANY  # what the route does


class VirtualHostMatch(Message):
    """The API's RouteConfigurationMatch.VirtualHostMatch."""

    name: str = ""  # host:port, as the mesh names it; "": any
    route: RouteMatch | None = None  # a route of that virtual host
    domain_name: str = ""  # one of the virtual host's domains; "": any


class RouteConfigurationMatch(Message):
    """All that is set must hold."""

    port_number: UInt32 = 0  # of the service or of the gateway's server; 0: any
    port_name: str = ""  # of the gateway's server; "": any
    gateway: str = ""  # namespace/name of the Gateway; "": any
    vhost: VirtualHostMatch | None = None  # a virtual host in it
    name: str = ""  # of the route configuration; "": any


class SubFilterMatch(Message):
    """The API's ListenerMatch.SubFilterMatch."""

    name: str = ""  # of a filter of the HTTP connection manager


class FilterMatch(Message):
    """The API's ListenerMatch.FilterMatch."""

    name: str = ""  # of the network filter
    sub_filter: SubFilterMatch | None = None  # inside the HTTP connection manager


class FilterChainMatch(Message):
    """The API's ListenerMatch.FilterChainMatch. All that is set must hold."""

    name: str = ""  # of the chain; "": any
    sni: str = ""  # one of the chain's server names; "": any
    transport_protocol: str = ""  # raw_buffer or tls; "": any
    application_protocols: str = ""  # by comma, as in the chain's ALPN; "": any
    filter: FilterMatch | None = None  # a filter of the chain
    destination_port: UInt32 = 0  # as the chain matches it; 0: any


class ListenerMatch(Message):
    """All that is set must hold."""

    port_number: UInt32 = 0  # of the service, of the gateway's server or the workload; 0: any
    port_name: str = ""  # reserved by the API, never read by Istio
    filter_chain: FilterChainMatch | None = None  # a chain of the listener
    listener_filter: str = ""  # by name; "": any
    name: str = ""  # of the listener; "": any


class WaypointRouteMatch(Message):
    """The API's WaypointMatch.RouteMatch."""

    name: str = ""  # of the route; "": any


class WaypointMatch(Message):
    """What is patched in a waypoint."""

    port_number: Annotated[UInt32, PORT] = 0  # of the service; 0: any
    filter: FilterMatch | None = None  # a filter of its HTTP connection manager
    route: WaypointRouteMatch | None = None  # a route of its virtual host


class EnvoyConfigObjectMatch(Message):
    """Where a patch applies. One of listener, route_configuration, cluster and waypoint at most."""

    ONE_OF: ClassVar[OneOf] = (("cluster", "listener", "routeConfiguration", "waypoint"),)
    CEL: ClassVar[tuple[Cel, ...]] = (
        Cel(
            'has(self.context) ? ((self.context == "WAYPOINT") ? has(self.waypoint) : !has(self.waypoint))'
            " : !has(self.waypoint)",
            "only support waypointMatch when context is WAYPOINT",
        ),
    )

    context: PatchContext = PatchContext.ANY  # of which configuration
    proxy: ProxyMatch | None = None  # of which proxies; None: all that the workload selector picks
    listener: ListenerMatch | None = None  # a listener, or a part of one
    route_configuration: RouteConfigurationMatch | None = None  # a route configuration, or a part of one
    cluster: ClusterMatch | None = None  # a cluster
    waypoint: WaypointMatch | None = None  # a part of a waypoint, for WAYPOINT only


class Operation(Enum):
    """The API's Patch.Operation."""

    INVALID = "INVALID"  # not set
    MERGE = "MERGE"  # as protobuf merges: lists are joined
    ADD = "ADD"  # to the end, but routes and HTTP filters where they take effect
    REMOVE = "REMOVE"
    INSERT_BEFORE = "INSERT_BEFORE"  # what matched, else at the front
    INSERT_AFTER = "INSERT_AFTER"  # what matched, else at the end
    INSERT_FIRST = "INSERT_FIRST"
    REPLACE = "REPLACE"  # filters, routes and listeners, where one matches
    MERGE_AND_REPLACE_LIST = "MERGE_AND_REPLACE_LIST"  # as MERGE, but lists are replaced


class FilterClass(Enum):
    """The API's Patch.FilterClass: where an added filter stands relative to Istio's own."""

    UNSPECIFIED = "UNSPECIFIED"  # as the operation says
    AUTHN = "AUTHN"  # after authentication
    AUTHZ = "AUTHZ"  # after authorization
    STATS = "STATS"  # before the metrics


class Patch(Message):
    operation: Operation = Operation.INVALID  # what is done
    value: Struct = Struct()  # Envoy's configuration as JSON; not for REMOVE
    filter_class: FilterClass = FilterClass.UNSPECIFIED  # for ADD of a filter


class EnvoyConfigObjectPatch(Message):
    """One change."""

    apply_to: ApplyTo = ApplyTo.INVALID  # what is changed
    match: EnvoyConfigObjectMatch | None = None  # where; None: everywhere
    patch: Patch | None = None  # how


class EnvoyFilter(Message):
    """Patches, applied last, in the order of priority, age and name."""

    CEL: ClassVar[tuple[Cel, ...]] = (
        at_most_one(
            "only one of targetRefs or workloadSelector can be set", "workloadSelector", "targetRefs"
        ),
    )

    workload_selector: WorkloadSelector | None = None  # None: all of the namespace
    target_refs: TargetRefs = ()  # gateways and services that it attaches to; excludes workload_selector
    config_patches: tuple[EnvoyConfigObjectPatch, ...] = ()  # in order
    priority: Int32 = 0  # lower ones are applied first; those of the root namespace before all others
