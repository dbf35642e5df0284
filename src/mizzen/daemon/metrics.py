"""The daemon's metrics, by Istio's names where Istio has such a metric. docs/metrics.md says what each means.

Here is what is counted as it happens; what is so at the moment that somebody asks is in `readings`. Every label has a bounded number
of values.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from mizzen.ca.service import Refusal
from mizzen.config.resource import ResourceKey
from mizzen.daemon.refresher import Timing

# Istio's, so that its dashboards and alerts carry over, and finer ones below: a change takes milliseconds here.
_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0)

MOST_RESOURCES: Final = 100
"""Of the resources that proxies refused so many are counted by name, and all others together."""
OTHER_RESOURCES: Final = "(other)"

PROXY_REQUEST: Final = "proxyrequest"
KEY_SET: Final = "keyset"
_TRIGGERS: Final[Mapping[str, str]] = {
    "Endpoints": "endpoint",
    "EndpointSlice": "endpoint",
    "MeshConfig": "global",
    "Namespace": "namespace",
    "Pod": "endpoint",
    "Secret": "secret",
    "Service": "service",
    "ServiceEntry": "service",
    "WorkloadEntry": "endpoint",
}
"""By kind of object: why proxies are sent something. Source of the words: Istio's TriggerReason. All other kinds are "config"."""


def triggers(objects: Iterable[ResourceKey]) -> frozenset[str]:
    """Why these objects, which changed together, make something to be sent. No objects: a key set was fetched."""
    return frozenset(_TRIGGERS.get(key.kind, "config") for key in objects) or frozenset((KEY_SET,))


class DeliveryMetrics:
    """The counters of discovery. Labels are looked up once for each type: that costs more than to count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(name, words, labels, registry=registry)

        def histogram(name: str, words: str, *labels: str) -> Histogram:
            return Histogram(name, words, labels, registry=registry, buckets=_SECONDS)

        self.pushes = counter("pilot_xds_pushes", "Discovery responses sent.", "type")
        self.bytes = counter("mizzen_xds_sent_bytes", "Bytes of discovery responses.", "type")
        self.push_time = histogram("pilot_xds_push_time", "Seconds to make and write a response.", "type")
        self.rejects = counter("pilot_total_xds_rejects", "Resource versions that a proxy refused.", "type")
        self.rejects_of = counter(
            "mizzen_xds_resource_rejects", "Refused versions by resource.", "type", "resource"
        )
        self.stalls = counter("mizzen_xds_stalls", "Responses not answered in time.", "type")
        self.triggers = counter("pilot_push_triggers", "Why proxies were sent something.", "type")
        self.convergence = histogram(
            "pilot_proxy_convergence_time", "Seconds from a change's arrival to a proxy's ACK of all of it."
        )
        self.last_convergence = histogram(
            "mizzen_change_convergence_time",
            "Seconds from a change's arrival to the answer of the last proxy that it concerns.",
        )
        self._queue_time = histogram(
            "pilot_proxy_queue_time", "Seconds that a proxy waits for its turn to be sent something."
        )
        self.queued = self._queue_time.observe
        self.requested = self.triggers.labels(PROXY_REQUEST).inc
        self._by_type: dict[str, tuple[Counter, Counter, Histogram]] = {}
        self._named: set[tuple[str, str]] = set()

    def pushed(self, kind: str, size_bytes: int, seconds: float) -> None:
        found = self._by_type.get(kind)
        if found is None:
            found = self.pushes.labels(kind), self.bytes.labels(kind), self.push_time.labels(kind)
            self._by_type[kind] = found
        pushes, sent_bytes, push_time = found
        pushes.inc()
        sent_bytes.inc(size_bytes)
        push_time.observe(seconds)

    def rejected(self, kind: str, resource: str) -> None:
        self.rejects.labels(kind).inc()
        if len(self._named) < MOST_RESOURCES:
            self._named.add((kind, resource))
        named = resource if (kind, resource) in self._named else OTHER_RESOURCES
        self.rejects_of.labels(kind, named).inc()

    def triggered(self, reasons: Iterable[str], proxies: int) -> None:
        """So many are to be sent something, each for all of these reasons."""
        for reason in reasons:
            self.triggers.labels(reason).inc(proxies)


class RefreshMetrics:
    """How long changes wait to be computed, and how long that takes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._waited = Histogram(
            "pilot_debounce_time",
            "Seconds that the oldest change of a revision waited.",
            registry=registry,
            buckets=_SECONDS,
        )
        self._took = Histogram(
            "mizzen_refresh_seconds",
            "Seconds to compute what changes.",
            registry=registry,
            buckets=_SECONDS,
        )
        self._objects = Counter(
            "pilot_inbound_updates", "Objects that changed, by what they are.", ["type"], registry=registry
        )

    def refreshed(self, timing: Timing, objects: Iterable[ResourceKey]) -> None:
        self._waited.observe(timing.began - timing.received)
        self._took.observe(timing.ended - timing.began)
        for key in objects:
            self._objects.labels(_TRIGGERS.get(key.kind, "config")).inc()


class TraceMetrics:
    """Of spans, by what became of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._spans = Counter("mizzen_trace_spans", "Spans of traces.", ["outcome"], registry=registry)

    def counted(self, outcome: str, spans: int) -> None:
        self._spans.labels(outcome).inc(spans)


class CertificateMetrics:
    """Requests for certificates, by what became of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, words: str) -> Counter:
            return Counter(f"citadel_server_{name}", words, registry=registry)

        self._requests = counter("csr_count", "Requests for certificates.")
        self._issued = counter("success_cert_issuance_count", "Certificates issued.")
        self._refused = {
            Refusal.PROOF: counter(
                "authentication_failure_count", "Refused: the caller has not proven itself."
            ),
            Refusal.REQUEST: counter("csr_parsing_err_count", "Refused: the request is wrong."),
            Refusal.CA: counter("csr_sign_err_count", "Not signed: the CA cannot."),
        }

    def issued(self) -> None:
        self._requests.inc()
        self._issued.inc()

    def refused(self, why: Refusal) -> None:
        """What is refused because it is too much, `mizzen_shed` tells."""
        self._requests.inc()
        if why in self._refused:
            self._refused[why].inc()
