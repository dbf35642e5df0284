"""telemetry.istio.io: Telemetry. What workloads tell: traces, metrics, access logs.

The mesh's (root namespace), the namespace's and the workload's resource are merged, the narrower one wins field by field.
"""

from enum import Enum
from typing import ClassVar

from mizzen.config.types.constraints import AtLeast1ms, NonEmpty, Percentage, at_most_one
from mizzen.config.types.message import Cel, Message, OneOf
from mizzen.config.types.targets import PolicyTargetReference, TargetRefs, WorkloadSelector
from mizzen.frozen import FrozenMap


class TelemetryMode(Enum):
    """The API's WorkloadMode of Telemetry: the side of a connection."""

    CLIENT_AND_SERVER = "CLIENT_AND_SERVER"
    CLIENT = "CLIENT"  # what leaves the workload
    SERVER = "SERVER"  # what reaches the workload


class ProviderRef(Message):
    """A provider of MeshConfig."""

    name: NonEmpty  # of an entry of extensionProviders


class Literal(Message):
    """The API's Tracing.Literal."""

    value: NonEmpty  # the tag's value


class Environment(Message):
    """The API's Tracing.Environment: a variable of the proxy's environment."""

    name: NonEmpty  # of the variable
    default_value: str = ""  # where it is not set; "": the tag is left out


class RequestHeader(Message):
    """The API's Tracing.RequestHeader."""

    name: NonEmpty  # of the header
    default_value: str = ""  # where the request has none; "": the tag is left out


class Formatter(Message):
    """The API's Tracing.Formatter."""

    value: NonEmpty  # Envoy's access log format string


class CustomTag(Message):
    """The API's Tracing.CustomTag: where the value of a span's tag comes from. One of the four."""

    ONE_OF: ClassVar[OneOf] = (("environment", "formatter", "header", "literal"),)

    literal: Literal | None = None  # the same for every span
    environment: Environment | None = None  # of the proxy
    header: RequestHeader | None = None  # of the request
    formatter: Formatter | None = None  # put together from the request and its answer


class TracingSelector(Message):
    """The API's Tracing.TracingSelector."""

    mode: TelemetryMode = TelemetryMode.CLIENT_AND_SERVER  # the side it holds for


class Tracing(Message):
    """How spans are made and where they go."""

    match: TracingSelector | None = None  # which requests; None: all
    providers: tuple[ProviderRef, ...] = ()  # one at most; (): as the wider resource or the mesh says
    random_sampling_percentage: Percentage | None = None  # of requests; None: inherited, at last 1
    disable_span_reporting: bool | None = None  # None: inherited, at last False
    disable_context_propagation: bool | None = (
        None  # no trace headers upstream; None: inherited, at last False
    )
    custom_tags: FrozenMap[str, CustomTag] = FrozenMap()  # tag -> value, added to the provider's
    use_request_id_for_trace_sampling: bool | None = (
        None  # x-request-id decides; None: inherited, at last True
    )
    enable_istio_tags: bool | None = None  # istio.mesh_id and its kin; None: inherited, at last True


class IstioMetric(Enum):
    """The API's MetricSelector.IstioMetric: Istio's standard metrics."""

    ALL_METRICS = "ALL_METRICS"
    REQUEST_COUNT = "REQUEST_COUNT"  # istio_requests_total
    REQUEST_DURATION = "REQUEST_DURATION"  # istio_request_duration_milliseconds
    REQUEST_SIZE = "REQUEST_SIZE"  # istio_request_bytes
    RESPONSE_SIZE = "RESPONSE_SIZE"  # istio_response_bytes
    TCP_OPENED_CONNECTIONS = "TCP_OPENED_CONNECTIONS"  # istio_tcp_connections_opened_total
    TCP_CLOSED_CONNECTIONS = "TCP_CLOSED_CONNECTIONS"  # istio_tcp_connections_closed_total
    TCP_SENT_BYTES = "TCP_SENT_BYTES"  # istio_tcp_sent_bytes_total
    TCP_RECEIVED_BYTES = "TCP_RECEIVED_BYTES"  # istio_tcp_received_bytes_total
    GRPC_REQUEST_MESSAGES = "GRPC_REQUEST_MESSAGES"  # istio_request_messages_total
    GRPC_RESPONSE_MESSAGES = "GRPC_RESPONSE_MESSAGES"  # istio_response_messages_total


class MetricSelector(Message):
    """Which metrics an override changes. One of metric and custom_metric; neither: all."""

    ONE_OF: ClassVar[OneOf] = (("customMetric", "metric"),)

    metric: IstioMetric | None = None  # one of Istio's own
    custom_metric: NonEmpty | None = None  # any other, by its name
    mode: TelemetryMode = TelemetryMode.CLIENT_AND_SERVER  # the side it is changed on


class TagOperation(Enum):
    """The API's MetricsOverrides.TagOverride.Operation."""

    UPSERT = "UPSERT"  # insert or replace
    REMOVE = "REMOVE"


class TagOverride(Message):
    """The API's MetricsOverrides.TagOverride: what becomes of one label of a metric."""

    CEL: ClassVar[tuple[Cel, ...]] = (
        Cel(
            '((has(self.operation) ? self.operation : "") == "UPSERT") ? (self.value != "") : true',
            "value must be set when operation is UPSERT",
        ),
        Cel(
            '((has(self.operation) ? self.operation : "") == "REMOVE") ? !has(self.value) : true',
            "value must not be set when operation is REMOVE",
        ),
    )

    operation: TagOperation = TagOperation.UPSERT  # what to do
    value: str = ""  # a CEL expression over Envoy's attributes, for UPSERT only


class MetricsOverrides(Message):
    """A change to the metrics as they come from the provider."""

    match: MetricSelector | None = None  # which metrics; None: all
    disabled: bool | None = None  # not reported; None: inherited, at last False
    tag_overrides: FrozenMap[str, TagOverride] = FrozenMap()  # label -> change


class Metrics(Message):
    """Which metrics go where."""

    providers: tuple[ProviderRef, ...] = ()  # (): as the wider resource or the mesh says
    overrides: tuple[MetricsOverrides, ...] = ()  # in order, a later one wins
    reporting_interval: AtLeast1ms | None = None  # of TCP metrics while a connection lasts; None: 5 s


class LogSelector(Message):
    """The API's AccessLogging.LogSelector."""

    mode: TelemetryMode = TelemetryMode.CLIENT_AND_SERVER  # the side it holds for


class Filter(Message):
    """The API's AccessLogging.Filter."""

    expression: str = ""  # CEL over Envoy's attributes: only where it is true a line is written; "": always


class AccessLogging(Message):
    """Which requests are logged, and where."""

    match: LogSelector | None = None  # which traffic; None: all
    providers: tuple[ProviderRef, ...] = ()  # (): as the wider resource or the mesh says
    disabled: bool | None = None  # no lines; None: inherited, at last False
    filter: Filter | None = None  # None: every request


class Telemetry(Message):
    """What the selected workloads tell."""

    CEL: ClassVar[tuple[Cel, ...]] = (
        at_most_one("only one of targetRefs or selector can be set", "selector", "targetRef", "targetRefs"),
    )

    selector: WorkloadSelector | None = None  # None: all of the namespace
    target_ref: PolicyTargetReference | None = None  # deprecated: target_refs
    target_refs: TargetRefs = ()  # gateways and services that it attaches to; excludes selector
    tracing: tuple[Tracing, ...] = ()  # (): as the wider resource says
    metrics: tuple[Metrics, ...] = ()  # (): as the wider resource says
    access_logging: tuple[AccessLogging, ...] = ()  # (): as the wider resource says
