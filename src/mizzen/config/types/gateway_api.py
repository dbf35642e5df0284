"""gateway.networking.k8s.io: the Gateway API, as far as analysis asks.

Typed is what analysis reads; other fields are let through unread, as in kubernetes.py. The kind Gateway exists twice: in this
mesh's keys Istio's is `Gateway` and this one `KubernetesGateway`.
"""

from enum import Enum

from msgspec import field

from mizzen.config.types.mesh import LabelSelector
from mizzen.config.types.message import Duration, Int32, LenientMessage
from mizzen.frozen import EMPTY, FrozenMap

# --- words that several kinds share -----------------------------------------------------------------------------


class ParentReference(LenientMessage):
    """What a route attaches to: a listener of a Gateway, or a Service (mesh)."""

    name: str  # of the object
    group: str = "gateway.networking.k8s.io"  # of the API; "": core
    kind: str = "Gateway"  # or Service, ServiceEntry, ListenerSet
    namespace: str = ""  # "": the route's own
    section_name: str = ""  # of a listener; "": all
    port: Int32 | None = None  # of a listener or of the Service; None: all


class ObjectReference(LenientMessage):
    """Another object: a Secret, a ConfigMap, a Service."""

    name: str  # of the object
    group: str = ""  # of the API; "": core
    kind: str = ""  # "": Secret where a certificate is meant
    namespace: str = ""  # "": that of the object which refers; else a ReferenceGrant is needed
    section_name: str = ""  # of a port, in a policy's target; "": all


class BackendRef(LenientMessage):
    """Where a route leads."""

    name: str  # of the object
    group: str = ""  # of the API; "": core
    kind: str = "Service"  # or ServiceEntry's Hostname, InferencePool
    namespace: str = ""  # "": the route's own; else a ReferenceGrant is needed
    port: Int32 | None = None  # of the Service
    weight: Int32 = 1  # share relative to the sum of all; 0: none


# --- GatewayClass, Gateway, ListenerSet -------------------------------------------------------------------------


class GatewayClassSpec(LenientMessage):
    controller_name: str = ""  # istio.io/gateway-controller is Istio's
    parameters_ref: ObjectReference | None = None  # the controller's settings
    description: str = ""  # for people


class TLSMode(Enum):
    TERMINATE = "Terminate"
    PASSTHROUGH = "Passthrough"


class ListenerTLSConfig(LenientMessage):
    mode: TLSMode = TLSMode.TERMINATE  # where TLS ends
    certificate_refs: tuple[ObjectReference, ...] = ()  # Secrets with certificates
    options: FrozenMap[str, str] = EMPTY  # the controller's own


class RouteNamespaces(LenientMessage):
    from_: str = field(default="Same", name="from")  # Same, All, Selector or None
    selector: LabelSelector | None = None  # of namespaces, for Selector


class AllowedRoutes(LenientMessage):
    namespaces: RouteNamespaces = RouteNamespaces()  # whose routes may attach


class Listener(LenientMessage):
    name: str  # unique in the Gateway
    port: Int32  # where it listens
    protocol: str  # HTTP, HTTPS, TLS, TCP, UDP
    hostname: str = ""  # "*.example.com" allowed; "": all
    tls: ListenerTLSConfig | None = None  # for HTTPS and TLS
    allowed_routes: AllowedRoutes = AllowedRoutes()  # which routes may attach


class GatewayAddress(LenientMessage):
    value: str = ""  # of the address
    type: str = "IPAddress"  # or Hostname: of an existing Service


class GatewaySpec(LenientMessage):
    gateway_class_name: str  # who runs it
    listeners: tuple[Listener, ...] = ()  # its ports
    addresses: tuple[GatewayAddress, ...] = ()  # that are asked for; (): any


class ListenerSetSpec(LenientMessage):
    """Further listeners of a Gateway, from another namespace perhaps."""

    parent_ref: ParentReference  # the Gateway
    listeners: tuple[Listener, ...] = ()  # added to it


# --- routes -----------------------------------------------------------------------------------------------------


class HTTPPathMatch(LenientMessage):
    type: str = "PathPrefix"  # or Exact, RegularExpression
    value: str = "/"  # of the path


class NamedMatch(LenientMessage):
    """A header or a query parameter."""

    name: str  # case-insensitive for headers
    value: str = ""  # exactly, or RE2
    type: str = "Exact"  # or RegularExpression


class HTTPRouteMatch(LenientMessage):
    """All that is set must hold."""

    path: HTTPPathMatch = HTTPPathMatch()  # prefix "/" is everything
    headers: tuple[NamedMatch, ...] = ()  # each
    query_params: tuple[NamedMatch, ...] = ()  # each
    method: str = ""  # "": any


class RequestMirror(LenientMessage):
    backend_ref: BackendRef  # gets a copy of each request


class HTTPHeader(LenientMessage):
    name: str  # case-insensitive
    value: str = ""  # exactly


class HTTPHeaderFilter(LenientMessage):
    """Changes to headers."""

    set: tuple[HTTPHeader, ...] = ()  # instead of what is there
    add: tuple[HTTPHeader, ...] = ()  # to what is there
    remove: tuple[str, ...] = ()  # by name


