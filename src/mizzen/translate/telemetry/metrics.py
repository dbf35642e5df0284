"""Istio's standard metrics, counted by the proxy itself (Envoy's stats access logger).

No label is a literal that describes the proxy's own workload: it would make every listener per-workload and destroy the sharing of
bytes between replicas. The agent adds them (`model/short_labels.py`); where a Telemetry changes one of them they come from
the proxy's environment (`%ENVIRONMENT%`), which the agent sets.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mizzen.config.types.telemetry import IstioMetric
from mizzen.derive.telemetry import METRIC_NAMES, MetricChange
from mizzen.model import short_labels
from mizzen.model.subject import pattern_of
from mizzen.proto.api import AccessLog, AccessLogFilter, StatsAccessLog
from mizzen.translate.built import pack
from mizzen.translate.expressions import where
from mizzen.translate.filter_order import GRPC_STATS

# Endpoint and cluster metadata in which translation leaves the names of what they stand for.
METADATA = "mizzen"
PEER, SERVICE = "peer", "service"
"""Members of it: of an endpoint the facts of its workload, of a cluster the names of its service."""
# Counters and histograms of one listener are bounded: the memory of a proxy does not depend on who calls it.
MAX_SERIES = 5000

UNKNOWN = "unknown"


def service_names(host: str, name: str, namespace: str) -> str:
    """The names of a service as one text, for `model/short_labels.py`."""
    return f"{host}|{name}|{namespace}"


@dataclass(frozen=True, slots=True)
class Served:
    """What a filter chain of a workload's inbound side stands for."""

    service: str = service_names("", "", "")
    mutual: bool = False  # callers prove an identity of the mesh

    @property
    def host(self) -> str:
        return self.service.partition("|")[0]


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of one side's metrics, as Envoy's format strings."""

    fields: Mapping[str, str]  # of what is in short, by its name there
    whole: Mapping[str, str]  # each by itself, for metrics of which a Telemetry changes one

    def measured(self, measures: Mapping[str, str], changed: Iterable[str]) -> Mapping[str, str]:
        """For a metric with these labels, too, and of which some are changed."""
        if set(changed) & {*self.whole, *measures}:
            return {**self.whole, **measures}
        fields = {**self.fields, **measures}
        text = short_labels.BETWEEN.join(fields.get(name, "") for name in short_labels.FIELDS)
        return {short_labels.SHORT: text}


def source_labels() -> Labels:
    """As the caller's proxy sees it: itself, and the endpoint that it chose."""
    common = {
        "reporter": "source",
        "source_principal": "%UPSTREAM_LOCAL_URI_SAN%",
        "destination_principal": "%UPSTREAM_PEER_URI_SAN%",
        # Istio: the source cannot know what the destination enforces.
        "connection_security_policy": UNKNOWN,
    }
    return Labels(
        {
            **common,
            "service": f"%CLUSTER_METADATA({METADATA}:{SERVICE})%",
            "peer": f"%UPSTREAM_METADATA({METADATA}:{PEER})%",
        },
        {
            **common,
            **_own("source"),
            **_of_peer("destination", _metadata("xds.upstream_host_metadata", PEER)),
            **_of_service(_metadata("xds.cluster_metadata", SERVICE)),
        },
    )


def destination_labels(served: Served) -> Labels:
    """As the called workload's proxy sees it: whatever the caller says of itself is not believed, only its certificate. There is
    nothing in headers that somebody could forge or that an application would see, and it serves plain TCP as well.
    """
    common = {
        "reporter": "destination",
        "source_principal": "%DOWNSTREAM_PEER_URI_SAN%" if served.mutual else "",
        "destination_principal": "%DOWNSTREAM_LOCAL_URI_SAN%" if served.mutual else "",
        "connection_security_policy": "mutual_tls" if served.mutual else "none",
    }
    nobody = dict.fromkeys((f"source_{label}" for label in short_labels.OF_WORKLOAD), "")
    return Labels(
        {
            **common,
            "service": served.service,
            "peer": "%DOWNSTREAM_PEER_SUBJECT%" if served.mutual else "",
        },
        {
            **common,
            **(_of_peer("source", "connection.subject_peer_certificate") if served.mutual else nobody),
            **_own("destination"),
            **dict(zip(short_labels.OF_SERVICE, served.service.split("|"), strict=True)),
        },
    )


