"""From the proxies' counters to a TrafficReport: who calls whom, how versions share it, who was refused. Pure."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from mizzen.admin.metrics_text import Series
from mizzen.admin.schema import Denial, Edge, Split, TrafficReport
from mizzen.admin.window import Activity

TCP = "tcp"
REQUESTS = "istio_requests_total"
DENIALS = "mizzen_denied_requests_total"
CONNECTIONS = "istio_tcp_connections_opened_total"
MILLISECONDS = "istio_request_duration_milliseconds_sum"
TIMED = "istio_request_duration_milliseconds_count"
COUNTERS = (REQUESTS, CONNECTIONS, DENIALS, TIMED, MILLISECONDS)
"""What is read of each proxy, the most important first: what finds no room is ignored."""

AllowPolicies = Callable[[str], Sequence[str]]
"""The names ("namespace/name") of the ALLOW policies that select a workload ("namespace/name")."""

_DENIED = re.compile(r"rbac_access_denied_matched_policy\[(.*)\]")
_POLICY = re.compile(r"ns\[(.*)\]-policy\[(.*)\]-rule\[\d+\]")


def build_report(
    activity: Iterable[Activity],
    *,
    window_seconds: float,
    allow_policies: AllowPolicies,
    to_epoch: Callable[[float], float],
) -> TrafficReport:
    """`to_epoch` turns a time of the window's clock into seconds since the epoch."""
    edges: dict[_EdgeKey, _EdgeSum] = {}
    splits: dict[str, dict[str, int]] = {}
    denials: dict[_DenialKey, _DenialSum] = {}
    for one in activity:
        if one.series.name == DENIALS:
            # An application's own 403 is counted by the same counter: its details name no policy.
            if _DENIED.fullmatch(one.series.label("response_code_details")):
                denials.setdefault(_denial_key(one.series), _DenialSum()).add(one)
        elif one.series.label("reporter") == "source":
            edge = edges.setdefault(_edge_key(one.series), _EdgeSum())
            if one.series.name in {TIMED, MILLISECONDS}:
                edge.time(one)
            else:
                edge.add(one)
            if one.series.name == REQUESTS:
                _add_to_split(splits, one)
    built = tuple(edges[key].build(key) for key in sorted(edges))
    return TrafficReport(
        window_seconds=window_seconds,
        requests_per_second=sum(edge.requests_per_second for edge in built if edge.protocol != TCP),
        edges=built,
        splits=tuple(
            Split(service=service, requests_by_version=dict(sorted(versions.items())))
            for service, versions in sorted(splits.items())
            if len(versions) > 1
        ),
        denials=tuple(denials[key].build(key, allow_policies, to_epoch) for key in sorted(denials)),
    )


@dataclass(frozen=True, slots=True, order=True)
class _EdgeKey:
    source: str
    destination: str
    service: str
    protocol: str


@dataclass(slots=True)
class _EdgeSum:
    """The series of one edge, added up: one for each response code, flag and pair of principals."""

    per_second: float = 0.0
    errors: float = 0.0
    denied: float = 0.0
    total: int = 0
    timed: int = 0
    milliseconds: int = 0
    # Of the series that prove how the workloads talked: those active now, and all.
    now: list[Series] = field(default_factory=list)
    ever: list[Series] = field(default_factory=list)

    def add(self, one: Activity) -> None:
        code = one.series.label("response_code")
        self.per_second += one.per_second
        self.total += one.total
        if one.series.name == CONNECTIONS:
            self.errors += one.per_second if one.series.label("response_flags") else 0.0
        elif code.startswith("5") or code in {"", "0"}:
            self.errors += one.per_second
        elif code == "403":
            self.denied += one.per_second
        if connected(one.series):
            self.ever.append(one.series)
            if one.recent:
                self.now.append(one.series)

    def time(self, one: Activity) -> None:
        if one.series.name == TIMED:
            self.timed += one.recent
        else:
            self.milliseconds += one.recent

    def build(self, key: _EdgeKey) -> Edge:
        # One plaintext request among many encrypted ones must show, hence all(). A quiet edge shows its past.
        seen = self.now or self.ever
        return Edge(
            source=key.source,
            destination=key.destination,
            service=key.service,
            protocol=key.protocol,
            mutual_tls=bool(seen) and all(map(in_mutual_tls, seen)),
            source_principal=_principal(seen, "source_principal"),
            destination_principal=_principal(seen, "destination_principal"),
            requests_per_second=self.per_second,
            errors_per_second=self.errors,
            mean_milliseconds=self.milliseconds / self.timed if self.timed else None,
            denied_per_second=self.denied,
            requests_total=self.total,
        )


