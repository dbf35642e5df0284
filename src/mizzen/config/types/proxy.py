"""mesh.istio.io: ProxyConfig, the settings of a proxy: the mesh's defaults, or one workload's own by annotation.

Defaults are the values that are in force where a document leaves a setting out; None is named where it means something else.
"""

from enum import Enum
from typing import ClassVar

from mizzen.config.types.message import Duration, Int32, Message, OneOf, SecretText, UInt32
from mizzen.config.types.networking import ClientTLSSettings, ProxyImage, ReadinessProbe, TcpKeepalive
from mizzen.frozen import EMPTY, FrozenMap

# --- tracing ----------------------------------------------------------------------------------------------------


class Zipkin(Message):
    """The API's Tracing.Zipkin."""

    address: str = ""  # host:port of the collector


class Lightstep(Message):
    """The API's Tracing.Lightstep. Removed from Istio."""

    address: str = ""  # host:port of the satellites
    access_token: SecretText = SecretText(b"")  # for them


class Datadog(Message):
    """The API's Tracing.Datadog."""

    address: str = ""  # host:port of the agent


class Stackdriver(Message):
    """The API's Tracing.Stackdriver. Removed from Istio."""

    debug: bool = False  # write traces to stdout, too
    max_number_of_attributes: int | None = None  # per span; None: 200
    max_number_of_annotations: int | None = None  # per span; None: 200
    max_number_of_message_events: int | None = None  # per span; None: 200


class TraceContext(Enum):
    """The API's OpenCensusAgent.TraceContext: the headers of a trace."""

    UNSPECIFIED = "UNSPECIFIED"
    W3C_TRACE_CONTEXT = "W3C_TRACE_CONTEXT"  # traceparent
    GRPC_BIN = "GRPC_BIN"  # grpc-trace-bin
    CLOUD_TRACE_CONTEXT = "CLOUD_TRACE_CONTEXT"  # x-cloud-trace-context
    B3 = "B3"  # x-b3-*


class OpenCensusAgent(Message):
    """The API's Tracing.OpenCensusAgent. Removed from Envoy."""

    address: str = ""  # of the agent, as gRPC writes it
    context: tuple[TraceContext, ...] = ()  # headers that are read and sent


class Literal(Message):
    """The API's Tracing.Literal."""

    value: str = ""  # the tag's value


class Environment(Message):
    """The API's Tracing.Environment."""

    name: str = ""  # of the variable in the proxy's environment
    default_value: str = ""  # where it is not set; "": the tag is left out


class RequestHeader(Message):
    """The API's Tracing.RequestHeader."""

    name: str = ""  # of the header
    default_value: str = ""  # where the request has none; "": the tag is left out


class CustomTag(Message):
    """The API's Tracing.CustomTag: where the value of a span's tag comes from. One of the three."""

    ONE_OF: ClassVar[OneOf] = (("literal", "environment", "header"),)

    literal: Literal | None = None  # the same for every span
    environment: Environment | None = None  # of the proxy
    header: RequestHeader | None = None  # of the request


class Tracing(Message):
    """Where spans go, by one tracer at most. The Telemetry API wins over it."""

    ONE_OF: ClassVar[OneOf] = (("zipkin", "lightstep", "datadog", "stackdriver", "openCensusAgent"),)

    zipkin: Zipkin | None = None  # also Jaeger
    lightstep: Lightstep | None = None  # removed from Istio
    datadog: Datadog | None = None  # a Datadog agent
    stackdriver: Stackdriver | None = None  # removed from Istio
    open_census_agent: OpenCensusAgent | None = None  # removed from Envoy
    custom_tags: FrozenMap[str, CustomTag] = FrozenMap()  # tag -> value
    max_path_tag_length: UInt32 = 0  # characters of the path in http.url; 0: 256
    sampling: float = 1.0  # percent of requests
    tls_settings: ClientTLSSettings | None = None  # towards the collector; None: plain text
    enable_istio_tags: bool | None = None  # istio.mesh_id and its kin; None: True


# --- what a proxy tells of itself, and to whom ------------------------------------------------------------------


class SDS(Message):
    """Certificates by discovery: always so now. Deprecated, never read by Istio."""

    enabled: bool = False  # never read
    k8s_sa_jwt_path: str = ""  # never read


class RemoteService(Message):
    """A gRPC service outside of the mesh's configuration."""

    address: str = ""  # host:port
    tls_settings: ClientTLSSettings | None = None  # None: plain text
    tcp_keepalive: TcpKeepalive | None = None  # None: the system's


