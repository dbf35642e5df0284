"""networking.istio.io: all kinds but EnvoyFilter (envoy_filter.py).

A number that is 0 and a string that is "" were not set, unless the field says otherwise; None is "not set" where
absence means something else than zero. Defaults named in comments are what the mesh does when a field is not set.
"""

from enum import Enum
from typing import Annotated, ClassVar, Final

from msgspec import Meta, field

from mizzen.config.types import targets
from mizzen.config.types.constraints import (
    PORT,
    AtLeast1ms,
    Format,
    HeaderName,
    ListKey,
    NonEmpty,
    NonNegativeInt32,
    Percentage,
    Size,
    UInt64,
    at_most_one,
)
from mizzen.config.types.message import Cel, Duration, Int32, Message, OneOf, UInt32
from mizzen.frozen import EMPTY, FrozenMap

# --- words that several kinds share ---------------------------------------------------------------------------


class StringMatch(Message):
    """Exactly one of the three. Case sensitive unless the field that holds it says otherwise."""

    ONE_OF: ClassVar[OneOf] = (("exact", "prefix", "regex"),)

    exact: str | None = None  # the whole value
    prefix: str | None = None  # how the value begins
    regex: str | None = None  # RE2 syntax; must match the whole value


class PortSelector(Message):
    number: UInt32 = 0  # port of the service, 1 to 65535


class Destination(Message):
    """Where a route leads."""

    host: str  # a service of the registry; a short name means one in the resource's own namespace
    subset: str = ""  # a subset that a DestinationRule of this host defines
    port: PortSelector | None = None  # needed where the service has several ports


class Percent(Message):
    value: float = 0.0  # 0.0 to 100.0


class HeaderOperations(Message):
    """Removal first, then set (replaces), then add (appends). Names are case-insensitive."""

    set: FrozenMap[str, str] = EMPTY  # name -> value
    add: FrozenMap[str, str] = EMPTY  # name -> value
    remove: tuple[str, ...] = ()  # names


class Headers(Message):
    request: HeaderOperations | None = None  # before forwarding to the destination
    response: HeaderOperations | None = None  # before answering the caller


class LocalityDistribute(Message):
    """The API's LocalityLoadBalancerSetting.Distribute."""

    from_: str = field(default="", name="from")  # region/zone/subzone, "*" allowed at the end
    to: FrozenMap[str, UInt32] = FrozenMap()  # locality -> weight; the weights sum to 100


class LocalityFailover(Message):
    """The API's LocalityLoadBalancerSetting.Failover."""

    from_: str = field(default="", name="from")  # region
    to: str = ""  # region


class LocalityLoadBalancerSetting(Message):
    """At most one of the three ways."""

    distribute: tuple[LocalityDistribute, ...] = ()  # explicit weights
    failover: tuple[LocalityFailover, ...] = ()  # region to region
    failover_priority: tuple[str, ...] = ()  # labels, most important first
    enabled: bool | None = None  # None: as the mesh's setting says


class ZoneAwareLoadBalancerSetting(Message):
    failover: tuple[LocalityFailover, ...] = ()  # region to region
    failover_priority: tuple[str, ...] = ()  # labels, most important first
    enabled: bool | None = None  # None: as the mesh's setting says
    min_cluster_size: Annotated[int, Meta(ge=1)] | None = (
        None  # endpoints below which zones are ignored; None: 6
    )


# --- VirtualService -------------------------------------------------------------------------------------------


class HTTPMatchRequest(Message):
    """All that is set must hold."""

    name: str = ""  # for people: route.match in access logs
    uri: StringMatch | None = None  # path without query
    scheme: StringMatch | None = None  # http or https
    method: StringMatch | None = None  # GET and so on
    authority: StringMatch | None = None  # the host that was asked for
    headers: FrozenMap[str, StringMatch] = FrozenMap()  # lower-case names; an empty match: presence
    port: UInt32 = 0  # port that the caller addressed; 0: any
    source_labels: FrozenMap[str, str] = EMPTY  # of the calling workload
    gateways: tuple[str, ...] = ()  # replaces the VirtualService's own; "mesh": all sidecars
    query_params: FrozenMap[str, StringMatch] = FrozenMap()  # an empty match asks only for presence
    ignore_uri_case: bool = False  # for exact and prefix of uri
    without_headers: FrozenMap[str, StringMatch] = FrozenMap()  # as headers, negated
    source_namespace: str = ""  # of the calling workload; "": any
    stat_prefix: str = ""  # Envoy's statistics of this route, "": none


class HTTPRouteDestination(Message):
    destination: Destination  # where it leads
    weight: Int32 = 0  # share relative to the sum of all; a single destination needs none
    headers: Headers | None = None  # changes for this destination only


class RedirectPortSelection(Enum):
    FROM_PROTOCOL_DEFAULT = "FROM_PROTOCOL_DEFAULT"  # 80 for http, 443 for https
    FROM_REQUEST_PORT = "FROM_REQUEST_PORT"


