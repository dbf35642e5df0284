"""Access logs and Istio's standard metrics, made by the proxy itself (Envoy's stats access logger).

Labels that describe the proxy's own workload come from its environment (`%ENVIRONMENT%`), which the agent sets:
literals would make every listener per-workload and destroy the sharing of bytes between replicas.
"""

from collections.abc import Mapping
from typing import Any

from mizzen.config.types.mesh import AccessLogEncoding, MeshConfig
from mizzen.proto.api import AccessLog, StatsAccessLog, StdoutAccessLog
from mizzen.translate.built import pack, struct

# Endpoint and cluster metadata in which translation leaves the names of what they stand for.
METADATA = "mizzen"
# Counters of one name are bounded; the least used leave first (Envoy's stats eviction).
MAX_COUNTERS = 5000

_OWN_WORKLOAD = "%ENVIRONMENT(MIZZEN_WORKLOAD)%"
_OWN_NAMESPACE = "%ENVIRONMENT(MIZZEN_NAMESPACE)%"

# Istio's default access log line.
ISTIO_TEXT_FORMAT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)


def access_logs(mesh: MeshConfig) -> list[AccessLog]:
    """The mesh's access log: to Envoy's stdout, which the agent passes on. None unless MeshConfig asks for it."""
    if not mesh.access_log_file:
        return []
    text = mesh.access_log_format or ISTIO_TEXT_FORMAT
    log_format: dict[str, object] = {"text_format_source": {"inline_string": text}}
    if mesh.access_log_encoding is AccessLogEncoding.JSON:
        log_format = {"json_format": struct(_JSON_FORMAT)}
    config = StdoutAccessLog(log_format=log_format)
    return [AccessLog(name="envoy.access_loggers.stdout", typed_config=pack(config))]


_JSON_FORMAT = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "duration": "%DURATION%",
    "authority": "%REQ(:AUTHORITY)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_host": "%UPSTREAM_HOST%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "route_name": "%ROUTE_NAME%",
}


def source_metrics(protocol: str) -> AccessLog:
    """istio_requests_total as the caller's proxy sees it (reporter="source")."""
    labels = {
        "reporter": "source",
        "source_workload": _OWN_WORKLOAD,
        "source_workload_namespace": _OWN_NAMESPACE,
        "source_canonical_service": "%ENVIRONMENT(MIZZEN_CANONICAL_NAME)%",
        "source_canonical_revision": "%ENVIRONMENT(MIZZEN_CANONICAL_REVISION)%",
        "source_principal": "%UPSTREAM_LOCAL_URI_SAN%",
        "destination_principal": "%UPSTREAM_PEER_URI_SAN%",
        "destination_service": f"%CLUSTER_METADATA({METADATA}:host)%",
        "destination_service_name": f"%CLUSTER_METADATA({METADATA}:name)%",
        "destination_service_namespace": f"%CLUSTER_METADATA({METADATA}:namespace)%",
        "destination_workload": f"%UPSTREAM_METADATA({METADATA}:workload)%",
        "destination_workload_namespace": f"%UPSTREAM_METADATA({METADATA}:namespace)%",
        "destination_canonical_service": f"%UPSTREAM_METADATA({METADATA}:canonical_name)%",
        "destination_canonical_revision": f"%UPSTREAM_METADATA({METADATA}:canonical_revision)%",
        "destination_version": f"%UPSTREAM_METADATA({METADATA}:canonical_revision)%",
        "request_protocol": protocol,
        "response_code": "%RESPONSE_CODE%",
        "response_flags": "%RESPONSE_FLAGS%",
        # Istio: the source cannot know what the destination enforces.
        "connection_security_policy": "unknown",
    }
    return _stats_log([_counter("istio_requests_total", labels)], [_histogram(labels)])


def denied_metrics() -> AccessLog:
    """mizzen_denied_requests_total: requests that this proxy's authorization refused, with the policy that did it."""
    labels = {
        "reporter": "destination",
        "source_principal": "%DOWNSTREAM_PEER_URI_SAN%",
        "destination_workload": _OWN_WORKLOAD,
        "destination_workload_namespace": _OWN_NAMESPACE,
        "response_code_details": "%RESPONSE_CODE_DETAILS%",
    }
    log = _stats_log([_counter("mizzen_denied_requests_total", labels)], [])
    # An application's own 403 is counted too, under its own details: readers tell them apart by the details.
    log.filter.status_code_filter.comparison.value.default_value = 403
    log.filter.status_code_filter.comparison.value.runtime_key = "mizzen.denied"
    return log


def _counter(name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {"stat": {"name": name, "tags": _tags(labels)}, "value_fixed": {"value": 1}}


def _histogram(labels: Mapping[str, str]) -> dict[str, Any]:
    stat = {"name": "istio_request_duration_milliseconds", "tags": _tags(labels)}
    return {"stat": stat, "unit": "Milliseconds", "value_format": "%DURATION%"}


def _tags(labels: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value_format": value} for name, value in labels.items()]


def _stats_log(counters: list[dict[str, Any]], histograms: list[dict[str, Any]]) -> AccessLog:
    # No sharing_name: it crashes `envoy --mode validate`, by which people check a dump. Equal names are one counter
    # anyway; the bound holds for each listener.
    limit = {"value": MAX_COUNTERS}
    scope = {"enable_eviction": True, "max_counters": limit, "max_histograms": limit}
    config = StatsAccessLog(stats_scope=scope, counters=counters, histograms=histograms)
    return AccessLog(name="envoy.access_loggers.stats", typed_config=pack(config))
