"""mesh.istio.io: ExtensionProvider, services outside of the mesh's own machinery that policies and Telemetry name.

A `service` is "host" or "namespace/host", of a service in the registry; its port is the service's.
"""

from enum import Enum
from typing import ClassVar

from msgspec import field

from mizzen.config.types.message import Duration, Int32, Message, OneOf, SecretText, Struct, UInt32
from mizzen.config.types.proxy import TraceContext
from mizzen.frozen import EMPTY, FrozenMap

# --- external authorization -------------------------------------------------------------------------------------


class EnvoyExternalAuthorizationRequestBody(Message):
    """Sends the request's body to the authorizer."""

    max_request_bytes: UInt32 = 0  # a longer body is refused with 413; 0: none is sent
    allow_partial_message: bool = False  # send what fits instead of refusing
    pack_as_bytes: bool = False  # as bytes rather than UTF-8 text; for gRPC


class EnvoyExternalAuthorizationHttpProvider(Message):
    """An authorizer that is asked by HTTP. 200 allows."""

    service: str = ""  # "host" or "namespace/host"
    port: UInt32 = 0  # of the service
    timeout: Duration | None = None  # None: 10 minutes
    path_prefix: str = ""  # before the path of the request that is checked
    fail_open: bool = False  # an authorizer that does not answer allows
    clear_route_cache: bool = False  # choose the route again after headers were added
    status_on_error: str = ""  # HTTP status where the authorizer fails; "": 403
    include_headers_in_check: tuple[str, ...] = ()  # deprecated: include_request_headers_in_check
    include_request_headers_in_check: tuple[str, ...] = ()  # of the request; exact, "prefix*" or "*suffix"
    include_additional_headers_in_check: FrozenMap[str, str] = EMPTY  # header -> value, added to the question
    include_request_body_in_check: EnvoyExternalAuthorizationRequestBody | None = None  # None: no body
    headers_to_upstream_on_allow: tuple[str, ...] = ()  # of the answer, for the workload
    headers_to_downstream_on_deny: tuple[str, ...] = ()  # of the answer, for the caller; (): all
    headers_to_downstream_on_allow: tuple[str, ...] = ()  # of the answer, for the caller; (): none


class EnvoyExternalAuthorizationGrpcProvider(Message):
    """An authorizer that is asked by gRPC (Envoy's ext_authz)."""

    service: str = ""  # "host" or "namespace/host"
    port: UInt32 = 0  # of the service
    timeout: Duration | None = None  # None: 10 minutes
    fail_open: bool = False  # an authorizer that does not answer allows
    clear_route_cache: bool = False  # choose the route again after headers were added
    status_on_error: str = ""  # HTTP status where the authorizer fails; "": 403
    include_request_body_in_check: EnvoyExternalAuthorizationRequestBody | None = None  # None: no body


# --- how a provider is reached ----------------------------------------------------------------------------------


class HttpHeader(Message):
    """A header for the provider: its value, or the variable that holds it."""

    ONE_OF: ClassVar[OneOf] = (("value", "envName"),)

    name: str = ""  # of the header
    value: SecretText | None = None  # often a token: it is not printed
    env_name: str | None = None  # a variable of the proxy's environment


class HttpService(Message):
    """Reached by HTTP."""

    path: str = ""  # "": /
    timeout: Duration | None = None  # None: 3 s
    headers: tuple[HttpHeader, ...] = ()  # of each request


class GrpcService(Message):
    """Reached by gRPC."""

    timeout: Duration | None = None  # None: no limit
    initial_metadata: tuple[HttpHeader, ...] = ()  # of each call


# --- tracing ----------------------------------------------------------------------------------------------------


class TraceContextOption(Enum):
    """The API's ZipkinTracingProvider.TraceContextOption."""

    USE_B3 = "USE_B3"
    USE_B3_WITH_W3C_PROPAGATION = "USE_B3_WITH_W3C_PROPAGATION"  # traceparent is read and sent, too


class ZipkinTracingProvider(Message):
    service: str = ""  # "host" or "namespace/host"
    port: UInt32 = 0  # of the service
    max_tag_length: UInt32 = 0  # characters of the path in http.url; 0: 256
    enable_64bit_trace_id: bool = field(default=False, name="enable64bitTraceId")  # 64 bits instead of 128
    path: str = ""  # of the collector's API; "": /api/v2/spans
    trace_context_option: TraceContextOption = TraceContextOption.USE_B3  # headers of a trace
    timeout: Duration | None = None  # None: 5 s
    headers: tuple[HttpHeader, ...] = ()  # of each request to the collector


