"""Traces: how Envoy makes spans, and where it sends them.

Source: Istio's Telemetry and its providers for OpenTelemetry and Zipkin. What describes the workload comes from its environment
(the OTLP resource from OTEL_RESOURCE_ATTRIBUTES, which the agent sets), so that all have the same settings.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from mizzen.config.types.providers import (
    ExtensionProvider,
    GrpcService,
    HttpHeader,
    HttpService,
    OpenTelemetryTracingProvider,
    ZipkinTracingProvider,
)
from mizzen.config.types.telemetry import CustomTag
from mizzen.config.validation.formats import format_problem
from mizzen.derive.providers import extension_provider, provider_service
from mizzen.derive.telemetry import Spans
from mizzen.incremental import Database
from mizzen.proto.api import (
    HttpConnectionManager,
    OpenTelemetryConfig,
    OpenTelemetryEnvironment,
    ZipkinConfig,
)
from mizzen.translate import names
from mizzen.translate.built import pack
from mizzen.translate.telemetry.access_logs import grpc_service

_ZIPKIN_PATH = "/api/v2/spans"
_TIMEOUT = timedelta(seconds=5)
# Istio's own tags -> the variable of the proxy that has the value.
_ISTIO_TAGS = {
    "istio.canonical_service": "MIZZEN_CANONICAL_NAME",
    "istio.canonical_revision": "MIZZEN_CANONICAL_REVISION",
    "istio.mesh_id": "MIZZEN_MESH_ID",
    "istio.namespace": "MIZZEN_NAMESPACE",
    "istio.cluster_id": "MIZZEN_CLUSTER",
}


def tracing(db: Database, spans: Spans | None) -> HttpConnectionManager.Tracing | None:
    """Of a connection manager. None where nothing is traced, the provider is not known or its service is not."""
    provider = extension_provider(db, spans.provider) if spans else None
    settings = (provider.opentelemetry or provider.zipkin) if provider else None
    if spans is None or provider is None or settings is None:
        return None
    sender = _sender(db, provider)
    if sender is None:
        return None
    made = HttpConnectionManager.Tracing(
        client_sampling={"value": 100},
        random_sampling={"value": spans.percent},
        overall_sampling={"value": 100},
        custom_tags=list(_tags(spans)),
        provider=sender,
        no_context_propagation=not spans.propagation,
    )
    if settings.max_tag_length:
        made.max_path_tag_length.value = settings.max_tag_length
    return made


def _tags(spans: Spans) -> Iterable[dict[str, Any]]:
    if spans.istio_tags:
        for tag, variable in _ISTIO_TAGS.items():
            yield {"tag": tag, "environment": {"name": variable, "default_value": "unknown"}}
    for tag, value in sorted(spans.tags.items()):
        if value.formatter is None or not format_problem(value.formatter.value):
            yield {"tag": tag, **_tag_value(value)}


def _tag_value(tag: CustomTag) -> dict[str, Any]:
    if tag.literal is not None:
        return {"literal": {"value": tag.literal.value}}
    if tag.environment is not None:
        return {"environment": {"name": tag.environment.name, "default_value": tag.environment.default_value}}
    if tag.header is not None:
        return {"request_header": {"name": tag.header.name, "default_value": tag.header.default_value}}
    return {"value": tag.formatter.value if tag.formatter else ""}


def _sender(db: Database, provider: ExtensionProvider) -> dict[str, Any] | None:
    if provider.opentelemetry is not None:
        config = _opentelemetry(db, provider.opentelemetry)
        return {"name": "envoy.tracers.opentelemetry", "typed_config": pack(config)} if config else None
    assert provider.zipkin is not None
    zipkin = _zipkin(db, provider.zipkin)
    return {"name": "envoy.tracers.zipkin", "typed_config": pack(zipkin)} if zipkin else None


def _opentelemetry(db: Database, provider: OpenTelemetryTracingProvider) -> OpenTelemetryConfig | None:
    if provider.http is not None:
        sending = _http_service(db, provider.service, provider.port, provider.http)
        target: dict[str, Any] = {"http_service": sending}
    else:
        grpc = provider.grpc or GrpcService()
        sending = grpc_service(db, provider.service, provider.port)
        target = {
            "grpc_service": {
                **(sending or {}),
                "initial_metadata": list(_headers(grpc.initial_metadata)),
                "timeout": grpc.timeout,
            }
        }
    if sending is None:
        return None
    detector = "envoy.tracers.opentelemetry.resource_detectors.environment"
    return OpenTelemetryConfig(
        resource_detectors=[{"name": detector, "typed_config": pack(OpenTelemetryEnvironment())}], **target
    )


def _zipkin(db: Database, provider: ZipkinTracingProvider) -> ZipkinConfig | None:
    found = provider_service(db, provider.service, provider.port)
    if found is None:
        return None
    path = provider.path or _ZIPKIN_PATH
    config = ZipkinConfig(
        collector_cluster=names.outbound_cluster(provider.port, "", found.host),
        collector_endpoint=path,
        collector_endpoint_version="HTTP_JSON",
        collector_hostname=found.host,
        trace_id_128bit=not provider.enable_64bit_trace_id,
        shared_span_context={"value": False},
        trace_context_option=provider.trace_context_option.value,
    )
    if provider.timeout is not None or provider.headers:
        settings = HttpService(path=path, timeout=provider.timeout, headers=provider.headers)
        sending = _http_service(db, provider.service, provider.port, settings)
        assert sending is not None
        config.collector_service.MergeFrom(type(config.collector_service)(**sending))
    return config


def _http_service(db: Database, service: str, port: int, settings: HttpService) -> dict[str, Any] | None:
    """Envoy's setting for a collector that is reached by HTTP; None where its service is not known."""
    found = provider_service(db, service, port)
    if found is None:
        return None
    uri = {
        "uri": f"http://{found.host}:{port}/{settings.path.lstrip('/')}",
        "cluster": names.outbound_cluster(port, "", found.host),
        "timeout": settings.timeout or _TIMEOUT,
    }
    return {
        "http_uri": uri,
        "request_headers_to_add": [{"header": one} for one in _headers(settings.headers)],
    }


def _headers(headers: Iterable[HttpHeader]) -> Iterable[dict[str, str]]:
    """For the collector. The value may stand in a variable of the proxy's environment."""
    for header in headers:
        if header.env_name is not None:
            yield {"key": header.name, "value": f"%ENVIRONMENT({header.env_name})%"}
        elif header.value is not None:
            yield {"key": header.name, "value": header.value.reveal().decode().replace("%", "%%")}