class HTTPRedirect(Message):
    """Answer with a redirect instead of forwarding. `port` and `derive_port` exclude each other."""

    ONE_OF: ClassVar[OneOf] = (("derivePort", "port"),)

    uri: str = ""  # replaces the whole path; may hold %PREFIX()% for what the match's prefix left
    authority: str = ""  # replaces the host
    port: UInt32 | None = None  # replaces the port
    derive_port: RedirectPortSelection | None = None  # replaces the port
    scheme: str = ""  # http or https
    redirect_code: UInt32 = 0  # 301, 302, 303, 307 or 308; 0: 301
    prefix_rewrite: str = ""  # replaces the matched prefix


class HTTPBody(Message):
    """One of the two."""

    ONE_OF: ClassVar[OneOf] = (("bytes", "string"),)

    string: str | None = None  # text
    bytes: Annotated[str, Format("byte")] | None = None  # base64


class HTTPDirectResponse(Message):
    """Answer at once, without any destination."""

    status: UInt32  # HTTP status
    body: HTTPBody | None = None  # at most 1 MB


class RegexRewrite(Message):
    match: str = ""  # RE2, on the path without query
    rewrite: str = ""  # with \1 for groups


class HTTPRewrite(Message):
    """Before forwarding; excludes redirect."""

    uri: str = ""  # replaces what matched: the prefix, or the whole path for exact and regex
    authority: str = ""  # replaces the host; "": kept
    uri_regex_rewrite: RegexRewrite | None = None  # replaces in the path; excludes uri


class HTTPRetry(Message):
    attempts: Int32 = 0  # retries after the first try; 0: none
    per_try_timeout: AtLeast1ms | None = None  # None: the route's timeout
    retry_on: str = ""  # Envoy's conditions and status codes by comma; "": the mesh's default
    retry_remote_localities: bool | None = None  # retries may leave the locality; None: False
    retry_ignore_previous_hosts: bool | None = None  # None: True, a retry avoids endpoints that failed
    backoff: AtLeast1ms | None = None  # base interval, doubled each time; None: 25 ms


class HTTPFaultDelay(Message):
    """The API's HTTPFaultInjection.Delay."""

    ONE_OF: ClassVar[OneOf] = (("exponentialDelay", "fixedDelay"),)

    fixed_delay: AtLeast1ms | None = None  # before forwarding, at least 1 ms
    exponential_delay: AtLeast1ms | None = None  # reserved by the API, never read by Istio
    percent: Int32 = 0  # deprecated: whole percents
    percentage: Percent | None = None  # None: 100%


class HTTPFaultAbort(Message):
    """The API's HTTPFaultInjection.Abort."""

    ONE_OF: ClassVar[OneOf] = (("grpcStatus", "http2Error", "httpStatus"),)

    http_status: Int32 | None = None  # 200 to 599
    grpc_status: str | None = None  # by name: UNAVAILABLE
    http2_error: str | None = None  # reserved by the API, never read by Istio
    percentage: Percent | None = None  # None: 100%


class HTTPFaultInjection(Message):
    """Faults on purpose; both together are independent of each other."""

    delay: HTTPFaultDelay | None = None  # None: no delays
    abort: HTTPFaultAbort | None = None  # None: no errors


class UnmatchedPreflights(Enum):
    UNSPECIFIED = "UNSPECIFIED"  # as FORWARD
    FORWARD = "FORWARD"
    IGNORE = "IGNORE"


class CorsPolicy(Message):
    allow_origin: tuple[str, ...] = ()  # deprecated: exact origins
    allow_origins: tuple[StringMatch, ...] = ()  # any of them; the origin is answered as it came
    allow_methods: tuple[str, ...] = ()  # Access-Control-Allow-Methods
    allow_headers: tuple[str, ...] = ()  # Access-Control-Allow-Headers
    expose_headers: tuple[str, ...] = ()  # Access-Control-Expose-Headers
    max_age: AtLeast1ms | None = None  # how long a preflight may be cached; whole seconds
    allow_credentials: bool | None = None  # Access-Control-Allow-Credentials; None: False
    unmatched_preflights: UnmatchedPreflights = UnmatchedPreflights.UNSPECIFIED  # of other origins


class HTTPMirrorPolicy(Message):
    destination: Destination  # gets a copy of each request
    percentage: Percent | None = None  # None: 100%


class Delegate(Message):
    """The VirtualService that goes on with what this route matched."""

    name: str = ""  # of the VirtualService
    namespace: str = ""  # "": that of the VirtualService which delegates