class LightstepTracingProvider(Message):
    """Removed from Istio."""

    service: str = ""  # "host" or "namespace/host"
    port: UInt32 = 0  # of the service
    access_token: SecretText = SecretText(b"")  # for it
    max_tag_length: UInt32 = 0  # characters of the path in http.url; 0: 256


class DatadogTracingProvider(Message):
    service: str = ""  # "host" or "namespace/host" of the agent
    port: UInt32 = 0  # of the service
    max_tag_length: UInt32 = 0  # characters of the path in http.url; 0: 256


class SkyWalkingTracingProvider(Message):
    service: str = ""  # "host" or "namespace/host" of the collector
    port: UInt32 = 0  # of the service
    access_token: SecretText = SecretText(b"")  # for it; "": none


class StackdriverLogging(Message):
    """The API's StackdriverProvider.Logging."""

    labels: FrozenMap[str, str] = EMPTY  # label -> CEL expression


class StackdriverProvider(Message):
    """Google Cloud's logs, metrics and traces. Removed from Istio."""

    debug: bool = False  # deprecated
    max_number_of_attributes: int | None = None  # deprecated; None: 200 per span
    max_number_of_annotations: int | None = None  # deprecated; None: 200 per span
    max_number_of_message_events: int | None = None  # deprecated; None: 200 per span
    max_tag_length: UInt32 = 0  # characters of the path in http.url; 0: 256
    logging: StackdriverLogging | None = None  # further labels of log lines


class OpenCensusAgentTracingProvider(Message):
    """Removed from Envoy."""

    service: str = ""  # "host" or "namespace/host"
    port: UInt32 = 0  # of the service
    context: tuple[TraceContext, ...] = ()  # headers that are read and sent
    max_tag_length: UInt32 = 0  # characters of the path in http.url; 0: 256


class EnvironmentResourceDetector(Message):
    """The API's ResourceDetectors.EnvironmentResourceDetector: OTEL_RESOURCE_ATTRIBUTES."""


class DynatraceResourceDetector(Message):
    """The API's ResourceDetectors.DynatraceResourceDetector: what OneAgent wrote on the host."""


class ResourceDetectors(Message):
    """Where the attributes of the traced resource come from."""

    environment: EnvironmentResourceDetector | None = None  # the proxy's environment
    dynatrace: DynatraceResourceDetector | None = None  # Dynatrace's files


class ServiceAttributeEnrichment(Enum):
    """Which attributes name a service."""

    ISTIO_CANONICAL = "ISTIO_CANONICAL"  # Istio's canonical service
    OTEL_SEMANTIC_CONVENTIONS = "OTEL_SEMANTIC_CONVENTIONS"  # OpenTelemetry's rules for Kubernetes


class DynatraceApi(Message):
    """The API's DynatraceSampler.DynatraceApi: where the sampler asks for its settings."""

    service: str = ""  # "host" or "namespace/host"
    port: UInt32 = 0  # of the service
    http: HttpService | None = None  # path and headers


class DynatraceSampler(Message):
    """The API's OpenTelemetryTracingProvider.DynatraceSampler: Dynatrace decides what is sampled."""

    tenant: str = ""  # Dynatrace's
    cluster_id: Int32 = 0  # Dynatrace's
    root_spans_per_minute: UInt32 = 0  # where Dynatrace does not say; 0: 1,000
    http_service: DynatraceApi | None = None  # None: as the provider's own


class OpenTelemetryTracingProvider(Message):
    """Spans by OTLP: one of http and grpc; neither: gRPC."""

    service: str = ""  # "host" or "namespace/host"
    port: UInt32 = 0  # of the service
    max_tag_length: UInt32 = 0  # characters of the path in http.url; 0: 256
    http: HttpService | None = None  # by HTTP
    grpc: GrpcService | None = None  # by gRPC
    resource_detectors: ResourceDetectors | None = None  # None: none
    service_attribute_enrichment: ServiceAttributeEnrichment = (
        ServiceAttributeEnrichment.ISTIO_CANONICAL
    )  # attributes that name the service
    dynatrace_sampler: DynatraceSampler | None = None  # None: the mesh's sampling


# --- metrics and access logs ------------------------------------------------------------------------------------


class PrometheusMetricsProvider(Message):
    """Istio's metrics, scraped by Prometheus."""


