"""Metrics that are read when somebody asks, and cost nothing until then. docs/metrics.md says what each means."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from cryptography.x509 import Certificate
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from mizzen import __version__
from mizzen.ca.external import ExternalSigner
from mizzen.ca.files import StateError
from mizzen.ca.live import LiveAuthority
from mizzen.daemon.catalog import MeshCatalog
from mizzen.daemon.delivery import DeliveryLog, type_name
from mizzen.daemon.refresher import Refresher
from mizzen.daemon.status import DaemonStatus
from mizzen.daemon.store import Store
from mizzen.incremental import Database
from mizzen.xds.server import DiscoveryService

_log = logging.getLogger(__name__)

Labelled = Mapping[tuple[str, ...], float]
"""A number for each tuple of labels."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric that is read when somebody asks: a number, or one for each tuple of labels."""

    name: str
    words: str
    read: Callable[[], float | Labelled]
    labels: tuple[str, ...] = ()
    is_counter: bool = False

    def family(self) -> Metric:
        found = self.read()
        kind = CounterMetricFamily if self.is_counter else GaugeMetricFamily
        family = kind(self.name, self.words, labels=self.labels)
        for values, number in (found if isinstance(found, Mapping) else {(): found}).items():
            family.add_metric(values, number)
        return family


@dataclass(frozen=True)
class Readings(Collector):
    """A reading that fails is left out, and the log says why: the others are wanted then most of all."""

    readings: tuple[Reading, ...]

    def collect(self) -> Iterator[Metric]:
        for reading in self.readings:
            try:
                yield reading.family()
            except Exception:  # noqa: BLE001 - a bug; it is in the log, and the others are shown
                _log.exception("the metric %s cannot be read", reading.name)


@dataclass(frozen=True, slots=True)
class Parts:
    """Of a daemon: what there is to read of."""

    db: Database
    store: Store
    refresher: Refresher
    catalog: MeshCatalog
    discovery: DiscoveryService
    delivery: DeliveryLog
    status: DaemonStatus
    authority: LiveAuthority | ExternalSigner

    def readings(self) -> Readings:
        return Readings((*self._of_changes(), *self._of_proxies(), *self._of_the_ca()))

    def _of_changes(self) -> tuple[Reading, ...]:
        return (
            Reading("mizzen_build", "1.", lambda: {(__version__,): 1}, ("version",)),
            Reading("mizzen_query_runs", "Queries that ran.", self._runs, ("query",), is_counter=True),
            Reading("mizzen_waiting_changes", "Objects not computed yet.", lambda: self.store.waiting),
            Reading(
                "mizzen_oldest_change_seconds",
                "How long the oldest waits.",
                lambda: self.refresher.waiting_seconds,
            ),
            Reading(
                "mizzen_config_diagnostics",
                "Findings in the configuration in force.",
                self._diagnostics,
                ("severity", "code"),
            ),
        )

    def _of_proxies(self) -> tuple[Reading, ...]:
        return (
            Reading("pilot_xds", "Connected proxies.", lambda: sum(1 for _ in self.catalog.sessions)),
            Reading("mizzen_waiting_proxies", "Proxies that wait.", lambda: self.discovery.waiting),
            Reading("mizzen_xds_refused", "Refused versions held back now.", self._refused, ("type",)),
        )

    def _of_the_ca(self) -> tuple[Reading, ...]:
        return (
            Reading(
                "mizzen_ca_expiry_timestamp_seconds",
                "When the first certificate that counts ends.",
                lambda: _ends(lambda: [self.authority.expires.timestamp()]),
            ),
            Reading(
                "citadel_server_root_cert_expiry_timestamp",
                "When the first root ends.",
                lambda: _ends(lambda: map(_end, self._roots())),
            ),
            Reading(
                "citadel_server_cert_chain_expiry_timestamp",
                "When the first of the CA's own certificates ends.",
                lambda: _ends(lambda: map(_end, self._chain())),
            ),
        )

    def _runs(self) -> Labelled:
        return {(name,): runs for name, runs in self.db.runs.items()}

    def _diagnostics(self) -> Labelled:
        return Counter((found.severity, found.code) for found in self.status.diagnostics())

    def _refused(self) -> Labelled:
        return Counter((type_name(refusal.type_url),) for refusal in self.delivery.refusals.values())

    def _roots(self) -> Iterable[Certificate]:
        authority = self.authority
        return authority.roots() if isinstance(authority, ExternalSigner) else authority.current.roots

    def _chain(self) -> Iterable[Certificate]:
        """Of an external CA it is not known."""
        if isinstance(self.authority, ExternalSigner):
            return ()
        return (self.authority.current.certificate, *self.authority.current.intermediates)


def _end(certificate: Certificate) -> float:
    return certificate.not_valid_after_utc.timestamp()


def _ends(read: Callable[[], Iterable[float]]) -> float:
    """The first of some times in seconds since the epoch; 0 where it cannot be told."""
    try:
        return min(read(), default=0.0)
    except StateError:
        return 0.0
