"""Whether and where a workload's agent asks its application for metrics, as the annotations of its pod say it in Istio."""

from collections.abc import Iterator, Mapping
from typing import Final

from mizzen.admin.schema import ProxyStart
from mizzen.agent.application_metrics import ApplicationMetrics, of_annotations

MERGE: Final = "prometheus.istio.io/merge-metrics"
_PREFIX: Final = "prometheus.io/"


def application_metrics(start: ProxyStart, annotations: Mapping[str, str]) -> tuple[str, ...]:
    """The agent's options. The workload's own word on merging goes before the mesh's (enablePrometheusMerge)."""
    merges = annotations[MERGE] == "true" if MERGE in annotations else start.merge_metrics
    found = _of(annotations) if merges else None
    return ("--application-metrics", str(found)) if found is not None else ()


def wrong_metrics_annotations(annotations: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Those that cannot be meant, each with what is wrong."""
    if annotations.get(MERGE, "true") not in {"true", "false"}:
        yield MERGE, f"{annotations[MERGE]!r} is neither true nor false"
    try:
        _of(annotations)
    except ValueError as error:
        wrong = next(
            (name for name in ("port", "path", "scheme") if f"{_PREFIX}{name}" in annotations), "scrape"
        )
        yield f"{_PREFIX}{wrong}", str(error)


def _of(annotations: Mapping[str, str]) -> ApplicationMetrics | None:
    """Raises ValueError."""
    return of_annotations(
        {name.removeprefix(_PREFIX): text for name, text in annotations.items() if name.startswith(_PREFIX)}
    )