class HTTPRoute(Message):
    """One rule; the first that matches decides. One of route, redirect, direct_response, delegate."""

    name: str = ""  # for access logs
    match: tuple[HTTPMatchRequest, ...] = ()  # any of them; none: everything
    route: tuple[HTTPRouteDestination, ...] = ()  # destinations by weight
    redirect: HTTPRedirect | None = None  # answer with a redirect
    direct_response: HTTPDirectResponse | None = None  # answer at once
    delegate: Delegate | None = None  # go on with another VirtualService
    rewrite: HTTPRewrite | None = None  # change path and host before forwarding
    timeout: AtLeast1ms | None = None  # whole request with retries, at least 1 ms; None: no limit
    retries: HTTPRetry | None = None  # None: the mesh's default (2)
    fault: HTTPFaultInjection | None = None  # None: no faults
    mirror: Destination | None = None  # a copy of each request, its answer thrown away
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()  # excludes mirror
    mirror_percent: UInt32 | None = None  # deprecated: whole percents of mirror
    mirror_percent_snake: UInt32 | None = field(default=None, name="mirror_percent")  # deprecated spelling
    mirror_percentage: Percent | None = None  # of mirror; None: 100%
    cors_policy: CorsPolicy | None = None  # None: preflights are forwarded
    headers: Headers | None = None  # changes for all destinations


class L4MatchAttributes(Message):
    """All that is set must hold."""

    destination_subnets: tuple[str, ...] = ()  # addresses or CIDR
    port: UInt32 = 0  # that the caller addressed; 0: any
    source_labels: FrozenMap[str, str] = EMPTY  # of the calling workload
    gateways: tuple[str, ...] = ()  # replaces the VirtualService's own; "mesh": all sidecars
    source_namespace: str = ""  # of the calling workload; "": any
    source_subnet: str = ""  # reserved by the API, never read by Istio


class RouteDestination(Message):
    destination: Destination  # where it leads
    weight: Int32 = 0  # share relative to the sum of all; a single destination needs none


class TCPRoute(Message):
    match: tuple[L4MatchAttributes, ...] = ()  # any of them; (): everything
    route: tuple[RouteDestination, ...] = ()  # destinations by weight


class TLSMatchAttributes(Message):
    sni_hosts: tuple[str, ...]  # "*.example.com" allowed; within the VirtualService's hosts
    destination_subnets: tuple[str, ...] = ()  # addresses or CIDR; (): any
    port: UInt32 = 0  # that the caller addressed; 0: any
    source_labels: FrozenMap[str, str] = EMPTY  # of the calling workload
    gateways: tuple[str, ...] = ()  # replaces the VirtualService's own; "mesh": all sidecars
    source_namespace: str = ""  # of the calling workload; "": any


class TLSRoute(Message):
    """For TLS that is passed through: only the SNI can be seen."""

    match: tuple[TLSMatchAttributes, ...]  # any of them
    route: tuple[RouteDestination, ...] = ()  # destinations by weight


class VirtualService(Message):
    """How requests to some hosts are routed."""

    hosts: tuple[str, ...] = ()  # short names mean the resource's own namespace; "*.example.com" allowed
    gateways: tuple[str, ...] = ()  # (): ("mesh",), all sidecars; "namespace/name" or "name"
    http: tuple[HTTPRoute, ...] = ()  # for HTTP, and for HTTPS that a gateway ends; the first that matches
    tls: tuple[TLSRoute, ...] = ()  # for TLS that is passed through; the first that matches
    tcp: tuple[TCPRoute, ...] = ()  # for all else; the first that matches
    export_to: tuple[str, ...] = ()  # namespaces that see it: ".", "*" or names; (): the mesh's default


# --- DestinationRule ------------------------------------------------------------------------------------------


class SimpleLB(Enum):
    UNSPECIFIED = "UNSPECIFIED"  # as LEAST_REQUEST
    LEAST_CONN = "LEAST_CONN"  # deprecated: as LEAST_REQUEST
    RANDOM = "RANDOM"
    PASSTHROUGH = "PASSTHROUGH"  # to the address that the caller asked for
    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_REQUEST = "LEAST_REQUEST"


class CookieAttribute(Message):
    name: str  # such as SameSite
    value: str = ""  # "": the name alone


class HTTPCookie(Message):
    name: str  # of the cookie
    path: str = ""  # of a cookie that is made; "": none
    ttl: Duration | None = None  # None: the cookie is never made; 0: a session cookie is made where it lacks
    attributes: tuple[CookieAttribute, ...] = ()  # of a cookie that is made


class RingHash(Message):
    minimum_ring_size: UInt64 = 0  # 0: 1024


class MagLev(Message):
    table_size: UInt64 = 0  # a prime; 0: 65537