class ProxyStatsMatcher(Message):
    """Which of Envoy's statistics are kept besides those that Istio keeps. Any of the three."""

    inclusion_prefixes: tuple[str, ...] = ()  # of the statistic's name
    inclusion_suffixes: tuple[str, ...] = ()  # of the statistic's name
    inclusion_regexps: tuple[str, ...] = ()  # RE2, on the whole name


# --- headers and addresses --------------------------------------------------------------------------------------


class ForwardClientCertDetails(Enum):
    """What becomes of X-Forwarded-Client-Cert."""

    UNDEFINED = "UNDEFINED"  # gateways: SANITIZE_SET; sidecars: APPEND_FORWARD
    SANITIZE = "SANITIZE"  # removed
    FORWARD_ONLY = "FORWARD_ONLY"  # kept where the connection is mTLS
    APPEND_FORWARD = "APPEND_FORWARD"  # the client's certificate is appended where the connection is mTLS
    SANITIZE_SET = "SANITIZE_SET"  # replaced where the connection is mTLS
    ALWAYS_FORWARD_ONLY = "ALWAYS_FORWARD_ONLY"  # kept, mTLS or not


class ProxyProtocolConfiguration(Message):
    """The API's Topology.ProxyProtocolConfiguration: that it is there turns PROXY protocol on."""


class Topology(Message):
    """What stands before a gateway."""

    num_trusted_proxies: UInt32 = 0  # whose entries in X-Forwarded-For are believed
    forward_client_cert_details: ForwardClientCertDetails = (
        ForwardClientCertDetails.UNDEFINED
    )  # as named there
    proxy_protocol: ProxyProtocolConfiguration | None = None  # the gateway reads PROXY protocol; None: no


class SetCurrentClientCertDetails(Message):
    """The API's ProxyHeaders.SetCurrentClientCertDetails: what of the certificate X-Forwarded-Client-Cert tells."""

    subject: bool | None = None  # None: True
    cert: bool | None = None  # the certificate itself; None: False
    chain: bool | None = None  # with its chain; None: False
    dns: bool | None = None  # DNS names; None: True
    uri: bool | None = None  # URI names: the SPIFFE ID; None: True


class RequestId(Message):
    """The API's ProxyHeaders.RequestId."""

    disabled: bool | None = None  # no x-request-id is made; None: False


class Server(Message):
    """The API's ProxyHeaders.Server: the response header `server`."""

    disabled: bool | None = None  # passed on as the workload wrote it; None: False
    value: str = ""  # what is written instead; "": istio-envoy


class AttemptCount(Message):
    """The API's ProxyHeaders.AttemptCount."""

    disabled: bool | None = None  # no x-envoy-attempt-count; None: False


class EnvoyDebugHeaders(Message):
    """The API's ProxyHeaders.EnvoyDebugHeaders."""

    disabled: bool | None = None  # no x-envoy-* headers such as the upstream's time; None: False


class MetadataExchangeMode(Enum):
    """The API's ProxyHeaders.MetadataExchangeMode."""

    UNDEFINED = "UNDEFINED"  # always
    IN_MESH = "IN_MESH"  # not to services outside of the mesh


class MetadataExchangeHeaders(Message):
    """The API's ProxyHeaders.MetadataExchangeHeaders: x-envoy-peer-metadata."""

    mode: MetadataExchangeMode = MetadataExchangeMode.UNDEFINED  # when they are sent


class XForwardedHost(Message):
    """The API's ProxyHeaders.XForwardedHost."""

    enabled: bool | None = None  # the original host is appended; None: False


class XForwardedPort(Message):
    """The API's ProxyHeaders.XForwardedPort."""

    enabled: bool | None = None  # the port that was addressed is set; None: False


class ProxyHeaders(Message):
    """Headers that a proxy adds. A message that is absent leaves its header as Istio has it."""

    forwarded_client_cert: ForwardClientCertDetails = (
        ForwardClientCertDetails.UNDEFINED
    )  # of X-Forwarded-Client-Cert
    set_current_client_cert_details: SetCurrentClientCertDetails | None = None  # its parts
    request_id: RequestId | None = None  # x-request-id
    server: Server | None = None  # `server` in answers
    attempt_count: AttemptCount | None = None  # x-envoy-attempt-count
    envoy_debug_headers: EnvoyDebugHeaders | None = None  # x-envoy-* in answers
    metadata_exchange_headers: MetadataExchangeHeaders | None = None  # x-envoy-peer-metadata
    preserve_http1_header_case: bool | None = None  # HTTP/1 header names keep their case; None: False
    x_forwarded_host: XForwardedHost | None = None  # X-Forwarded-Host
    x_forwarded_port: XForwardedPort | None = None  # X-Forwarded-Port


