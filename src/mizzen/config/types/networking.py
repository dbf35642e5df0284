"""networking.istio.io: VirtualService, DestinationRule, Gateway, ServiceEntry, WorkloadEntry, WorkloadGroup.

A number that is 0 and a string that is "" were not set, unless the field says otherwise; None is "not set" where
absence means something else than zero. Defaults named in comments are what the mesh does when a field is not set.
"""

from enum import Enum
from typing import Annotated

from msgspec import Meta, field

from mizzen.config.types import targets
from mizzen.config.types.message import Duration, Int32, Message, UInt32
from mizzen.frozen import EMPTY, FrozenMap

# --- words that several kinds share ---------------------------------------------------------------------------


class StringMatch(Message):
    """Exactly one of the three. Case sensitive unless the field that holds it says otherwise."""

    exact: str | None = None
    prefix: str | None = None
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

    set: FrozenMap[str, str] = EMPTY
    add: FrozenMap[str, str] = EMPTY
    remove: tuple[str, ...] = ()


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

    distribute: tuple[LocalityDistribute, ...] = ()
    failover: tuple[LocalityFailover, ...] = ()
    failover_priority: tuple[str, ...] = ()  # labels, most important first
    enabled: bool | None = None  # None: as the mesh's setting says


class ZoneAwareLoadBalancerSetting(Message):
    failover: tuple[LocalityFailover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    enabled: bool | None = None
    min_cluster_size: int | None = None  # endpoints below which zones are ignored; default: Envoy's 6


# --- VirtualService -------------------------------------------------------------------------------------------


class HTTPMatchRequest(Message):
    """All that is set must hold."""

    name: str = ""  # for people: route.match in access logs
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: FrozenMap[str, StringMatch] = (
        FrozenMap()
    )  # lower-case names; an empty match asks only for presence
    port: UInt32 = 0  # port that the caller addressed; 0: any
    source_labels: FrozenMap[str, str] = EMPTY  # of the calling workload
    gateways: tuple[str, ...] = ()  # replaces the VirtualService's own; "mesh": all sidecars
    query_params: FrozenMap[str, StringMatch] = FrozenMap()  # an empty match asks only for presence
    ignore_uri_case: bool = False  # for exact and prefix of uri
    without_headers: FrozenMap[str, StringMatch] = FrozenMap()  # as headers, negated
    source_namespace: str = ""  # of the calling workload; "": any
    stat_prefix: str = ""  # Envoy's statistics of this route, "": none


class HTTPRouteDestination(Message):
    destination: Destination
    weight: Int32 = 0  # share relative to the sum of all; a single destination needs none
    headers: Headers | None = None


class RedirectPortSelection(Enum):
    FROM_PROTOCOL_DEFAULT = "FROM_PROTOCOL_DEFAULT"  # 80 for http, 443 for https
    FROM_REQUEST_PORT = "FROM_REQUEST_PORT"


class HTTPRedirect(Message):
    """Answer with a redirect instead of forwarding. `port` and `derive_port` exclude each other."""

    uri: str = ""  # replaces the whole path; may hold %PREFIX()% for what the match's prefix left
    authority: str = ""  # replaces the host
    port: UInt32 | None = None
    derive_port: RedirectPortSelection | None = None
    scheme: str = ""  # http or https
    redirect_code: UInt32 = 0  # 301, 302, 303, 307 or 308; 0: 301
    prefix_rewrite: str = ""  # replaces the matched prefix


class HTTPBody(Message):
    """One of the two."""

    string: str | None = None
    bytes: str | None = None  # base64


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
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


class HTTPRetry(Message):
    attempts: Int32 = 0  # retries after the first try; 0: none
    per_try_timeout: Duration | None = None  # None: the route's timeout
    retry_on: str = ""  # Envoy's conditions and status codes by comma; "": the mesh's default
    retry_remote_localities: bool | None = None
    retry_ignore_previous_hosts: bool | None = None  # None: True, a retry avoids endpoints that failed
    backoff: Duration | None = None  # base interval, doubled each time; None: 25 ms


class HTTPFaultDelay(Message):
    """The API's HTTPFaultInjection.Delay."""

    fixed_delay: Duration | None = None
    exponential_delay: Duration | None = None  # reserved by the API, never read by Istio
    percent: Int32 = 0  # deprecated: whole percents
    percentage: Percent | None = None  # None: 100%


class HTTPFaultAbort(Message):
    """The API's HTTPFaultInjection.Abort."""

    http_status: Int32 | None = None
    grpc_status: str | None = None  # by name: UNAVAILABLE
    http2_error: str | None = None  # reserved by the API, never read by Istio
    percentage: Percent | None = None  # None: 100%


class HTTPFaultInjection(Message):
    """Faults on purpose; both together are independent of each other."""

    delay: HTTPFaultDelay | None = None
    abort: HTTPFaultAbort | None = None


class UnmatchedPreflights(Enum):
    UNSPECIFIED = "UNSPECIFIED"  # as FORWARD
    FORWARD = "FORWARD"
    IGNORE = "IGNORE"


class CorsPolicy(Message):
    allow_origin: tuple[str, ...] = ()  # deprecated: exact origins
    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()  # Access-Control-Allow-Methods
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Duration | None = None  # how long a preflight may be cached; whole seconds
    allow_credentials: bool | None = None
    unmatched_preflights: UnmatchedPreflights = UnmatchedPreflights.UNSPECIFIED


class HTTPMirrorPolicy(Message):
    destination: Destination
    percentage: Percent | None = None  # None: 100%


class Delegate(Message):
    """The VirtualService that goes on with what this route matched."""

    name: str = ""
    namespace: str = ""  # "": that of the VirtualService which delegates


class HTTPRoute(Message):
    """One rule; the first that matches decides. One of route, redirect, direct_response, delegate."""

    name: str = ""
    match: tuple[HTTPMatchRequest, ...] = ()  # any of them; none: everything
    route: tuple[HTTPRouteDestination, ...] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HTTPRewrite | None = None
    timeout: Duration | None = None  # whole request with retries, at least 1 ms; None: no limit
    retries: HTTPRetry | None = None  # None: the mesh's default (2)
    fault: HTTPFaultInjection | None = None
    mirror: Destination | None = None  # a copy of each request, its answer thrown away
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()  # excludes mirror
    mirror_percent: UInt32 | None = None  # deprecated: whole percents of mirror
    mirror_percent_snake: UInt32 | None = field(default=None, name="mirror_percent")  # deprecated spelling
    mirror_percentage: Percent | None = None  # of mirror; None: 100%
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None


class L4MatchAttributes(Message):
    """All that is set must hold."""

    destination_subnets: tuple[str, ...] = ()  # addresses or CIDR
    port: UInt32 = 0
    source_labels: FrozenMap[str, str] = EMPTY
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""
    source_subnet: str = ""  # reserved by the API, never read by Istio


class RouteDestination(Message):
    destination: Destination
    weight: Int32 = 0


class TCPRoute(Message):
    match: tuple[L4MatchAttributes, ...] = ()
    route: tuple[RouteDestination, ...] = ()


class TLSMatchAttributes(Message):
    sni_hosts: tuple[str, ...]  # "*.example.com" allowed; within the VirtualService's hosts
    destination_subnets: tuple[str, ...] = ()
    port: UInt32 = 0
    source_labels: FrozenMap[str, str] = EMPTY
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


class TLSRoute(Message):
    """For TLS that is passed through: only the SNI can be seen."""

    match: tuple[TLSMatchAttributes, ...]
    route: tuple[RouteDestination, ...] = ()


class VirtualService(Message):
    """How requests to some hosts are routed."""

    hosts: tuple[str, ...] = ()  # short names mean the resource's own namespace; "*.example.com" allowed
    gateways: tuple[str, ...] = ()  # (): ("mesh",), all sidecars; "namespace/name" or "name"
    http: tuple[HTTPRoute, ...] = ()
    tls: tuple[TLSRoute, ...] = ()
    tcp: tuple[TCPRoute, ...] = ()
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
    name: str
    value: str = ""


class HTTPCookie(Message):
    name: str
    path: str = ""
    ttl: Duration | None = None  # None: the cookie is never made; 0: a session cookie is made where it lacks
    attributes: tuple[CookieAttribute, ...] = ()


class RingHash(Message):
    minimum_ring_size: int = 0  # 0: 1024


class MagLev(Message):
    table_size: int = 0  # a prime; 0: 65537


class ConsistentHashLB(Message):
    """One of the four hash sources, one of the two algorithms (ring hash where none is named)."""

    http_header_name: str | None = None
    http_cookie: HTTPCookie | None = None
    use_source_ip: bool | None = None
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: MagLev | None = None
    minimum_ring_size: int = 0  # deprecated: ring_hash.minimum_ring_size


class WarmupConfiguration(Message):
    duration: Duration
    minimum_percent: float | None = None  # None: 10
    aggression: float | None = None  # None: 1.0, linear


class LoadBalancerSettings(Message):
    """One of simple and consistent_hash; neither: LEAST_REQUEST."""

    simple: SimpleLB | None = None
    consistent_hash: ConsistentHashLB | None = None
    locality_lb_setting: LocalityLoadBalancerSetting | None = None
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    warmup_duration_secs: Duration | None = None  # deprecated: warmup.duration
    warmup: WarmupConfiguration | None = None


class TcpKeepalive(Message):
    probes: UInt32 = 0  # 0: the system's (9)
    time: Duration | None = None  # idle time before the first probe; None: the system's (2 h)
    interval: Duration | None = None  # None: the system's (75 s)


class TCPSettings(Message):
    max_connections: Int32 = 0  # to one destination; 0: 2^32 - 1
    connect_timeout: Duration | None = None  # None: the mesh's (10 s)
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: Duration | None = None
    idle_timeout: Duration | None = None  # None: 1 h; 0: never


class H2UpgradePolicy(Enum):
    DEFAULT = "DEFAULT"  # as the mesh's setting says
    DO_NOT_UPGRADE = "DO_NOT_UPGRADE"
    UPGRADE = "UPGRADE"


class ConnectionKeepalive(Message):
    """HTTP/2 PINGs."""

    interval: Duration | None = None
    timeout: Duration | None = None


class HTTPSettings(Message):
    http1_max_pending_requests: Int32 = 0  # 0: 2^32 - 1
    http2_max_requests: Int32 = 0  # 0: 2^32 - 1; also of HTTP/1.1
    max_requests_per_connection: Int32 = 0  # 0: no limit; 1: no keep-alive
    max_retries: Int32 = 0  # outstanding at once in the whole cluster; 0: 2^32 - 1
    idle_timeout: Duration | None = None  # None: 1 h
    h2_upgrade_policy: H2UpgradePolicy = H2UpgradePolicy.DEFAULT
    use_client_protocol: bool = False
    max_concurrent_streams: Int32 = 0  # 0: 2^31 - 1
    http2_keep_alive: ConnectionKeepalive | None = None


class ConnectionPoolSettings(Message):
    tcp: TCPSettings | None = None
    http: HTTPSettings | None = None


class OutlierDetection(Message):
    """Endpoints that fail are left out for a while."""

    consecutive_errors: Int32 = 0  # deprecated: consecutive_gateway_errors
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: UInt32 | None = None  # None: 5; needs the split
    consecutive_gateway_errors: UInt32 | None = None  # 502, 503, 504; None and 0: off
    consecutive_5xx_errors: UInt32 | None = field(
        default=None, name="consecutive5xxErrors"
    )  # None: 5; 0: off
    interval: Duration | None = None  # None: 10 s
    base_ejection_time: Duration | None = None  # times the number of ejections; None: 30 s
    max_ejection_percent: Int32 = 0  # 0: 10
    min_health_percent: Int32 = 0  # below it all endpoints are used; 0: off
    outlier_detection_http_error_codes: tuple[int, ...] = ()


class ClientTLSMode(Enum):
    """The API's ClientTLSSettings.TLSmode."""

    DISABLE = "DISABLE"
    SIMPLE = "SIMPLE"  # TLS, the server authenticated
    MUTUAL = "MUTUAL"  # with a client certificate from files or a secret
    ISTIO_MUTUAL = "ISTIO_MUTUAL"  # with the mesh's own certificates


class ClientTLSSettings(Message):
    mode: ClientTLSMode = ClientTLSMode.DISABLE
    client_certificate: str = ""  # file, for MUTUAL
    private_key: str = ""  # file, for MUTUAL
    ca_certificates: str = ""  # file; "": the server's certificate is checked against the system's roots
    credential_name: str = ""  # secret with the above; excludes the files
    subject_alt_names: tuple[str, ...] = ()  # one of which the server must have
    sni: str = ""
    insecure_skip_verify: bool | None = None
    ca_crl: str = ""  # file


class TunnelSettings(Message):
    target_host: str
    target_port: UInt32
    protocol: str = ""  # CONNECT or POST; "": CONNECT


class ProxyProtocolVersion(Enum):
    V1 = "V1"
    V2 = "V2"


class ProxyProtocol(Message):
    version: ProxyProtocolVersion = ProxyProtocolVersion.V1


class RetryBudget(Message):
    percent: float | None = None  # of active requests; None: 20
    min_retry_concurrency: UInt32 = 0  # 0: 3
    budget_interval: Duration | None = None


class PortTrafficPolicy(Message):
    """For one port; it replaces the policy above it wholly, and what it leaves out is the default."""

    port: PortSelector | None = None
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None


class TrafficPolicy(Message):
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None  # None: automatic mTLS
    port_level_settings: tuple[PortTrafficPolicy, ...] = ()
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None


class Subset(Message):
    name: str
    labels: FrozenMap[str, str] = EMPTY  # of the endpoints that belong to it
    traffic_policy: TrafficPolicy | None = None  # field by field over the rule's own


class LabelSelector(Message):
    """The API's istio.type.v1beta1.WorkloadSelector; `WorkloadSelector` below is ServiceEntry's."""

    match_labels: FrozenMap[str, str] = EMPTY  # all must hold; EMPTY: every workload


class DestinationRule(Message):
    """What holds for traffic to a host after routing."""

    host: str  # short names mean the resource's own namespace; "*.example.com" allowed
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ()  # (): the mesh's default
    workload_selector: LabelSelector | None = None  # the callers it applies to; None: all


# --- Gateway --------------------------------------------------------------------------------------------------


class Port(Message):
    """A port on which a gateway listens."""

    number: UInt32
    protocol: str  # HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, MONGO, TCP, TLS
    name: str
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

    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""


class ServerTLSSettings(Message):
    https_redirect: bool = False  # answer plain HTTP with 301 to https
    mode: ServerTLSMode = ServerTLSMode.PASSTHROUGH
    server_certificate: str = ""  # file
    private_key: str = ""  # file
    ca_certificates: str = ""  # file, for MUTUAL
    ca_crl: str = ""  # file
    credential_name: str = ""  # secret in the gateway's namespace
    credential_names: tuple[str, ...] = ()  # one or two secrets (RSA and ECDSA)
    ca_cert_credential_name: str = ""  # secret with the callers' roots
    tls_certificates: tuple[TLSCertificate, ...] = ()
    subject_alt_names: tuple[str, ...] = ()  # one of which the caller must have
    verify_certificate_spki: tuple[str, ...] = ()  # base64 SHA-256
    verify_certificate_hash: tuple[str, ...] = ()  # hex SHA-256
    min_protocol_version: TLSProtocol = TLSProtocol.TLS_AUTO
    max_protocol_version: TLSProtocol = TLSProtocol.TLS_AUTO
    cipher_suites: tuple[str, ...] = ()
    insecure_skip_verify: bool | None = None


class Server(Message):
    port: Port
    hosts: tuple[str, ...]  # "host", "namespace/host", "./host", "*/host"; "*.example.com" allowed
    tls: ServerTLSSettings | None = None
    bind: str = ""  # address, or unix:///path; "": all
    name: str = ""
    default_endpoint: str = ""  # loopback address for what no route matches; sidecars only


class Gateway(Message):
    """Ports that gateway proxies open to the outside."""

    servers: tuple[Server, ...] = ()
    selector: FrozenMap[str, str] = EMPTY  # labels of the gateway workloads; EMPTY: every workload


# --- ServiceEntry, WorkloadEntry, WorkloadGroup -----------------------------------------------------------------


class WorkloadEntry(Message):
    """One workload outside Kubernetes: a host, a virtual machine, a process."""

    address: str = ""  # IP address, host name (DNS) or unix:///path
    ports: FrozenMap[str, UInt32] = FrozenMap()  # service port's name -> this workload's port
    labels: FrozenMap[str, str] = EMPTY
    network: str = ""
    locality: str = ""  # region/zone/subzone
    weight: UInt32 = 0  # share of traffic; 0: 1
    service_account: str = ""  # in the resource's namespace; "": default


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

    number: UInt32
    name: str
    protocol: str = ""  # as Port.protocol; "": sniffed
    target_port: UInt32 = 0  # of the endpoints; 0: number


class WorkloadSelector(Message):
    """Workloads of the resource's own namespace. The API's istio.networking.v1.WorkloadSelector."""

    labels: FrozenMap[str, str] = EMPTY


class ServiceEntry(Message):
    """A service that the platform's registry does not know."""

    hosts: tuple[str, ...]
    addresses: tuple[str, ...] = ()  # virtual IP addresses or CIDR
    ports: tuple[ServicePort, ...] = ()
    location: Location = Location.MESH_EXTERNAL
    resolution: Resolution = Resolution.NONE
    endpoints: tuple[WorkloadEntry, ...] = ()
    workload_selector: WorkloadSelector | None = None  # excludes endpoints
    export_to: tuple[str, ...] = ()
    subject_alt_names: tuple[str, ...] = ()  # one of which the server must have


class ObjectMeta(Message):
    """Labels and annotations that a WorkloadGroup gives its WorkloadEntries."""

    labels: FrozenMap[str, str] = EMPTY
    annotations: FrozenMap[str, str] = EMPTY


class HTTPHeader(Message):
    name: str = ""
    value: str = ""


class HTTPHealthCheckConfig(Message):
    port: UInt32
    path: str = ""  # "": /
    host: str = ""  # "": localhost
    scheme: str = ""  # HTTP or HTTPS; "": HTTP
    http_headers: tuple[HTTPHeader, ...] = ()


class TCPHealthCheckConfig(Message):
    port: UInt32
    host: str = ""  # "": localhost


class ExecHealthCheckConfig(Message):
    command: tuple[str, ...]


class GrpcHealthCheckConfig(Message):
    port: UInt32 = 0
    service: str = ""


class ReadinessProbe(Message):
    """One of the four ways. Times in seconds."""

    initial_delay_seconds: Int32 = 0
    timeout_seconds: Int32 = 0  # 0: 1
    period_seconds: Int32 = 0  # 0: 10
    success_threshold: Int32 = 0  # 0: 1
    failure_threshold: Int32 = 0  # 0: 3
    http_get: HTTPHealthCheckConfig | None = None
    tcp_socket: TCPHealthCheckConfig | None = None
    exec: ExecHealthCheckConfig | None = None
    grpc: GrpcHealthCheckConfig | None = None


class WorkloadGroup(Message):
    """What the WorkloadEntries that register themselves have in common."""

    template: WorkloadEntry  # without address
    metadata: ObjectMeta | None = None
    probe: ReadinessProbe | None = None


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

    mode: SidecarOutboundMode = (
        SidecarOutboundMode.REGISTRY_ONLY
    )  # a Sidecar that sets none of it: the mesh's
    egress_proxy: Destination | None = None  # where all of it is sent; needs ALLOW_ANY


class Sidecar(Message):
    """What a workload's sidecar takes and reaches. One a namespace may have no selector, and holds for the others."""

    workload_selector: WorkloadSelector | None = None  # None: all of the namespace
    ingress: tuple[IstioIngressListener, ...] = ()  # (): the ports of the services that select the workload
    egress: tuple[IstioEgressListener, ...] = ()  # (): as the root namespace's; at last everything
    inbound_connection_pool: ConnectionPoolSettings | None = (
        None  # of all ingress; None: as the DestinationRule's
    )
    outbound_traffic_policy: OutboundTrafficPolicy | None = None  # None: the mesh's


# --- ProxyConfig ----------------------------------------------------------------------------------------------


class ProxyImage(Message):
    """Which build of the proxy injection takes."""

    image_type: str = ""  # default, debug or distroless; "": as the mesh says


class ProxyConfig(Message):
    """Settings of some proxies, over those of the mesh (mesh.ProxyConfig)."""

    selector: targets.WorkloadSelector | None = None  # None: all of the namespace
    concurrency: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = (
        None  # worker threads; None: as mesh.ProxyConfig
    )
    environment_variables: FrozenMap[str, Annotated[str, Meta(max_length=2048)]] = EMPTY  # of the agent
    image: ProxyImage | None = None  # None: as the mesh says