_VARIABLES = {
    "workload": "MIZZEN_WORKLOAD",
    "namespace": "MIZZEN_NAMESPACE",
    "canonical-name": "MIZZEN_CANONICAL_NAME",
    "canonical-revision": "MIZZEN_CANONICAL_REVISION",
    "cluster": "MIZZEN_CLUSTER",
}


def _own(side: str) -> dict[str, str]:
    """By the proxy's environment, which the agent sets."""
    return {
        f"{side}_{label}": f"%ENVIRONMENT({_VARIABLES[fact]})%"
        for label, fact in short_labels.OF_WORKLOAD.items()
    }


def _of_peer(side: str, subject: str) -> dict[str, str]:
    return {
        f"{side}_{label}": _extracted(subject, pattern_of(fact))
        for label, fact in short_labels.OF_WORKLOAD.items()
    }


def _of_service(names: str) -> dict[str, str]:
    part = "([^|]*)"
    patterns = (rf"{part}\\|.*", rf".*\\|{part}\\|.*", rf".*\\|{part}")
    return {
        label: _extracted(names, pattern)
        for label, pattern in zip(short_labels.OF_SERVICE, patterns, strict=True)
    }


def _metadata(of: str, member: str) -> str:
    return f"{of}.filter_metadata['{METADATA}']['{member}']"


def _extracted(text: str, pattern: str) -> str:
    """The first group of a pattern that matches all of a text. Envoy's CEL reads the backslash of a string, its format string
    another.
    """
    return f"%CEL(re.extract({text}, '{pattern}', '\\\\1'))%"


Changes = Mapping[IstioMetric, MetricChange]


def http_metrics(labels: Labels, changes: Changes) -> list[AccessLog]:
    """Of requests: one logger for gRPC and one for the rest, so that no expression has to find out the protocol."""
    http = {"response_code": "%RESPONSE_CODE%", "response_flags": "%RESPONSE_FLAGS%"}
    grpc = {**http, "request_protocol": "grpc", "grpc_response_status": "%GRPC_STATUS_NUMBER%"}
    http["request_protocol"] = "http"
    found = []
    for metrics, measured, which in (
        (_OF_REQUESTS, http, _NOT_GRPC),
        (_OF_REQUESTS, grpc, _GRPC),
        (_OF_MESSAGES, grpc, _UNARY),
    ):
        log = _stats_log([_stat(metric, labels, measured, changes) for metric in metrics])
        if log is not None:
            log.filter.CopyFrom(AccessLogFilter(**which))
            found.append(log)
    return found


def stream_metrics(labels: Labels, changes: Changes) -> list[AccessLog]:
    """Of connections: what is counted when they are made, and what when they end."""
    tcp = {"request_protocol": "tcp", "response_flags": "%RESPONSE_FLAGS%"}
    found = []
    for metrics, moment in ((_OF_OPENED, "TcpUpstreamConnected"), (_OF_CLOSED, "TcpConnectionEnd")):
        log = _stats_log([_stat(metric, labels, tcp, changes) for metric in metrics])
        if log is not None:
            log.filter.CopyFrom(AccessLogFilter(log_type_filter={"types": [moment]}))
            found.append(log)
    return found


def denied_metrics() -> AccessLog:
    """mizzen_denied_requests_total: requests that this proxy's authorization refused, with the policy that did it."""
    labels = {
        "reporter": "destination",
        "source_principal": "%DOWNSTREAM_PEER_URI_SAN%",
        "destination_workload": "%ENVIRONMENT(MIZZEN_WORKLOAD)%",
        "destination_workload_namespace": "%ENVIRONMENT(MIZZEN_NAMESPACE)%",
        "response_code_details": "%RESPONSE_CODE_DETAILS%",
    }
    counter = {
        "stat": {"name": "mizzen_denied_requests_total", "tags": _tags(labels)},
        "value_fixed": {"value": 1},
    }
    log = _stats_log([("counters", counter)])
    assert log is not None
    # An application's own 403 is counted too, under its own details: readers tell them apart by the details.
    log.filter.status_code_filter.comparison.value.default_value = 403
    log.filter.status_code_filter.comparison.value.runtime_key = "mizzen.denied"
    return log


# --- the metrics ----------------------------------------------------------------------------------------------