class ConsistentHashLB(Message):
    """One of the four hash sources, one of the two algorithms (ring hash where none is named)."""

    ONE_OF: ClassVar[OneOf] = (
        ("httpCookie", "httpHeaderName", "httpQueryParameterName", "useSourceIp"),
        ("maglev", "ringHash"),
    )

    http_header_name: str | None = None  # the hash is of this header
    http_cookie: HTTPCookie | None = None  # the hash is of this cookie
    use_source_ip: bool | None = None  # the hash is of the caller's address
    http_query_parameter_name: str | None = None  # the hash is of this query parameter
    ring_hash: RingHash | None = None  # few endpoints move when one comes or goes
    maglev: MagLev | None = None  # as ring hash, faster to look up
    minimum_ring_size: UInt64 = 0  # deprecated: ring_hash.minimum_ring_size


class WarmupConfiguration(Message):
    duration: AtLeast1ms  # over which traffic to a new endpoint grows
    minimum_percent: Percentage | None = None  # None: 10
    aggression: Annotated[float, Meta(ge=0)] | None = None  # None: 1.0, linear


class LoadBalancerSettings(Message):
    """One of simple and consistent_hash; neither: LEAST_REQUEST."""

    ONE_OF: ClassVar[OneOf] = (("consistentHash", "simple"),)

    simple: SimpleLB | None = None  # without memory
    consistent_hash: ConsistentHashLB | None = None  # the same caller to the same endpoint
    locality_lb_setting: LocalityLoadBalancerSetting | None = None  # None: the mesh's
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None  # None: the mesh's
    warmup_duration_secs: AtLeast1ms | None = None  # deprecated: warmup.duration
    warmup: WarmupConfiguration | None = None  # None: a new endpoint gets its full share at once


class TcpKeepalive(Message):
    probes: UInt32 = 0  # 0: the system's (9)
    time: AtLeast1ms | None = None  # idle time before the first probe; None: the system's (2 h)
    interval: AtLeast1ms | None = None  # None: the system's (75 s)


class TCPSettings(Message):
    max_connections: Int32 = 0  # to one destination; 0: 2^32 - 1
    connect_timeout: AtLeast1ms | None = None  # None: the mesh's (10 s)
    tcp_keepalive: TcpKeepalive | None = None  # None: the mesh's
    max_connection_duration: AtLeast1ms | None = None  # after which a connection is closed; None: no limit
    idle_timeout: Duration | None = None  # None: 1 h; 0: never


class H2UpgradePolicy(Enum):
    DEFAULT = "DEFAULT"  # as the mesh's setting says
    DO_NOT_UPGRADE = "DO_NOT_UPGRADE"
    UPGRADE = "UPGRADE"


class ConnectionKeepalive(Message):
    """HTTP/2 PINGs."""

    interval: AtLeast1ms | None = None  # between PINGs; None: none are sent
    timeout: AtLeast1ms | None = None  # for the answer, then the connection is closed


class HTTPSettings(Message):
    http1_max_pending_requests: Int32 = 0  # 0: 2^32 - 1
    http2_max_requests: Int32 = 0  # 0: 2^32 - 1; also of HTTP/1.1
    max_requests_per_connection: Int32 = 0  # 0: no limit; 1: no keep-alive
    max_retries: Int32 = 0  # outstanding at once in the whole cluster; 0: 2^32 - 1
    idle_timeout: AtLeast1ms | None = None  # None: 1 h
    h2_upgrade_policy: H2UpgradePolicy = H2UpgradePolicy.DEFAULT  # HTTP/1.1 to HTTP/2
    use_client_protocol: bool = False  # upstream as the caller spoke; then there is no upgrade
    max_concurrent_streams: Int32 = 0  # 0: 2^31 - 1
    http2_keep_alive: ConnectionKeepalive | None = None  # None: no PINGs


class ConnectionPoolSettings(Message):
    tcp: TCPSettings | None = None  # of all connections
    http: HTTPSettings | None = None  # of HTTP


class OutlierDetection(Message):
    """Endpoints that fail are left out for a while."""

    consecutive_errors: Int32 = 0  # deprecated: consecutive_gateway_errors
    split_external_local_origin_errors: bool = False  # connect errors count apart from answers
    consecutive_local_origin_failures: UInt32 | None = None  # None: 5; needs the split
    consecutive_gateway_errors: UInt32 | None = None  # 502, 503, 504; None and 0: off
    consecutive_5xx_errors: UInt32 | None = field(
        default=None, name="consecutive5xxErrors"
    )  # None: 5; 0: off
    interval: AtLeast1ms | None = None  # None: 10 s
    base_ejection_time: AtLeast1ms | None = None  # times the number of ejections; None: 30 s
    max_ejection_percent: Int32 = 0  # 0: 10
    min_health_percent: Int32 = 0  # below it all endpoints are used; 0: off
    outlier_detection_http_error_codes: tuple[
        Annotated[int, Meta(ge=100, le=599)], ...
    ] = ()  # statuses that count as errors; (): 500 to 599


class ClientTLSMode(Enum):
    """The API's ClientTLSSettings.TLSmode."""

    DISABLE = "DISABLE"
    SIMPLE = "SIMPLE"  # TLS, the server authenticated
    MUTUAL = "MUTUAL"  # with a client certificate from files or a secret
    ISTIO_MUTUAL = "ISTIO_MUTUAL"  # with the mesh's own certificates