class FileLogFormat(Message):
    """The API's EnvoyFileAccessLogProvider.LogFormat. One of the two."""

    ONE_OF: ClassVar[OneOf] = (("text", "labels"),)

    text: str | None = None  # Envoy's format string; "": Istio's default
    labels: Struct | None = None  # JSON: member -> Envoy's format string; {}: Istio's default


class EnvoyFileAccessLogProvider(Message):
    path: str = ""  # of the file, such as /dev/stdout
    log_format: FileLogFormat | None = None  # None: Istio's default, as text
    omit_empty_values: bool = False  # leave out what is null; in text: "" instead of "-"


class EnvoyHttpGrpcV3LogProvider(Message):
    """Access logs of HTTP to Envoy's gRPC access log service."""

    service: str = ""  # "host" or "namespace/host"
    port: UInt32 = 0  # of the service
    log_name: str = ""  # "": http_envoy_accesslog
    filter_state_objects_to_log: tuple[str, ...] = ()  # names of filter state; (): Istio's peers
    additional_request_headers_to_log: tuple[str, ...] = ()  # header names
    additional_response_headers_to_log: tuple[str, ...] = ()  # header names
    additional_response_trailers_to_log: tuple[str, ...] = ()  # trailer names


class EnvoyTcpGrpcV3LogProvider(Message):
    """Access logs of TCP to Envoy's gRPC access log service."""

    service: str = ""  # "host" or "namespace/host"
    port: UInt32 = 0  # of the service
    log_name: str = ""  # "": tcp_envoy_accesslog
    filter_state_objects_to_log: tuple[str, ...] = ()  # names of filter state; (): Istio's peers


class OpenTelemetryLogFormat(Message):
    """The API's EnvoyOpenTelemetryLogProvider.LogFormat: both may be set."""

    text: str = ""  # the record's body, Envoy's format string; "": Istio's default
    labels: Struct | None = None  # attribute -> Envoy's format string


class EnvoyOpenTelemetryLogProvider(Message):
    """Access logs by OTLP over gRPC."""

    service: str = ""  # "host" or "namespace/host"
    port: UInt32 = 0  # of the service
    log_name: str = ""  # "": otel_envoy_accesslog
    log_format: OpenTelemetryLogFormat | None = None  # None: Istio's default


# --- secrets ----------------------------------------------------------------------------------------------------


class SDSProvider(Message):
    """A server of certificates that Gateways name by sds://."""

    name: str = ""  # that Gateways use
    service: str = ""  # "host" or "namespace/host"
    port: UInt32 = 0  # of the service


class ExtensionProvider(Message):
    """A provider by its name: one of the others."""

    ONE_OF: ClassVar[OneOf] = (
        (
            "envoyExtAuthzHttp",
            "envoyExtAuthzGrpc",
            "zipkin",
            "lightstep",
            "datadog",
            "stackdriver",
            "opencensus",
            "skywalking",
            "opentelemetry",
            "prometheus",
            "envoyFileAccessLog",
            "envoyHttpAls",
            "envoyTcpAls",
            "envoyOtelAls",
            "sds",
        ),
    )

    name: str = ""  # that policies and Telemetry use; unique in the mesh
    envoy_ext_authz_http: EnvoyExternalAuthorizationHttpProvider | None = None  # authorization by HTTP
    envoy_ext_authz_grpc: EnvoyExternalAuthorizationGrpcProvider | None = None  # authorization by gRPC
    zipkin: ZipkinTracingProvider | None = None  # traces, also for Jaeger
    lightstep: LightstepTracingProvider | None = None  # deprecated: traces; use opentelemetry
    datadog: DatadogTracingProvider | None = None  # traces
    stackdriver: StackdriverProvider | None = None  # removed from Istio
    opencensus: OpenCensusAgentTracingProvider | None = None  # deprecated: traces; use opentelemetry
    skywalking: SkyWalkingTracingProvider | None = None  # traces
    opentelemetry: OpenTelemetryTracingProvider | None = None  # traces by OTLP
    prometheus: PrometheusMetricsProvider | None = None  # metrics
    envoy_file_access_log: EnvoyFileAccessLogProvider | None = None  # access logs into a file
    envoy_http_als: EnvoyHttpGrpcV3LogProvider | None = None  # access logs of HTTP by gRPC
    envoy_tcp_als: EnvoyTcpGrpcV3LogProvider | None = None  # access logs of TCP by gRPC
    envoy_otel_als: EnvoyOpenTelemetryLogProvider | None = None  # access logs by OTLP
    sds: SDSProvider | None = None  # certificates for Gateways