class HTTPPathModifier(LenientMessage):
    type: str = ""  # ReplaceFullPath or ReplacePrefixMatch
    replace_full_path: str = ""  # the new path
    replace_prefix_match: str = ""  # instead of the prefix that matched


class HTTPRequestRedirect(LenientMessage):
    scheme: str = ""  # "": the request's
    hostname: str = ""  # "": the request's
    path: HTTPPathModifier | None = None  # None: the request's
    port: Int32 | None = None  # None: the scheme's where that is set, else the request's
    status_code: Int32 = 302  # of the answer


class HTTPURLRewrite(LenientMessage):
    hostname: str = ""  # "": kept
    path: HTTPPathModifier | None = None  # None: kept


class HTTPRouteFilter(LenientMessage):
    type: str = ""  # which of the filters
    request_header_modifier: HTTPHeaderFilter | None = None  # for RequestHeaderModifier
    response_header_modifier: HTTPHeaderFilter | None = None  # for ResponseHeaderModifier
    request_redirect: HTTPRequestRedirect | None = None  # for RequestRedirect
    url_rewrite: HTTPURLRewrite | None = field(default=None, name="urlRewrite")  # for URLRewrite
    request_mirror: RequestMirror | None = None  # for RequestMirror
    extension_ref: ObjectReference | None = None  # for ExtensionRef


class HTTPBackendRef(BackendRef):
    filters: tuple[HTTPRouteFilter, ...] = ()  # for this destination only


class HTTPRouteTimeouts(LenientMessage):
    request: Duration | None = None  # of the whole, retries included; None or 0: no limit
    backend_request: Duration | None = None  # of each try; None or 0: as request


class HTTPRouteRule(LenientMessage):
    name: str = ""  # unique in the route
    matches: tuple[HTTPRouteMatch, ...] = ()  # any of them; (): everything
    filters: tuple[HTTPRouteFilter, ...] = ()  # in order
    backend_refs: tuple[HTTPBackendRef, ...] = ()  # by weight; (): 500, unless a filter answers
    timeouts: HTTPRouteTimeouts | None = None  # None: no limit


class HTTPRouteSpec(LenientMessage):
    parent_refs: tuple[ParentReference, ...] = ()  # what it attaches to
    hostnames: tuple[str, ...] = ()  # within the listeners'; (): theirs
    rules: tuple[HTTPRouteRule, ...] = ()  # the most specific match wins


class GRPCMethodMatch(LenientMessage):
    type: str = "Exact"  # or RegularExpression
    service: str = ""  # "": any
    method: str = ""  # "": any


class GRPCRouteMatch(LenientMessage):
    """All that is set must hold."""

    method: GRPCMethodMatch | None = None  # None: any
    headers: tuple[NamedMatch, ...] = ()  # each


class GRPCRouteRule(LenientMessage):
    name: str = ""  # unique in the route
    matches: tuple[GRPCRouteMatch, ...] = ()  # any of them; (): everything
    filters: tuple[HTTPRouteFilter, ...] = ()  # in order
    backend_refs: tuple[HTTPBackendRef, ...] = ()  # by weight; (): UNAVAILABLE


class GRPCRouteSpec(LenientMessage):
    parent_refs: tuple[ParentReference, ...] = ()  # what it attaches to
    hostnames: tuple[str, ...] = ()  # within the listeners'; (): theirs
    rules: tuple[GRPCRouteRule, ...] = ()  # the most specific match wins


class L4RouteRule(LenientMessage):
    """The API's TLSRouteRule and TCPRouteRule."""

    name: str = ""  # unique in the route
    backend_refs: tuple[BackendRef, ...] = ()  # by weight; (): refused


class TLSRouteSpec(LenientMessage):
    """For TLS by its SNI."""

    parent_refs: tuple[ParentReference, ...] = ()  # what it attaches to
    hostnames: tuple[str, ...] = ()  # server names
    rules: tuple[L4RouteRule, ...] = ()  # one


class TCPRouteSpec(LenientMessage):
    parent_refs: tuple[ParentReference, ...] = ()  # what it attaches to
    rules: tuple[L4RouteRule, ...] = ()  # one


# --- policies ---------------------------------------------------------------------------------------------------


class ReferenceGrantFrom(LenientMessage):
    group: str  # of the API; "": core
    kind: str  # of the objects that refer
    namespace: str  # where they are


class ReferenceGrantTo(LenientMessage):
    group: str  # of the API; "": core
    kind: str  # of what is referred to
    name: str = ""  # "": all of the kind


class ReferenceGrantSpec(LenientMessage):
    """Lets objects of other namespaces refer to objects of this one."""

    from_: tuple[ReferenceGrantFrom, ...] = field(default=(), name="from")  # who
    to: tuple[ReferenceGrantTo, ...] = ()  # to what


class BackendTLSValidation(LenientMessage):
    hostname: str = ""  # SNI, and name in the certificate
    ca_certificate_refs: tuple[ObjectReference, ...] = ()  # ConfigMaps with roots
    well_known_ca_certificates: str = field(
        default="", name="wellKnownCACertificates"
    )  # System: the system's roots


class BackendTLSPolicySpec(LenientMessage):
    """How a gateway verifies a Service."""

    target_refs: tuple[ObjectReference, ...] = ()  # Services
    validation: BackendTLSValidation = BackendTLSValidation()  # of their certificates