class ClientTLSSettings(Message):
    mode: ClientTLSMode = ClientTLSMode.DISABLE  # how the connection is secured
    client_certificate: str = ""  # file, for MUTUAL
    private_key: str = ""  # file, for MUTUAL
    ca_certificates: str = ""  # file; "": the server's certificate is checked against the system's roots
    credential_name: str = ""  # secret with the above; excludes the files
    subject_alt_names: tuple[str, ...] = ()  # one of which the server must have
    sni: str = ""  # server name that is asked for; "": as mode and host say
    insecure_skip_verify: bool | None = None  # the server's certificate is not checked; None: False
    ca_crl: str = ""  # file


class TunnelSettings(Message):
    target_host: str  # beyond the proxy: name or address
    target_port: UInt32  # beyond the proxy
    protocol: str = ""  # CONNECT or POST; "": CONNECT


class ProxyProtocolVersion(Enum):
    V1 = "V1"
    V2 = "V2"


class ProxyProtocol(Message):
    version: ProxyProtocolVersion = ProxyProtocolVersion.V1  # of the PROXY protocol


class RetryBudget(Message):
    percent: Percentage | None = None  # of active requests; None: 20
    min_retry_concurrency: UInt32 = 0  # 0: 3
    budget_interval: Duration | None = None  # over which requests are counted; None: those of the moment


class PortTrafficPolicy(Message):
    """For one port; it replaces the policy above it wholly, and what it leaves out is the default."""

    port: PortSelector | None = None  # of the service
    load_balancer: LoadBalancerSettings | None = None  # None: LEAST_REQUEST
    connection_pool: ConnectionPoolSettings | None = None  # None: the mesh's, then Envoy's limits
    outlier_detection: OutlierDetection | None = None  # None: the mesh's, then off
    tls: ClientTLSSettings | None = None  # None: automatic mTLS


class TrafficPolicy(Message):
    load_balancer: LoadBalancerSettings | None = None  # None: LEAST_REQUEST
    connection_pool: ConnectionPoolSettings | None = None  # None: the mesh's, then Envoy's limits
    outlier_detection: OutlierDetection | None = None  # None: the mesh's, then off
    tls: ClientTLSSettings | None = None  # None: automatic mTLS
    port_level_settings: Annotated[
        tuple[PortTrafficPolicy, ...], Meta(max_length=4096)
    ] = ()  # for single ports
    tunnel: TunnelSettings | None = None  # through an HTTP proxy; None: straight
    proxy_protocol: ProxyProtocol | None = None  # header that is sent first; None: none
    retry_budget: RetryBudget | None = None  # instead of max_retries; None: that


class Subset(Message):
    name: str  # that routes use
    labels: FrozenMap[str, str] = EMPTY  # of the endpoints that belong to it
    traffic_policy: TrafficPolicy | None = None  # field by field over the rule's own


class DestinationRule(Message):
    """What holds for traffic to a host after routing."""

    host: str  # short names mean the resource's own namespace; "*.example.com" allowed
    traffic_policy: TrafficPolicy | None = None  # for all subsets
    subsets: tuple[Subset, ...] = ()  # versions of the service
    export_to: tuple[str, ...] = ()  # (): the mesh's default
    workload_selector: targets.WorkloadSelector | None = None  # the callers it applies to; None: all


# --- Gateway --------------------------------------------------------------------------------------------------


class Port(Message):
    """A port on which a gateway listens."""

    number: UInt32  # where the gateway listens
    protocol: str  # HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, MONGO, TCP, TLS
    name: str  # a label of its own
    target_port: UInt32 = 0  # deprecated, never read by Istio


class ServerTLSMode(Enum):
    """The API's ServerTLSSettings.TLSmode."""

    PASSTHROUGH = "PASSTHROUGH"  # routed by SNI, not terminated
    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    AUTO_PASSTHROUGH = "AUTO_PASSTHROUGH"  # the SNI names the cluster
    ISTIO_MUTUAL = "ISTIO_MUTUAL"
    OPTIONAL_MUTUAL = "OPTIONAL_MUTUAL"


class TLSProtocol(Enum):
    TLS_AUTO = "TLS_AUTO"  # Envoy's default: 1.2 to 1.3
    TLSV1_0 = "TLSV1_0"
    TLSV1_1 = "TLSV1_1"
    TLSV1_2 = "TLSV1_2"
    TLSV1_3 = "TLSV1_3"


class TLSCertificate(Message):
    """Files. The API's ServerTLSSettings.TLSCertificate."""

    server_certificate: str = ""  # file with the chain
    private_key: str = ""  # file
    ca_certificates: str = ""  # file with the callers' roots, for MUTUAL


