"""All construction in one place: from settings to a daemon that runs."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector

from mizzen import __version__
from mizzen.admin.scrape import TrafficScraper
from mizzen.admin.server import AdminServer
from mizzen.analysis.live import LiveAnalysis
from mizzen.config.diagnostics import Diagnostic
from mizzen.config.resource import ResourceKey
from mizzen.daemon.catalog import MeshCatalog
from mizzen.daemon.certifying import Certifying
from mizzen.daemon.clocks import Clocks
from mizzen.daemon.collector import Collector
from mizzen.daemon.debug import DebugService
from mizzen.daemon.delivery import DeliveryLog
from mizzen.daemon.departures import Departures
from mizzen.daemon.health import HealthService
from mizzen.daemon.key_sets import KeySets
from mizzen.daemon.lock import shared_folder
from mizzen.daemon.metrics import DeliveryMetrics, RefreshMetrics, TraceMetrics
from mizzen.daemon.otlp import SpanExporter, traces_url
from mizzen.daemon.overload import Overload
from mizzen.daemon.presence import FOLDER as PRESENCE
from mizzen.daemon.presence import Presence
from mizzen.daemon.readiness import Readiness, Step
from mizzen.daemon.readings import Parts, Readings
from mizzen.daemon.refresher import Refresher, Timing
from mizzen.daemon.registration import FOLDER, Registrar
from mizzen.daemon.settings import Settings
from mizzen.daemon.standing import Standing
from mizzen.daemon.status import DaemonStatus, Sources
from mizzen.daemon.store import Store
from mizzen.daemon.targets import ScrapeTargets
from mizzen.daemon.traces import Tracer
from mizzen.derive.inputs import SETTINGS, KeySource, MeshSettings
from mizzen.derive.mesh import mesh_config
from mizzen.derive.providers import mesh_addresses
from mizzen.derive.request_authentication import wanted_key_sets
from mizzen.errors import UserError
from mizzen.incremental import Database, Observed
from mizzen.logs import fields
from mizzen.model.identity import SpiffeId
from mizzen.rpc.server import ListenError, RpcServer
from mizzen.sources.files import FileSource
from mizzen.translate.patches.resources import problems as patch_problems
from mizzen.xds.server import DiscoveryService

_log = logging.getLogger(__name__)


class Daemon:
    """Discovery, CA, configuration and the admin API over one database."""

    def __init__(self, settings: Settings, clocks: Clocks | None = None) -> None:
        clocks = clocks or Clocks()
        self._settings = settings
        self._clocks = clocks
        self._db = Database()
        self._store = Store(self._db)
        with shared_folder(settings.shared) as shared:
            members = shared / FOLDER
            members.mkdir(mode=0o700, exist_ok=True)
        self._source = FileSource((*settings.config, members))
        self._registry = CollectorRegistry()
        self._keys = self._build_keys()
        self._wanted_keys: Mapping[KeySource, timedelta] | None = None
        self._analysis = LiveAnalysis()
        first = self._source.load()
        self._store.apply(first, at_start=True)
        for source, keys in self._keys.known.items():
            self._store.publish_keys(source, keys)
        self._store.commit()
        self._analysis.apply(first)
        self._db.follow(patch_problems)  # kept, so that a scrape or a poll computes nothing
        self._trust_domain = _valid_trust_domain(
            settings.trust_domain or self._db.value(mesh_config).trust_domain
        )
        self._db.set(SETTINGS, "mesh", MeshSettings(self._trust_domain))

        own_name = clocks.random_bytes(8).hex()
        self._presence = Presence(members, settings.shared / PRESENCE, own_name, monotonic=clocks.monotonic)
        self._certifying = Certifying(settings, self._trust_domain, self._db, clocks, self._registry)
        self._readiness = Readiness(lambda: self._certifying.authority.expires, clocks.wall)
        registrar = Registrar(self._db, members, own_name)
        self._departures = Departures(clocks.monotonic)
        self._catalog = MeshCatalog(
            self._db,
            register=registrar.register,
            revoked=self._certifying.revocations,
            left=self._departures.left,
        )
        ProcessCollector(registry=self._registry)
        metrics = DeliveryMetrics(self._registry)
        self._spans = self._open_spans(own_name)
        self._delivery = self._open_delivery(metrics)
        self._shed = Overload(self._registry, clocks.monotonic, _log.warning).shed
        self._discovery = DiscoveryService(
            self._catalog, self._delivery, shed=self._shed, queued=metrics.queued
        )
        self._standing = Standing(
            self._catalog, self._certifying.revocations, self._discovery.end, clocks.epoch
        )
        self._refreshes = RefreshMetrics(self._registry)
        self._refresher = Refresher(self._store, self._take_in, clocks.monotonic)
        self._analyser = Refresher(
            self._analysis, lambda observed, *_: self._analysis.take_in(observed), clocks.monotonic
        )
        self._analyser.request()
        self._collector = Collector(self._is_quiet, clocks.monotonic)
        self._status = self._build_status()
        self._rpc = self._build_rpc()
        self._admin = AdminServer(
            self._status,
            self._registry,
            hosts=settings.admin_hosts,
            logs=settings.logs,
            missing=self._readiness.missing,
        )
        self._registry.register(self._readings())

    def _is_quiet(self) -> bool:
        return not self._refresher.waiting_seconds and not self._discovery.waiting

    def _readings(self) -> Readings:
        return Parts(
            db=self._db,
            store=self._store,
            refresher=self._refresher,
            catalog=self._catalog,
            discovery=self._discovery,
            delivery=self._delivery,
            status=self._status,
            authority=self._certifying.authority,
        ).readings()

    def _build_keys(self) -> KeySets:
        def publish(source: KeySource, keys: str) -> None:
            self._store.publish_keys(source, keys)
            self._refresher.request()

        return KeySets(
            self._settings.state_dir,
            publish,
            partial(mesh_addresses, self._db),
            allowed=self._settings.key_addresses,
            now=self._clocks.epoch,
            chance=self._clocks.chance,
            registry=self._registry,
        )

    def _open_spans(self, own_name: str) -> SpanExporter | None:
        counted = TraceMetrics(self._registry).counted
        if not self._settings.otlp_endpoint:
            return None
        resource = {
            "service.name": "mizzen",
            "service.version": __version__,
            "service.instance.id": own_name,
        }
        return SpanExporter(traces_url(self._settings.otlp_endpoint), resource, counted)

    def _open_delivery(self, metrics: DeliveryMetrics) -> DeliveryLog:
        clocks = self._clocks
        tracer = None
        if self._spans is not None:
            tracer = Tracer(self._spans.put, clocks.random_bytes, clocks.epoch, clocks.monotonic)
        return DeliveryLog(clocks.epoch, metrics, _warn, clocks.monotonic, tracer)

    def _build_rpc(self) -> RpcServer:
        certificates = self._certifying.service(self._shed)
        health = HealthService(self._db, self._report_health, clock=self._clocks.monotonic, shed=self._shed)
        debug = DebugService(self._db, self._status, self._certifying.revocations, shed=self._shed)
        services = (self._discovery, certificates, health, debug)
        return RpcServer(services, tls=self._certifying.identity.context, shed=self._shed)

    def _build_status(self) -> DaemonStatus:
        clocks = self._clocks
        targets = ScrapeTargets(self._db, self._catalog)
        self._scraper = TrafficScraper(
            targets.agents,
            targets.allow_policies,
            monotonic=clocks.monotonic,
            now=clocks.epoch,
        )
        return DaemonStatus(
            db=self._db,
            catalog=self._catalog,
            delivery=self._delivery,
            sources=Sources(self._diagnostics, lambda: self._source.located),
            sync=self._discovery.status,
            traffic=self._scraper.report,
            plaintext=self._scraper.mutual_tls,
            now=clocks.epoch,
            started=clocks.epoch(),
        )

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled. Raises UserError where an address is taken."""
        try:
            await self._listen()
            self._want_keys()
            self._collector.begin()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_source())
                tasks.create_task(self._refresher.run())
                tasks.create_task(self._keys.run())
                tasks.create_task(self._certifying.run())
                tasks.create_task(self._standing.run())
                tasks.create_task(self._departures.run())
                tasks.create_task(self._analyser.run())
                if self._spans is not None:
                    tasks.create_task(self._spans.run())
                tasks.create_task(self._scraper.run())
                tasks.create_task(self._collector.run())
                tasks.create_task(self._presence.run(self._connected))
                ready()
        finally:
            await self._admin.close()
            await self._rpc.close()

    async def _listen(self) -> None:
        """The admin API first: it tells what the rest waits for."""
        settings = self._settings
        await self._admin.listen_unix(settings.admin_socket or settings.state_dir / "admin.sock")
        if settings.admin_fd is not None:
            await self._admin.listen(_handed_in(settings.admin_fd))
        elif settings.admin_port:
            await self._admin.listen_tcp(settings.admin_host, settings.admin_port)
        await self._certifying.first_certificate()
        self._readiness.done(Step.CERTIFICATE)
        try:
            await self._rpc.start(settings.listen_host, settings.listen_port)
        except ListenError as error:
            raise UserError(str(error), "choose another with --listen") from error
        self._readiness.done(Step.LISTENING)

    async def _follow_source(self) -> None:
        async for change in self._source.changes():
            if self._store.apply(change):
                self._refresher.request()
            self._analysis.apply(change)
            self._analyser.request()
            self._readiness.done(Step.CONFIGURATION)

    def _diagnostics(self) -> tuple[Diagnostic, ...]:
        return (*self._source.diagnostics, *self._analysis.diagnostics(self._source.located))

    def _take_in(self, observed: Sequence[Observed], objects: Sequence[ResourceKey], timing: Timing) -> None:
        self._want_keys()
        self._refreshes.refreshed(timing, objects)
        concerned = self._catalog.take_in(observed)
        self._delivery.changed(self._db.revision, objects, concerned, timing)
        _log.debug(
            "revision %d: %d objects have changed, which concerns %d proxies and agents; computed in %.3f s",
            *(self._db.revision, len(objects), len(concerned), timing.ended - timing.began),
        )

    def _want_keys(self) -> None:
        """Tell which key sets are wanted, if that has changed."""
        wanted = self._db.value(wanted_key_sets)
        if wanted is not self._wanted_keys:
            self._wanted_keys = wanted
            self._keys.want(wanted)

    def _connected(self) -> Iterable[ResourceKey]:
        """The workloads of the proxies that are connected."""
        return (session.proxy.key for session in self._catalog.sessions)

    def _report_health(self, key: ResourceKey, reason: str) -> None:
        if self._store.report_health(key, reason):
            _log.info("%s is %s", key, reason or "healthy", extra=fields(workload=str(key)))
            self._refresher.request()


def _valid_trust_domain(name: str) -> str:
    try:
        return SpiffeId.parse(str(SpiffeId(name, "namespace", "account"))).trust_domain
    except ValueError:
        raise UserError(
            f"{name!r} is no trust domain", "correct --trust-domain, or trustDomain of MeshConfig"
        ) from None


def _warn(words: str, about: dict[str, Any]) -> None:
    _log.warning("%s", words, extra=about)


def _handed_in(descriptor: int) -> socket.socket:
    try:
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise UserError(
            f"descriptor {descriptor} is not a socket ({error.strerror})", "correct --admin-fd"
        ) from error
