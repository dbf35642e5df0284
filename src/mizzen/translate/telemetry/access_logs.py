"""Access logs: lines for each request and connection, in files, by OTLP and by Envoy's own gRPC service.

Source: Istio's extension providers of access logs, its formats, and MeshConfig's accessLogFile, which holds where no Telemetry
and no default provider says anything.
"""

import json
from collections.abc import Mapping
from typing import Any

from mizzen.config.types.mesh import AccessLogEncoding, MeshConfig
from mizzen.config.types.providers import (
    EnvoyFileAccessLogProvider,
    EnvoyHttpGrpcV3LogProvider,
    EnvoyOpenTelemetryLogProvider,
    EnvoyTcpGrpcV3LogProvider,
    ExtensionProvider,
)
from mizzen.config.validation.cel import problem_for_envoy
from mizzen.config.validation.formats import log_format_problem
from mizzen.derive.mesh import mesh_config
from mizzen.derive.providers import STDOUT, extension_provider, provider_service
from mizzen.derive.telemetry import LogOutput, Observed
from mizzen.incremental import Database
from mizzen.proto.api import (
    AccessLog,
    AccessLogFilter,
    FileAccessLog,
    HttpGrpcAccessLog,
    OpenTelemetryAccessLog,
    StdoutAccessLog,
    Struct,
    TcpGrpcAccessLog,
)
from mizzen.translate.built import pack
from mizzen.translate.expressions import where
from mizzen.translate.provider_services import grpc_service

# Istio's default access log line.
ISTIO_TEXT_FORMAT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)
# The members of Istio's default JSON line.
ISTIO_JSON_FORMAT = {
    "authority": "%REQ(:AUTHORITY)%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "duration": "%DURATION%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "route_name": "%ROUTE_NAME%",
    "start_time": "%START_TIME%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "user_agent": "%REQ(USER-AGENT)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
}
_HTTP_LOG, _TCP_LOG, _OTLP_LOG = "http_envoy_accesslog", "tcp_envoy_accesslog", "otel_envoy_accesslog"


def access_logs(db: Database, observed: Observed, *, http: bool) -> list[AccessLog]:
    """The logs of one side of a workload's requests (`http`) or connections."""
    if observed.logs is None:
        return _mesh_logs(mesh_config(db))
    # Envoy would refuse the whole listener for what it does not understand. Validation warns of it.
    usable = (one for one in observed.logs if not (one.expression and problem_for_envoy(one.expression)))
    found = []
    for output in usable:
        log = _log(db, output, http=http)
        if log is not None:
            if output.expression:
                log.filter.CopyFrom(AccessLogFilter(**where(output.expression)))
            found.append(log)
    return found


def _mesh_logs(mesh: MeshConfig) -> list[AccessLog]:
    """MeshConfig's accessLogFile: none unless it is set."""
    if not mesh.access_log_file:
        return []
    if mesh.access_log_encoding is AccessLogEncoding.JSON:
        members = json.loads(mesh.access_log_format) if mesh.access_log_format else ISTIO_JSON_FORMAT
        return [_file(mesh.access_log_file, {"json_format": _struct(members)})]
    text = mesh.access_log_format or ISTIO_TEXT_FORMAT
    return [_file(mesh.access_log_file, {"text_format_source": {"inline_string": text}})]


def _log(db: Database, output: LogOutput, *, http: bool) -> AccessLog | None:
    """None where there is no such provider, where it is none of access logs or of the other kind of traffic, where its service is
    not known, or where Envoy would not understand its format.
    """
    provider = extension_provider(db, output.provider) or ExtensionProvider()
    formatted = provider.envoy_file_access_log or provider.envoy_otel_als
    chosen = formatted.log_format if formatted else None
    if chosen is not None and (log_format_problem(chosen.text) or log_format_problem(chosen.labels)):
        return None
    if provider.envoy_file_access_log:
        return _of_file(provider.envoy_file_access_log)
    sent = provider.envoy_otel_als or (provider.envoy_http_als if http else provider.envoy_tcp_als)
    found = provider_service(db, sent.service, sent.port) if sent else None
    return _sent(sent, grpc_service(found.host, sent.port)) if sent and found else None