class ServerTLSSettings(Message):
    """TLS at a port where a proxy listens."""

    CEL: ClassVar[tuple[Cel, ...]] = (
        at_most_one(
            "only one of credentialNames or tlsCertificates can be set", "tlsCertificates", "credentialNames"
        ),
        at_most_one(
            "only one of credentialName or credentialNames can be set", "credentialName", "credentialNames"
        ),
        # As the API has it: its third rule says credentialName and asks credentialNames.
        at_most_one(
            "only one of credentialName or tlsCertificates can be set", "credentialNames", "tlsCertificates"
        ),
    )

    https_redirect: bool = False  # answer plain HTTP with 301 to https
    mode: ServerTLSMode = ServerTLSMode.PASSTHROUGH  # what happens to TLS
    server_certificate: str = ""  # file
    private_key: str = ""  # file
    ca_certificates: str = ""  # file, for MUTUAL
    ca_crl: str = ""  # file
    credential_name: str = ""  # secret in the gateway's namespace
    credential_names: Annotated[
        tuple[str, ...], Size(least=1, most=2)
    ] = ()  # one or two secrets (RSA and ECDSA)
    ca_cert_credential_name: str = ""  # secret with the callers' roots
    tls_certificates: Annotated[
        tuple[TLSCertificate, ...], Size(least=1, most=2)
    ] = ()  # one or two (RSA and ECDSA)
    subject_alt_names: tuple[str, ...] = ()  # one of which the caller must have
    verify_certificate_spki: tuple[str, ...] = ()  # base64 SHA-256
    verify_certificate_hash: tuple[str, ...] = ()  # hex SHA-256
    min_protocol_version: TLSProtocol = TLSProtocol.TLS_AUTO  # TLS_AUTO: 1.2
    max_protocol_version: TLSProtocol = TLSProtocol.TLS_AUTO  # TLS_AUTO: 1.3
    cipher_suites: tuple[str, ...] = ()  # by OpenSSL's names; (): Envoy's
    insecure_skip_verify: bool | None = None  # the caller's certificate is not checked; None: False


class Server(Message):
    port: Port  # where it listens
    hosts: tuple[str, ...]  # "host", "namespace/host", "./host", "*/host"; "*.example.com" allowed
    tls: ServerTLSSettings | None = None  # for HTTPS and TLS, or to redirect HTTP; None: plain text
    bind: str = ""  # address, or unix:///path; "": all
    name: str = ""  # for people, unique in the Gateway
    default_endpoint: str = ""  # loopback address for what no route matches; sidecars only


class Gateway(Message):
    """Ports that gateway proxies open to the outside."""

    servers: tuple[Server, ...] = ()  # ports and their hosts
    selector: FrozenMap[str, str] = EMPTY  # labels of the gateway workloads; EMPTY: every workload


# --- ServiceEntry, WorkloadEntry, WorkloadGroup -----------------------------------------------------------------


PortNumber = Annotated[UInt32, PORT]
"""1 to 65535; a schema asks for it, the types let 0 pass as "not set"."""

_UNIX_IS_ABSOLUTE = Cel(
    'self.startsWith("unix://") ? (self.substring(7, 8) == "/" || self.substring(7, 8) == "@") : true',
    "UDS must be an absolute path or abstract socket",
)
_UNIX_IS_FILE = Cel('self.startsWith("unix://") ? !self.endsWith("/") : true', "UDS may not be a dir")
_PORT_NAMES = Cel(
    'self.all(key, size(key) < 63 && key.matches("^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$"))',
    "port name must be valid",
)
_Address = Annotated[str, Meta(max_length=256), _UNIX_IS_ABSOLUTE, _UNIX_IS_FILE]
_Ports = Annotated[FrozenMap[str, PortNumber], Size(most=128), _PORT_NAMES]
_Place = Annotated[str, Meta(max_length=2048)]

ADDRESS_REQUIRED: Final = Cel("has(self.address) || has(self.network)", "Address is required")
"""Of a WorkloadEntry anywhere but in the template of a WorkloadGroup."""


class WorkloadEntry(Message):
    """One workload outside Kubernetes: a host, a virtual machine, a process."""

    CEL: ClassVar[tuple[Cel, ...]] = (
        Cel(
            '(has(self.address) ? self.address : "").startsWith("unix://") ? !has(self.ports) : true',
            "UDS may not include ports",
        ),
    )

    address: _Address = ""  # IP address, host name (DNS) or unix:///path
    ports: _Ports = FrozenMap()  # service port's name -> this workload's port
    labels: Annotated[FrozenMap[str, str], Size(most=256)] = EMPTY  # that services and policies select
    network: _Place = ""  # where it is reachable directly; "": the mesh's default
    locality: _Place = ""  # region/zone/subzone
    weight: UInt32 = 0  # share of traffic; 0: 1
    service_account: Annotated[str, Meta(max_length=253)] = ""  # in the resource's namespace; "": default


