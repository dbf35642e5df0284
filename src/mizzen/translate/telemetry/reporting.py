"""What filters get so that one side of a workload's traffic is told: access loggers, and the settings of spans."""

from dataclasses import dataclass, replace

from mizzen.config.types.providers import ExtensionProvider
from mizzen.derive.providers import extension_provider, provider_service
from mizzen.derive.telemetry import Observed, Side, observed
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.service import ServiceRef
from mizzen.proto.api import AccessLog, AccessLogFilter, HttpConnectionManager
from mizzen.translate.built import encode
from mizzen.translate.telemetry.access_logs import access_logs
from mizzen.translate.telemetry.metrics import (
    Labels,
    Served,
    destination_labels,
    http_metrics,
    source_labels,
    stream_metrics,
)
from mizzen.translate.telemetry.tracing import tracing


@dataclass(frozen=True, slots=True)
class Reporting:
    """Parts of Envoy's settings, serialised, for requests and for connections."""

    requests: tuple[bytes, ...] = ()
    connections: tuple[bytes, ...] = ()
    spans: bytes | None = None
    by_request_id: bool = True  # the decision whether a request is traced goes with x-request-id
    is_counted: bool = False  # connections are told when they are made, not only when they end

    def of_requests(self) -> list[AccessLog]:
        return [AccessLog.FromString(each) for each in self.requests]

    def of_connections(self) -> list[AccessLog]:
        return [AccessLog.FromString(each) for each in self.connections]

    def tracing(self) -> HttpConnectionManager.Tracing | None:
        return None if self.spans is None else HttpConnectionManager.Tracing.FromString(self.spans)


@query
def client_reporting(db: Database, seen: Observed) -> Reporting:
    """Of what leaves a workload or goes through a gateway. It names no workload: all that observe the same share it."""
    return _reporting(db, seen, source_labels())


@query
def server_reporting(db: Database, seen: Observed, served: Served) -> Reporting:
    """Of what reaches a workload by one filter chain. What a collector receives is not told to that collector: each report would
    be the reason for the next one.
    """
    host = served.host
    logs = None if seen.logs is None else tuple(one for one in seen.logs if _host(db, one.provider) != host)
    spans = seen.spans if seen.spans and _host(db, seen.spans.provider) != host else None
    return _reporting(db, replace(seen, logs=logs, spans=spans), destination_labels(served))


def _reporting(db: Database, seen: Observed, labels: Labels) -> Reporting:
    spans = tracing(db, seen.spans)
    of_requests = http_metrics(labels, seen.metrics) if seen.metrics is not None else []
    of_connections = stream_metrics(labels, seen.metrics) if seen.metrics is not None else []
    lines = access_logs(db, seen, http=False)
    ended = [at_the_end(log) for log in lines] if of_connections else lines
    return Reporting(
        tuple(map(encode, (*access_logs(db, seen, http=True), *of_requests))),
        tuple(map(encode, (*ended, *of_connections))),
        None if spans is None else encode(spans),
        by_request_id=seen.spans is None or seen.spans.by_request_id,
        is_counted=bool(of_requests or of_connections),
    )


def at_the_end(log: AccessLog) -> AccessLog:
    """Lines are for what has ended: metrics want to hear of beginnings, too."""
    ended = AccessLogFilter(log_type_filter={"types": ["TcpConnectionEnd"]})
    if log.HasField("filter"):
        ended = AccessLogFilter(and_filter={"filters": [ended, log.filter]})
    log.filter.CopyFrom(ended)
    return log


@query
def collectors(
    db: Database, namespace: str, labels: FrozenMap[str, str]
) -> tuple[tuple[ServiceRef, int], ...]:
    """The services that a workload's proxy sends access logs and spans to, each with its port."""
    found: dict[tuple[ServiceRef, int], None] = {}
    for side in Side:
        seen = observed(db, namespace, labels, side)
        names = [output.provider for output in seen.logs or ()]
        names += [seen.spans.provider] if seen.spans else []
        for name in names:
            if (collector := _collector(db, name)) is not None:
                found[collector] = None
    return tuple(found)


def _collector(db: Database, name: str) -> tuple[ServiceRef, int] | None:
    """The service that a provider sends to, and its port; None where it sends nothing or the service is not known."""
    provider = extension_provider(db, name) or ExtensionProvider()
    settings = (
        provider.envoy_otel_als
        or provider.envoy_http_als
        or provider.envoy_tcp_als
        or provider.opentelemetry
        or provider.zipkin
    )
    ref = provider_service(db, settings.service, settings.port) if settings else None
    return (ref, settings.port) if settings is not None and ref is not None else None


def _host(db: Database, name: str) -> str | None:
    """Of the service that a provider sends to."""
    collector = _collector(db, name)
    return collector[0].host if collector is not None else None