# --- files ----------------------------------------------------------------------------------------------------


def _of_file(provider: EnvoyFileAccessLogProvider) -> AccessLog:
    chosen = provider.log_format
    log_format: dict[str, Any] = {"omit_empty_values": provider.omit_empty_values}
    if chosen is not None and chosen.labels is not None:
        log_format["json_format"] = _struct(chosen.labels or ISTIO_JSON_FORMAT)
    else:
        text = (chosen.text if chosen is not None else "") or ISTIO_TEXT_FORMAT
        # Istio ends each line by itself.
        log_format["text_format_source"] = {"inline_string": text if text.endswith("\n") else f"{text}\n"}
    return _file(provider.path, log_format)


def _file(path: str, log_format: Mapping[str, Any]) -> AccessLog:
    if path in {"", STDOUT}:  # Envoy's, which the agent passes on
        config = StdoutAccessLog(log_format=log_format)
        return AccessLog(name="envoy.access_loggers.stdout", typed_config=pack(config))
    file = FileAccessLog(path=path, log_format=log_format)
    return AccessLog(name="envoy.access_loggers.file", typed_config=pack(file))


# --- by gRPC --------------------------------------------------------------------------------------------------

_Sent = EnvoyOpenTelemetryLogProvider | EnvoyHttpGrpcV3LogProvider | EnvoyTcpGrpcV3LogProvider


def _sent(provider: _Sent, service: dict[str, Any]) -> AccessLog:
    """To `service`, Envoy's setting for where that is."""
    match provider:
        case EnvoyOpenTelemetryLogProvider():
            return _by_otlp(provider, service)
        case EnvoyHttpGrpcV3LogProvider():
            http = HttpGrpcAccessLog(
                common_config=_common(provider, service, _HTTP_LOG),
                additional_request_headers_to_log=provider.additional_request_headers_to_log,
                additional_response_headers_to_log=provider.additional_response_headers_to_log,
                additional_response_trailers_to_log=provider.additional_response_trailers_to_log,
            )
            return AccessLog(name="envoy.access_loggers.http_grpc", typed_config=pack(http))
        case EnvoyTcpGrpcV3LogProvider():
            tcp = TcpGrpcAccessLog(common_config=_common(provider, service, _TCP_LOG))
            return AccessLog(name="envoy.access_loggers.tcp_grpc", typed_config=pack(tcp))


def _by_otlp(provider: EnvoyOpenTelemetryLogProvider, service: dict[str, Any]) -> AccessLog:
    text = (provider.log_format.text if provider.log_format else "") or ISTIO_TEXT_FORMAT
    labels: Mapping[str, Any] = (provider.log_format.labels if provider.log_format else None) or {}
    config = OpenTelemetryAccessLog(
        grpc_service=service,
        log_name=provider.log_name or _OTLP_LOG,
        body={"string_value": text.removesuffix("\n")},
        attributes={
            "values": [{"key": name, "value": {"string_value": str(value)}} for name, value in labels.items()]
        },
    )
    return AccessLog(name="envoy.access_loggers.open_telemetry", typed_config=pack(config))


def _common(
    provider: EnvoyHttpGrpcV3LogProvider | EnvoyTcpGrpcV3LogProvider, service: dict[str, Any], usual_name: str
) -> dict[str, Any]:
    return {
        "log_name": provider.log_name or usual_name,
        "grpc_service": service,
        "transport_api_version": "V3",
        "filter_state_objects_to_log": provider.filter_state_objects_to_log,
    }


def _struct(members: Mapping[str, Any]) -> Struct:
    """A format of JSON lines, whose members may be objects and lists again."""
    made = Struct()
    for name, value in members.items():
        _fill(made.fields[name], value)
    return made


def _fill(field: Any, value: Any) -> None:
    match value:
        case None:
            field.null_value = 0
        case bool():
            field.bool_value = value
        case int() | float():
            field.number_value = value
        case Mapping():
            field.struct_value.CopyFrom(_struct(value))
        case list() | tuple():
            for item in value:
                _fill(field.list_value.values.add(), item)
        case _:
            field.string_value = str(value)