class Location(Enum):
    """The API's ServiceEntry.Location."""

    MESH_EXTERNAL = "MESH_EXTERNAL"  # no mTLS is assumed
    MESH_INTERNAL = "MESH_INTERNAL"


class Resolution(Enum):
    """The API's ServiceEntry.Resolution: how endpoints are found."""

    NONE = "NONE"  # the address that the caller connected to
    STATIC = "STATIC"  # the addresses of the endpoints
    DNS = "DNS"
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"  # one address at a time
    DYNAMIC_DNS = "DYNAMIC_DNS"  # the name in the request, for wildcard hosts


class ServicePort(Message):
    """A port of a ServiceEntry."""

    number: PortNumber  # of the service
    name: Annotated[str, Meta(max_length=256)]  # a label of its own; a prefix may name the protocol
    protocol: Annotated[str, Meta(max_length=256)] = ""  # as Port.protocol; "": sniffed
    target_port: PortNumber = 0  # of the endpoints; 0: number


_Selected = Annotated[
    str, Meta(max_length=63), Cel('!self.contains("*")', "wildcard is not supported in selector")
]


class WorkloadSelector(Message):
    """Workloads of the resource's own namespace. The API's istio.networking.v1.WorkloadSelector."""

    labels: Annotated[FrozenMap[str, _Selected], Size(most=256)] = EMPTY  # all must hold


_ServiceEntryHost = Annotated[str, Cel('self != "*"', "hostname cannot be wildcard")]
_PORTS_DIFFER = Cel(
    "self.all(l1, self.exists_one(l2, l1.number == l2.number))", "port number cannot be duplicated"
)


class ServiceEntry(Message):
    """A service that the platform's registry does not know."""

    CEL: ClassVar[tuple[Cel, ...]] = (
        at_most_one("only one of WorkloadSelector or Endpoints can be set", "workloadSelector", "endpoints"),
        Cel(
            '!((has(self.addresses) ? self.addresses : []).exists(k, k.contains("/"))'
            ' && !((has(self.resolution) ? self.resolution : "NONE") in ["STATIC", "NONE"]))',
            "CIDR addresses are allowed only for NONE/STATIC resolution types",
        ),
        Cel(
            '((has(self.resolution) ? self.resolution : "NONE") == "NONE") ? !has(self.endpoints) : true',
            "NONE mode cannot set endpoints",
        ),
        Cel(
            '((has(self.resolution) ? self.resolution : "") == "DNS_ROUND_ROBIN")'
            " ? ((has(self.endpoints) ? self.endpoints : []).size() <= 1) : true",
            "DNS_ROUND_ROBIN mode cannot have multiple endpoints",
        ),
    )

    hosts: Annotated[
        tuple[_ServiceEntryHost, ...], Meta(min_length=1, max_length=256)
    ]  # DNS names; "*.example.com" allowed
    addresses: Annotated[
        tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=256)
    ] = ()  # virtual IP addresses or CIDR
    ports: Annotated[
        tuple[ServicePort, ...], Meta(max_length=256), ListKey("name"), _PORTS_DIFFER
    ] = ()  # of the service
    location: Location = Location.MESH_EXTERNAL  # outside or inside of the mesh
    resolution: Resolution = Resolution.NONE  # how endpoints are found
    endpoints: Annotated[
        tuple[Annotated[WorkloadEntry, ADDRESS_REQUIRED], ...], Meta(max_length=4096)
    ] = ()  # of the service; (): its hosts, for DNS
    workload_selector: WorkloadSelector | None = None  # excludes endpoints
    export_to: tuple[str, ...] = ()  # namespaces that see it: ".", "*" or names; (): the mesh's default
    subject_alt_names: tuple[str, ...] = ()  # one of which the server must have


class ObjectMeta(Message):
    """Labels and annotations that a WorkloadGroup gives its WorkloadEntries."""

    labels: Annotated[FrozenMap[str, str], Size(most=256)] = EMPTY  # over those of the template
    annotations: Annotated[FrozenMap[str, str], Size(most=256)] = EMPTY  # as they are


class HTTPHeader(Message):
    name: HeaderName = ""  # of the header
    value: str = ""  # of the header


_Scheme = Annotated[str, Cel('self in ["", "HTTP", "HTTPS"]', "scheme must be one of [HTTP, HTTPS]")]


class HTTPHealthCheckConfig(Message):
    port: PortNumber  # of the workload
    path: str = ""  # "": /
    host: str = ""  # "": localhost
    scheme: _Scheme = ""  # HTTP or HTTPS; "": HTTP
    http_headers: tuple[HTTPHeader, ...] = ()  # of the request


class TCPHealthCheckConfig(Message):
    port: PortNumber  # of the workload
    host: str = ""  # "": localhost


class ExecHealthCheckConfig(Message):
    command: tuple[NonEmpty, ...]  # with its arguments; exit code 0 is well