# --- connections ------------------------------------------------------------------------------------------------


class ConnectionProfile(Enum):
    """The API's ConnectionSettings.Profile."""

    SIDECAR = "SIDECAR"  # peers are trusted: Envoy's own limits
    EDGE = "EDGE"  # peers are not: Envoy's recommended limits for what faces the internet


class HeadersWithUnderscoresAction(Enum):
    """The API's ConnectionSettings.HeadersWithUnderscoresAction: for names that a CGI could mistake."""

    HEADERS_WITH_UNDERSCORES_UNSPECIFIED = "HEADERS_WITH_UNDERSCORES_UNSPECIFIED"  # as the profile says
    HEADERS_WITH_UNDERSCORES_ALLOW = "HEADERS_WITH_UNDERSCORES_ALLOW"
    HEADERS_WITH_UNDERSCORES_REJECT_REQUEST = "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST"  # 400
    HEADERS_WITH_UNDERSCORES_DROP_HEADER = "HEADERS_WITH_UNDERSCORES_DROP_HEADER"


class PathWithEscapedSlashesAction(Enum):
    """The API's ConnectionSettings.PathWithEscapedSlashesAction: for %2F and %5C in a path."""

    PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED = "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED"  # as the profile says
    KEEP_UNCHANGED = "KEEP_UNCHANGED"
    REJECT_REQUEST = "REJECT_REQUEST"  # 400
    UNESCAPE_AND_REDIRECT = "UNESCAPE_AND_REDIRECT"
    UNESCAPE_AND_FORWARD = "UNESCAPE_AND_FORWARD"


class ConnectionSettings(Message):
    """Limits of a proxy's connections. What is not set (None) is as the profile says."""

    profile: ConnectionProfile = ConnectionProfile.SIDECAR  # where the other settings' defaults come from
    listener_per_connection_buffer_limit_bytes: Int32 | None = (
        None  # read or written before flow control; EDGE: 32 KiB
    )
    cluster_per_connection_buffer_limit_bytes: Int32 | None = None  # the same upstream; EDGE: 32 KiB
    http_idle_timeout: Duration | None = None  # of a connection without requests
    http_max_connection_duration: Duration | None = None  # whatever happens on it
    http_drain_timeout: Duration | None = None  # between the first and the last GOAWAY
    http_request_timeout: Duration | None = None  # until the whole request is there
    http_request_headers_timeout: Duration | None = None  # until its headers are there
    http_stream_idle_timeout: Duration | None = None  # of a request without progress
    http_max_stream_duration: Duration | None = None  # of a request, whatever happens
    http_max_concurrent_streams: Int32 | None = None  # on one HTTP/2 connection; EDGE: 100
    http2_initial_stream_window_size: Int32 | None = None  # bytes; EDGE: 64 KiB
    http2_initial_connection_window_size: Int32 | None = None  # bytes; EDGE: 1 MiB
    http_headers_with_underscores_action: HeadersWithUnderscoresAction = (
        HeadersWithUnderscoresAction.HEADERS_WITH_UNDERSCORES_UNSPECIFIED
    )  # EDGE: reject
    http_merge_slashes: bool | None = None  # "//" in paths becomes "/"
    http_path_with_escaped_slashes_action: PathWithEscapedSlashesAction = (
        PathWithEscapedSlashesAction.PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED
    )  # EDGE: unescape and redirect
    listener_connection_limit: Int32 | None = None  # connections of one listener
    global_downstream_connection_limit: Int32 | None = None  # connections of the proxy


# --- private keys -----------------------------------------------------------------------------------------------


class CryptoMb(Message):
    """The API's PrivateKeyProvider.CryptoMb: Intel's AVX-512."""

    poll_delay: Duration | None = None  # how long operations are gathered
    fallback: bool | None = None  # to BoringSSL where the processor cannot; None: False


class QAT(Message):
    """The API's PrivateKeyProvider.QAT: Intel's QuickAssist."""

    poll_delay: Duration | None = None  # between polls of the device
    fallback: bool | None = None  # to BoringSSL where the machine has none; None: False


class PrivateKeyProvider(Message):
    """Hardware for operations with private keys. One of the two."""

    ONE_OF: ClassVar[OneOf] = (("cryptomb", "qat"),)

    cryptomb: CryptoMb | None = None  # AVX-512
    qat: QAT | None = None  # QuickAssist


# --- all together -----------------------------------------------------------------------------------------------


