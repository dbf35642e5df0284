"""Traces: how Envoy makes spans, and where it sends them.

Source: Istio's Telemetry and its providers for OpenTelemetry and Zipkin. What describes the workload comes from its environment
(the OTLP resource from OTEL_RESOURCE_ATTRIBUTES, which the agent sets), so that all have the same settings.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from mizzen.config.types.providers import (
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
from mizzen.translate.built import pack
from mizzen.translate.provider_services import cluster_of, grpc_service

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
    found = provider_service(db, settings.service, settings.port) if settings else None
    if spans is None or settings is None or found is None:
        return None
    made = HttpConnectionManager.Tracing(
        client_sampling={"value": 100},
        random_sampling={"value": spans.percent},
        overall_sampling={"value": 100},
        custom_tags=list(_tags(spans)),
        provider=_sender(settings, found.host),
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


def _sender(settings: OpenTelemetryTracingProvider | ZipkinTracingProvider, host: str) -> dict[str, Any]:
    """`host` is the collector's."""
    if isinstance(settings, OpenTelemetryTracingProvider):
        config = pack(_opentelemetry(settings, host))
        return {"name": "envoy.tracers.opentelemetry", "typed_config": config}
    return {"name": "envoy.tracers.zipkin", "typed_config": pack(_zipkin(settings, host))}


def _opentelemetry(provider: OpenTelemetryTracingProvider, host: str) -> OpenTelemetryConfig:
    if provider.http is not None:
        target: dict[str, Any] = {"http_service": _http_service(host, provider.port, provider.http)}
    else:
        grpc = provider.grpc or GrpcService()
        target = {
            "grpc_service": {
                **grpc_service(host, provider.port),
                "initial_metadata": list(_headers(grpc.initial_metadata)),
                "timeout": grpc.timeout,
            }
        }
    detector = "envoy.tracers.opentelemetry.resource_detectors.environment"
    return OpenTelemetryConfig(
        resource_detectors=[{"name": detector, "typed_config": pack(OpenTelemetryEnvironment())}], **target
    )


def _zipkin(provider: ZipkinTracingProvider, host: str) -> ZipkinConfig:
    path = provider.path or _ZIPKIN_PATH
    config = ZipkinConfig(
        collector_cluster=cluster_of(host, provider.port),
        collector_endpoint=path,
        collector_endpoint_version="HTTP_JSON",
        collector_hostname=host,
        trace_id_128bit=not provider.enable_64bit_trace_id,
        shared_span_context={"value": False},
        trace_context_option=provider.trace_context_option.value,
    )
    if provider.timeout is not None or provider.headers:
        settings = HttpService(path=path, timeout=provider.timeout, headers=provider.headers)
        sending = _http_service(host, provider.port, settings)
        config.collector_service.MergeFrom(type(config.collector_service)(**sending))
    return config


def _http_service(host: str, port: int, settings: HttpService) -> dict[str, Any]:
    """Envoy's setting for a collector that is reached by HTTP."""
    uri = {
        "uri": f"http://{host}:{port}/{settings.path.lstrip('/')}",
        "cluster": cluster_of(host, port),
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