_COUNTERS, _HISTOGRAMS = "counters", "histograms"
_ONE = {"value_fixed": {"value": 1}}
# Metric -> the list of the logger's settings that it stands in, and how it is measured.
_MEASURED: Mapping[IstioMetric, tuple[str, Mapping[str, Any]]] = {
    IstioMetric.REQUEST_COUNT: (_COUNTERS, _ONE),
    IstioMetric.REQUEST_DURATION: (_HISTOGRAMS, {"unit": "Milliseconds", "value_format": "%DURATION%"}),
    IstioMetric.REQUEST_SIZE: (_HISTOGRAMS, {"unit": "Bytes", "value_format": "%BYTES_RECEIVED%"}),
    IstioMetric.RESPONSE_SIZE: (_HISTOGRAMS, {"unit": "Bytes", "value_format": "%BYTES_SENT%"}),
    IstioMetric.GRPC_REQUEST_MESSAGES: (_COUNTERS, _ONE),
    IstioMetric.GRPC_RESPONSE_MESSAGES: (_COUNTERS, _ONE),
    IstioMetric.TCP_OPENED_CONNECTIONS: (_COUNTERS, _ONE),
    IstioMetric.TCP_CLOSED_CONNECTIONS: (_COUNTERS, _ONE),
    IstioMetric.TCP_SENT_BYTES: (_COUNTERS, {"value_format": "%BYTES_SENT%"}),
    IstioMetric.TCP_RECEIVED_BYTES: (_COUNTERS, {"value_format": "%BYTES_RECEIVED%"}),
}
_OF_REQUESTS = (
    IstioMetric.REQUEST_COUNT,
    IstioMetric.REQUEST_DURATION,
    IstioMetric.REQUEST_SIZE,
    IstioMetric.RESPONSE_SIZE,
)
_OF_MESSAGES = (IstioMetric.GRPC_REQUEST_MESSAGES, IstioMetric.GRPC_RESPONSE_MESSAGES)
_OF_OPENED = (IstioMetric.TCP_OPENED_CONNECTIONS,)
_OF_CLOSED = (
    IstioMetric.TCP_CLOSED_CONNECTIONS,
    IstioMetric.TCP_SENT_BYTES,
    IstioMetric.TCP_RECEIVED_BYTES,
)

_Stat = tuple[str, Mapping[str, Any]]


def _stat(metric: IstioMetric, labels: Labels, measured: Mapping[str, str], changes: Changes) -> _Stat | None:
    """A metric with the labels of its side and those that are `measured`; None where it is disabled."""
    change = changes.get(metric, MetricChange())
    if change.disabled:
        return None
    found = {**labels.measured(measured, change.tags)}
    for name, expression in change.tags.items():
        if expression:
            found[name] = f"%CEL({expression})%"
        else:
            found.pop(name, None)
    place, value = _MEASURED[metric]
    return place, {"stat": {"name": METRIC_NAMES[metric], "tags": _tags(found)}, **value}


def _tags(labels: Mapping[str, str]) -> list[dict[str, str]]:
    """Labels without a value are left out of the settings; the agent names them "unknown"."""
    return [{"name": name, "value_format": value or UNKNOWN} for name, value in labels.items()]


def _stats_log(stats: list[_Stat | None]) -> AccessLog | None:
    found = [one for one in stats if one is not None]
    if not found:
        return None
    # No sharing_name: it crashes `envoy --mode validate`, by which people check a dump. Equal names are one counter
    # anyway; the bound holds for each listener.
    limit = {"value": MAX_SERIES}
    config = StatsAccessLog(
        stats_scope={"enable_eviction": True, "max_counters": limit, "max_histograms": limit},
        counters=[stat for place, stat in found if place == _COUNTERS],
        histograms=[stat for place, stat in found if place == _HISTOGRAMS],
    )
    return AccessLog(name="envoy.access_loggers.stats", typed_config=pack(config))


_CONTENT_TYPE: dict[str, Any] = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
_GRPC: dict[str, Any] = {"header_filter": {"header": _CONTENT_TYPE}}
# A request without a content type is no call.
_NOT_GRPC: dict[str, Any] = {
    "header_filter": {
        "header": {**_CONTENT_TYPE, "invert_match": True, "treat_missing_header_as_empty": True}
    }
}
# FIXME: messages of streaming calls are not counted. Envoy's filter leaves the numbers as bytes ("2,1": two of the request, one of the
# response), and neither a format string nor its CEL makes numbers of them: they can only be compared.
_ONE_EACH_WAY = f"filter_state['{GRPC_STATS}'] == b'1,1'"
_UNARY: dict[str, Any] = {"and_filter": {"filters": [_GRPC, where(_ONE_EACH_WAY)]}}
