"""Who still reaches a workload in plaintext, from what the proxies counted: whether STRICT would break anybody. Pure.

The called proxy counts what came in plaintext, and cannot know from whom. A caller's proxy that speaks plaintext says so itself;
what nobody says comes from callers without a proxy.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from mizzen.admin.metrics_text import Series
from mizzen.admin.schema import MutualTlsReport, PlaintextCaller, WorkloadMutualTls
from mizzen.admin.traffic import CONNECTIONS, REQUESTS, Tally, connected, in_mutual_tls, workload_of
from mizzen.admin.window import Activity


@dataclass(slots=True)
class _Reached:
    mutual: int = 0
    plaintext: Tally = field(default_factory=Tally)
    callers: dict[str, Tally] = field(default_factory=dict)


def build_mutual_tls(
    activity: Iterable[Activity],
    *,
    since: float,
    modes: Mapping[str, str],
    to_epoch: Callable[[float], float],
) -> MutualTlsReport:
    """`modes`: of each workload with a proxy, PeerAuthentication's mode. `since`: when the daemon began to count; seconds since the
    epoch, as what `to_epoch` makes of a time of the window's clock.
    """
    reached = {name: _Reached() for name in modes}
    for one in activity:
        destination = workload_of(one.series, "destination")
        if one.series.name in {REQUESTS, CONNECTIONS} and destination in reached:
            _add(reached[destination], one)
    return MutualTlsReport(
        since=since,
        workloads=tuple(
            _built(name, modes[name], found, to_epoch) for name, found in sorted(reached.items())
        ),
    )


def _add(found: _Reached, one: Activity) -> None:
    if one.series.label("reporter") == "destination":
        if one.series.label("connection_security_policy") == "mutual_tls":
            found.mutual += one.total
        else:
            found.plaintext.add(one)
    elif _spoke_plaintext(one.series):
        found.callers.setdefault(workload_of(one.series, "source"), Tally()).add(one)


def _spoke_plaintext(series: Series) -> bool:
    return connected(series) and not in_mutual_tls(series)


def _built(name: str, mode: str, found: _Reached, to_epoch: Callable[[float], float]) -> WorkloadMutualTls:
    callers = {source: one for source, one in found.callers.items() if one.total}
    unknown = found.plaintext.total - sum(one.total for one in callers.values())
    if unknown > 0:
        callers[""] = Tally(unknown, found.plaintext.last_seen)
    return WorkloadMutualTls(
        workload=name,
        mode=mode,
        mutual_total=found.mutual,
        plaintext_total=max(found.plaintext.total, sum(one.total for one in callers.values())),
        callers=tuple(
            PlaintextCaller(
                source=source,
                total=one.total,
                last_seen=0.0 if one.last_seen is None else to_epoch(one.last_seen),
            )
            for source, one in sorted(callers.items(), key=lambda item: (-item[1].total, item[0]))
        ),
    )