class GrpcHealthCheckConfig(Message):
    port: PortNumber = 0  # of the workload
    service: str = ""  # that is asked for; "": the whole server


class ReadinessProbe(Message):
    """One of the four ways. Times in seconds."""

    ONE_OF: ClassVar[OneOf] = (("exec", "grpc", "httpGet", "tcpSocket"),)

    initial_delay_seconds: NonNegativeInt32 = 0  # after the start
    timeout_seconds: NonNegativeInt32 = 0  # 0: 1
    period_seconds: NonNegativeInt32 = 0  # 0: 10
    success_threshold: NonNegativeInt32 = 0  # 0: 1
    failure_threshold: NonNegativeInt32 = 0  # 0: 3
    http_get: HTTPHealthCheckConfig | None = None  # a status from 200 to 399 is well
    tcp_socket: TCPHealthCheckConfig | None = None  # a connection is well
    exec: ExecHealthCheckConfig | None = None  # a command in the workload
    grpc: GrpcHealthCheckConfig | None = None  # grpc.health.v1


class WorkloadGroup(Message):
    """What the WorkloadEntries that register themselves have in common."""

    template: WorkloadEntry  # without address
    metadata: ObjectMeta | None = None  # of the WorkloadEntries; None: nothing
    probe: ReadinessProbe | None = None  # may it get traffic; None: always


# --- Sidecar --------------------------------------------------------------------------------------------------


class SidecarPort(Message):
    """A port of a sidecar's listener."""

    number: UInt32 = 0  # 1 to 65535
    protocol: str = ""  # as Port.protocol; "": sniffed
    name: str = ""  # a label of its own
    target_port: UInt32 = 0  # deprecated, never read by Istio


class CaptureMode(Enum):
    """How traffic comes to a listener."""

    DEFAULT = "DEFAULT"  # as the proxy is set up
    IPTABLES = "IPTABLES"  # captured
    NONE = "NONE"  # addressed to the listener


class IstioIngressListener(Message):
    """A port at which the sidecar takes traffic for its workload."""

    port: SidecarPort  # of the workload, as callers see it
    bind: str = ""  # address; "": the workload's; not for captured traffic
    capture_mode: CaptureMode = CaptureMode.DEFAULT  # how traffic gets here
    default_endpoint: str = ""  # 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT or unix:///path of the application
    tls: ServerTLSSettings | None = None  # ended here instead of mTLS; needs mTLS off for the port
    connection_pool: ConnectionPoolSettings | None = None  # None: inbound_connection_pool


class IstioEgressListener(Message):
    """What the workload may reach, by a port or by all of them."""

    hosts: tuple[str, ...]  # namespace/host: "./*", "*/*", "~/*" for none, "ns/*.example.com"
    port: SidecarPort | None = None  # None: all ports of the hosts; one listener at most may leave it out
    bind: str = ""  # address, or unix:///path; "": the services' addresses, or 127.0.0.1 without capture
    capture_mode: CaptureMode = CaptureMode.DEFAULT  # how traffic gets here


class SidecarOutboundMode(Enum):
    """The API's OutboundTrafficPolicy.Mode."""

    REGISTRY_ONLY = "REGISTRY_ONLY"  # what the sidecar does not know is refused
    ALLOW_ANY = "ALLOW_ANY"


class OutboundTrafficPolicy(Message):
    """For traffic to what the sidecar does not know."""

    mode: SidecarOutboundMode = SidecarOutboundMode.REGISTRY_ONLY  # the policy itself left out: the mesh's
    egress_proxy: Destination | None = None  # where all of it is sent; needs ALLOW_ANY


class Sidecar(Message):
    """What a workload's sidecar takes and reaches. One a namespace may have no selector, and holds for the others."""

    workload_selector: WorkloadSelector | None = None  # None: all of the namespace
    ingress: tuple[IstioIngressListener, ...] = ()  # (): the ports of the services that select the workload
    egress: tuple[IstioEgressListener, ...] = ()  # (): as the root namespace's; at last everything
    inbound_connection_pool: ConnectionPoolSettings | None = (
        None  # of all ingress; None: the DestinationRule's
    )
    outbound_traffic_policy: OutboundTrafficPolicy | None = None  # None: the mesh's


# --- ProxyConfig ----------------------------------------------------------------------------------------------


class ProxyImage(Message):
    """Which build of the proxy injection takes."""

    image_type: str = ""  # default, debug or distroless; "": as the mesh says


class ProxyConfig(Message):
    """Settings of some proxies, over those of the mesh (mesh.ProxyConfig)."""

    selector: targets.WorkloadSelector | None = None  # None: all of the namespace
    concurrency: NonNegativeInt32 | None = None  # worker threads; None: as mesh.ProxyConfig
    environment_variables: FrozenMap[str, Annotated[str, Meta(max_length=2048)]] = EMPTY  # of the agent
    image: ProxyImage | None = None  # None: as the mesh says
