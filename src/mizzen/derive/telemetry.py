"""Telemetry: what a workload tells of the traffic that reaches it and of the traffic that leaves it.

Source: Istio. The Telemetry of the root namespace holds for all, that of a namespace for its workloads, that of a workload
(by selector or targetRefs) for it alone; each goes on from the wider one. Of several for the same the oldest holds.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain

from mizzen.config.types.mesh import DefaultProviders
from mizzen.config.types.telemetry import (
    AccessLogging,
    CustomTag,
    IstioMetric,
    LogSelector,
    Metrics,
    MetricSelector,
    MetricsOverrides,
    ProviderRef,
    TagOperation,
    Telemetry,
    TelemetryMode,
    Tracing,
    TracingSelector,
)
from mizzen.config.validation.cel import as_text, problem_for_envoy
from mizzen.derive.age import oldest_first
from mizzen.derive.attachment import Attachment
from mizzen.derive.mesh import mesh_config, root_namespace
from mizzen.derive.providers import PROMETHEUS, extension_provider
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, query

SAMPLED_PERCENT = 1.0
"""How much of the requests is traced where nothing says otherwise."""

_EVERYWHERE = Attachment()
_EACH_METRIC = tuple(metric for metric in IstioMetric if metric is not IstioMetric.ALL_METRICS)


class Side(Enum):
    """Of a connection, as its workload sees it. Gateways are clients (Istio's rule)."""

    CLIENT = TelemetryMode.CLIENT
    SERVER = TelemetryMode.SERVER

    def is_meant(self, mode: TelemetryMode) -> bool:
        return mode in {self.value, TelemetryMode.CLIENT_AND_SERVER}


@dataclass(frozen=True, slots=True)
class MetricChange:
    """What becomes of one of Istio's metrics."""

    disabled: bool = False
    tags: FrozenMap[str, str] = EMPTY  # label -> CEL expression; "": the label is left out


_UNCHANGED: FrozenMap[IstioMetric, MetricChange] = FrozenMap()
_NO_TAGS: FrozenMap[str, CustomTag] = FrozenMap()


@dataclass(frozen=True, slots=True)
class LogOutput:
    """An access log."""

    provider: str
    expression: str = ""  # CEL: only where it is true a line is written; "": always


@dataclass(frozen=True, slots=True)
class Spans:
    """How spans are made and where they go."""

    provider: str
    percent: float = SAMPLED_PERCENT  # of the requests that nobody decided about before
    tags: FrozenMap[str, CustomTag] = _NO_TAGS
    by_request_id: bool = True  # x-request-id carries the decision
    istio_tags: bool = True
    propagation: bool = True  # trace headers are sent on


@dataclass(frozen=True, slots=True)
class Observed:
    """What is told of one side of a workload's traffic."""

    metrics: FrozenMap[IstioMetric, MetricChange] | None = (
        _UNCHANGED  # Istio's, changed so; None: none at all
    )
    logs: tuple[LogOutput, ...] | None = None  # None: as MeshConfig's accessLogFile says
    spans: Spans | None = None  # None: no traces


@query
def observed(db: Database, namespace: str, labels: FrozenMap[str, str], side: Side) -> Observed:
    """What is told of one side of the traffic of a workload."""
    found = _telemetries(db, namespace, labels)
    defaults = mesh_config(db).default_providers or DefaultProviders()
    return Observed(
        _metrics(db, tuple(chain.from_iterable(one.metrics for one in found)), defaults, side),
        _logs(tuple(one.access_logging for one in found), defaults, side),
        _spans(tuple(chain.from_iterable(one.tracing for one in found)), defaults, side),
    )


@query
def _telemetries(db: Database, namespace: str, labels: FrozenMap[str, str]) -> tuple[Telemetry, ...]:
    """Those that hold for a workload, the widest first."""
    general = (
        next((spec for spec, meant in _attached(db, owner) if meant == _EVERYWHERE), None)
        for owner in dict.fromkeys((root_namespace(db), namespace))
    )
    chosen = ((spec, meant) for spec, meant in _attached(db, namespace) if meant != _EVERYWHERE)
    own = next((spec for spec, meant in chosen if meant.holds_for(labels)), None)
    return tuple(spec for spec in (*general, own) if spec is not None)


@query
def _attached(db: Database, namespace: str) -> tuple[tuple[Telemetry, Attachment], ...]:
    """Those of a namespace, the oldest first, and whom each is for."""
    found = oldest_first(db, "Telemetry", namespace)
    return tuple((one.spec, Attachment.of(one.spec)) for one in found)


# --- metrics --------------------------------------------------------------------------------------------------


def _metrics(
    db: Database, settings: tuple[Metrics, ...], defaults: DefaultProviders, side: Side
) -> FrozenMap[IstioMetric, MetricChange] | None:
    """The changes for Prometheus, the one provider of metrics that there is."""
    providers = defaults.metrics or (PROMETHEUS,)
    is_told = not settings and _any_prometheus(db, providers)
    changes: dict[IstioMetric, MetricChange] = {}
    for one in settings:
        providers = _names(one.providers) or providers
        if not _any_prometheus(db, providers):
            continue
        is_told = True
        for override in one.overrides:
            match = override.match or MetricSelector()
            if side.is_meant(match.mode):
                for metric in _meant(match):
                    changes[metric] = _changed(changes.get(metric, MetricChange()), override)
    return FrozenMap(changes) if is_told else None


def _any_prometheus(db: Database, names: Iterable[str]) -> bool:
    found = (extension_provider(db, name) for name in names)
    return any(one is not None and one.prometheus is not None for one in found)


def _meant(match: MetricSelector) -> tuple[IstioMetric, ...]:
    if match.custom_metric is not None:  # which may be the name of one of Istio's
        name = match.custom_metric.removeprefix("istio_")
        return tuple(metric for metric in _EACH_METRIC if METRIC_NAMES[metric] == f"istio_{name}")
    if match.metric in {None, IstioMetric.ALL_METRICS}:
        return _EACH_METRIC
    assert match.metric is not None
    return (match.metric,)


def _changed(change: MetricChange, override: MetricsOverrides) -> MetricChange:
    tags = {
        name: "" if tag.operation is TagOperation.REMOVE else as_text(tag.value)
        for name, tag in override.tag_overrides.items()
        # Envoy would refuse the whole listener for what it does not understand. Validation warns of it.
        if tag.operation is TagOperation.REMOVE or not problem_for_envoy(as_text(tag.value))
    }
    disabled = change.disabled if override.disabled is None else override.disabled
    return MetricChange(disabled, FrozenMap({**change.tags, **tags}))


METRIC_NAMES = FrozenMap(
    {
        IstioMetric.REQUEST_COUNT: "istio_requests_total",
        IstioMetric.REQUEST_DURATION: "istio_request_duration_milliseconds",
        IstioMetric.REQUEST_SIZE: "istio_request_bytes",
        IstioMetric.RESPONSE_SIZE: "istio_response_bytes",
        IstioMetric.TCP_OPENED_CONNECTIONS: "istio_tcp_connections_opened_total",
        IstioMetric.TCP_CLOSED_CONNECTIONS: "istio_tcp_connections_closed_total",
        IstioMetric.TCP_SENT_BYTES: "istio_tcp_sent_bytes_total",
        IstioMetric.TCP_RECEIVED_BYTES: "istio_tcp_received_bytes_total",
        IstioMetric.GRPC_REQUEST_MESSAGES: "istio_request_messages_total",
        IstioMetric.GRPC_RESPONSE_MESSAGES: "istio_response_messages_total",
    }
)
"""Istio's names of its metrics, as Prometheus sees them."""


# --- access logs ----------------------------------------------------------------------------------------------


def _logs(
    settings: tuple[tuple[AccessLogging, ...], ...], defaults: DefaultProviders, side: Side
) -> tuple[LogOutput, ...] | None:
    """The access logs of one side, from each Telemetry's settings. The narrowest that names providers says which there are."""
    if not any(settings):
        return tuple(map(LogOutput, defaults.access_logging)) or None
    of_side = [[one for one in each if _is_meant(side, one.match)] for each in settings]
    named = ({name for one in each for name in _names(one.providers)} for each in of_side)
    in_scope = next(filter(None, reversed(list(named))), set(defaults.access_logging))
    outputs: dict[str, LogOutput] = {}
    providers: tuple[str, ...] = defaults.access_logging
    for one in chain.from_iterable(of_side):
        providers = _names(one.providers) or providers
        for name in in_scope.intersection(providers):
            if one.disabled:
                outputs.pop(name, None)
            else:
                outputs[name] = LogOutput(name, one.filter.expression if one.filter else "")
    return tuple(outputs[name] for name in sorted(outputs)) if in_scope else None


# --- traces ---------------------------------------------------------------------------------------------------


def _spans(settings: tuple[Tracing, ...], defaults: DefaultProviders, side: Side) -> Spans | None:
    """Only the first of several providers is used (Istio's rule)."""
    spans = Spans(next(iter(defaults.tracing), ""))
    reporting = True
    for one in settings:
        if not _is_meant(side, one.match):
            continue
        if one.providers:
            spans = replace(spans, provider=one.providers[0].name)
        if one.disable_span_reporting is not None:
            reporting = not one.disable_span_reporting
        if one.random_sampling_percentage is not None:
            spans = replace(spans, percent=float(one.random_sampling_percentage))
        if one.custom_tags:
            spans = replace(spans, tags=one.custom_tags)
        if one.use_request_id_for_trace_sampling is not None:
            spans = replace(spans, by_request_id=one.use_request_id_for_trace_sampling)
        if one.enable_istio_tags is not None:
            spans = replace(spans, istio_tags=one.enable_istio_tags)
        if one.disable_context_propagation is not None:
            spans = replace(spans, propagation=not one.disable_context_propagation)
    return spans if spans.provider and reporting else None


def _is_meant(side: Side, match: LogSelector | TracingSelector | None) -> bool:
    return match is None or side.is_meant(match.mode)


def _names(providers: Iterable[ProviderRef]) -> tuple[str, ...]:
    return tuple(one.name for one in providers)