def _edge_key(series: Series) -> _EdgeKey:
    service = series.label("destination_service")
    return _EdgeKey(
        source=workload_of(series, "source") or "unknown",
        destination=workload_of(series, "destination") or service or "unknown",
        service=service,
        protocol=series.label("request_protocol"),
    )


def workload_of(series: Series, side: str) -> str:
    """The workload as "namespace/name", or "" where none is named (no proxy, or no answer)."""
    name = series.label(f"{side}_workload")
    return f"{series.label(f'{side}_workload_namespace')}/{name}" if name else ""


def in_mutual_tls(series: Series) -> bool:
    return bool(series.label("source_principal") and series.label("destination_principal"))


def connected(series: Series) -> bool:
    """Whether the request reached the other side, so that the lack of principals means plaintext.

    Envoy's response flags tell (UF: connection failed, UH: no healthy upstream, FI: fault injected, ...); a request
    without a flag was answered by the other side.
    """
    return in_mutual_tls(series) or not series.label("response_flags")


def _principal(seen: Sequence[Series], label: str) -> str:
    return next((principal for series in seen if (principal := series.label(label))), "")


def _add_to_split(splits: dict[str, dict[str, int]], one: Activity) -> None:
    service, version = one.series.label("destination_service"), one.series.label("destination_version")
    # Without a workload nobody answered: a fault or a failed connection belongs to no version.
    if service and version and one.series.label("destination_workload"):
        versions = splits.setdefault(service, {})
        versions[version] = versions.get(version, 0) + one.recent


@dataclass(frozen=True, slots=True, order=True)
class _DenialKey:
    source_principal: str
    destination: str
    details: str


@dataclass(slots=True)
class Tally:
    """How much of something there was, and when it came last (None: before anybody looked)."""

    total: int = 0
    last_seen: float | None = None

    def add(self, one: Activity) -> None:
        self.total += one.total
        if one.last_seen is not None:
            self.last_seen = max(self.last_seen or one.last_seen, one.last_seen)


@dataclass(slots=True)
class _DenialSum(Tally):
    def build(
        self, key: _DenialKey, allow_policies: AllowPolicies, to_epoch: Callable[[float], float]
    ) -> Denial:
        return Denial(
            source_principal=key.source_principal,
            destination=key.destination,
            policy=_policy_in_words(key.details, key.destination, allow_policies),
            requests_total=self.total,
            # 0: before the daemon began to watch.
            last_seen=0.0 if self.last_seen is None else to_epoch(self.last_seen),
        )


def _denial_key(series: Series) -> _DenialKey:
    return _DenialKey(
        source_principal=series.label("source_principal"),
        destination=workload_of(series, "destination") or "unknown",
        details=series.label("response_code_details"),
    )


def _policy_in_words(details: str, destination: str, allow_policies: AllowPolicies) -> str:
    """Envoy's response code details, as "DENY policy bookinfo/x" or "no ALLOW policy matched (bookinfo/y)"."""
    denied = _DENIED.fullmatch(details)
    assert denied, "only such details come here"
    if denied[1] == "none":
        names = ", ".join(allow_policies(destination))
        return f"no ALLOW policy matched ({names})" if names else "no ALLOW policy matched"
    policy = _POLICY.fullmatch(denied[1])
    return f"DENY policy {policy[1]}/{policy[2]}" if policy else f"DENY policy {denied[1]}"