class TracingServiceName(Enum):
    """The API's ProxyConfig.TracingServiceName: what traces call a proxy."""

    APP_LABEL_AND_NAMESPACE = "APP_LABEL_AND_NAMESPACE"  # label app (or the workload's name).namespace
    CANONICAL_NAME_ONLY = "CANONICAL_NAME_ONLY"
    CANONICAL_NAME_AND_NAMESPACE = "CANONICAL_NAME_AND_NAMESPACE"


class AuthenticationPolicy(Enum):
    """Towards the control plane."""

    NONE = "NONE"  # plain text
    MUTUAL_TLS = "MUTUAL_TLS"
    INHERIT = "INHERIT"  # never read by Istio


class InboundInterceptionMode(Enum):
    """The API's ProxyConfig.InboundInterceptionMode."""

    REDIRECT = "REDIRECT"  # iptables REDIRECT: the workload sees the proxy's address
    TPROXY = "TPROXY"  # the workload sees the caller's address
    NONE = "NONE"  # nothing is captured


class ProxyConfig(Message):
    """Settings of every proxy."""

    ONE_OF: ClassVar[OneOf] = (("serviceCluster", "tracingServiceName"),)

    config_path: str = "./etc/istio/proxy"  # folder for what the agent generates
    binary_path: str = "/usr/local/bin/envoy"  # of Envoy
    service_cluster: str | None = None  # what traces call the proxy; None: as tracing_service_name says
    tracing_service_name: TracingServiceName | None = None  # None: APP_LABEL_AND_NAMESPACE
    drain_duration: Duration = Duration(seconds=45)  # how long old listeners drain
    discovery_address: str = "istiod.istio-system.svc:15012"  # host:port of the daemon
    discovery_refresh_delay: Duration | None = None  # deprecated, never read by Istio
    zipkin_address: str = ""  # deprecated: tracing.zipkin.address
    statsd_udp_address: str = ""  # IP:port where statistics are sent; "": nowhere
    envoy_metrics_service_address: str = ""  # deprecated: envoy_metrics_service
    proxy_admin_port: Int32 = 15000  # of Envoy's admin interface
    availability_zone: str = ""  # deprecated, never read by Istio
    control_plane_auth_policy: AuthenticationPolicy = AuthenticationPolicy.MUTUAL_TLS  # towards the daemon
    custom_config_file: str = ""  # Envoy's whole bootstrap, instead of the generated one
    stat_name_length: Int32 = 189  # characters of cluster, listener and route names in statistics
    concurrency: Int32 | None = None  # Envoy's worker threads; None: 2; 0: one per core
    proxy_bootstrap_template_path: str = ""  # of the bootstrap's template; "": the built-in one
    interception_mode: InboundInterceptionMode = (
        InboundInterceptionMode.REDIRECT
    )  # how inbound traffic is captured
    tracing: Tracing | None = None  # None: as the Telemetry API says
    sds: SDS | None = None  # deprecated, never read by Istio
    envoy_access_log_service: RemoteService | None = None  # gRPC service for access logs; None: none
    envoy_metrics_service: RemoteService | None = None  # gRPC service for statistics; None: none
    proxy_metadata: FrozenMap[str, str] = EMPTY  # variables of the agent's environment
    status_port: Int32 = 15020  # of the agent's HTTP: readiness and metrics
    runtime_values: FrozenMap[str, str] = EMPTY  # of Envoy's runtime: feature -> value
    extra_stat_tags: tuple[str, ...] = ()  # deprecated: tags of Istio's metrics that Envoy must extract
    gateway_topology: Topology | None = None  # what stands before gateways
    termination_drain_duration: Duration = Duration(seconds=5)  # between SIGTERM and the end
    mesh_id: str = ""  # "": the trust domain
    readiness_probe: ReadinessProbe | None = None  # of a workload on a virtual machine; None: none
    proxy_stats_matcher: ProxyStatsMatcher | None = None  # statistics besides those that Istio keeps
    hold_application_until_proxy_starts: bool | None = None  # the application's container waits; None: False
    ca_certificates_pem: tuple[str, ...] = ()  # further roots, in PEM
    image: ProxyImage | None = None  # which build of the proxy; None: the default one
    private_key_provider: PrivateKeyProvider | None = None  # None: BoringSSL
    proxy_headers: ProxyHeaders | None = None  # headers that proxies add; None: as Istio has them
    file_flush_interval: Duration | None = None  # at most so long an access log line is buffered; None: 1 s
    file_flush_min_size_kb: UInt32 = 0  # buffer of the access log in KiB; 0: 64
    stats_compression: bool | None = None  # of what Prometheus scrapes; None: True
    connection_settings: ConnectionSettings | None = None  # limits; None: Envoy's
