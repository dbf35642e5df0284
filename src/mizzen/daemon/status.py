"""What the daemon shows: the documents of the JSON API, from the database and the delivery log."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from mizzen import __version__
from mizzen.admin import schema
from mizzen.config.diagnostics import Diagnostic
from mizzen.config.resource import Located, ResourceKey, path_text
from mizzen.daemon.admission import registered
from mizzen.daemon.catalog import MeshCatalog, Session
from mizzen.daemon.delivery import DeliveryLog, Refusal, type_name
from mizzen.daemon.proxy_start import proxy_start
from mizzen.daemon.targets import ScrapeTargets
from mizzen.derive.addresses import virtual_addresses
from mizzen.derive.authentication import mutual_tls_policy
from mizzen.derive.endpoints import service_endpoints
from mizzen.derive.inputs import BY_KIND, UNHEALTHY
from mizzen.derive.mesh import mesh_config, trust_domain
from mizzen.derive.names import names
from mizzen.derive.proxy_config import proxy_config
from mizzen.derive.services import all_services, service
from mizzen.derive.workloads import KINDS, workload
from mizzen.incremental import Database, QueryError
from mizzen.model.identity import SpiffeId
from mizzen.model.service import ServiceRef
from mizzen.model.workload import Workload
from mizzen.proto import api
from mizzen.proto.descriptors import pool
from mizzen.translate.built import Origin, origins
from mizzen.translate.patches.resources import problems as patch_problems
from mizzen.xds.resource import Snapshot
from mizzen.xds.status import SessionStatus, TypeStatus

_MESSAGES = {
    "clusters": "Cluster",
    "endpoints": "ClusterLoadAssignment",
    "listeners": "Listener",
    "routes": "RouteConfiguration",
}


@dataclass(frozen=True, slots=True)
class Sources:
    """What the sources of configuration know besides the objects themselves."""

    diagnostics: Callable[[], Iterable[Diagnostic]]
    located: Callable[[], Mapping[ResourceKey, Located]]


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """The daemon's side of the JSON API (admin.source.AdminSource)."""

    db: Database
    catalog: MeshCatalog
    delivery: DeliveryLog
    sources: Sources
    sync: Callable[[], Sequence[SessionStatus]]
    traffic: Callable[[], schema.TrafficReport]
    plaintext: Callable[[Mapping[str, str]], schema.MutualTlsReport]
    now: Callable[[], float]
    started: float

    def status(self) -> schema.MeshStatus:
        """Everything, from memory."""
        located = self.sources.located()
        return schema.MeshStatus(
            version=__version__,
            revision=self.db.revision,
            started=self.started,
            now=self.now(),
            trust_domain=self.db.value(trust_domain),
            workloads=self.workloads(),
            rejections=tuple(self._rejection(found, located) for found in self.delivery.refusals.values()),
            diagnostics=tuple(self.diagnostics()),
            changes=tuple(
                schema.ChangeReport(
                    revision=record.revision,
                    time=record.time,
                    objects=tuple(map(str, record.objects)),
                    proxies=dict(record.proxies),
                )
                for record in self.delivery.changes
            ),
            traffic=self.traffic(),
        )

    def mutual_tls(self) -> schema.MutualTlsReport:
        """Of the sidecars that are connected: gateways serve those who are outside of the mesh."""
        modes = {}
        for session in self.catalog.sessions:
            found = self.db.value(workload, session.proxy.key)
            if found is not None and _kind(found, session) == "sidecar":
                mode, _ = self.db.value(mutual_tls_policy, found.namespace, found.labels)
                modes[session.name] = mode.value
        return self.plaintext(modes)

    def workloads(self, namespace: str | None = None) -> tuple[schema.WorkloadStatus, ...]:
        """Of one namespace, or of all."""
        return tuple(self._workloads(namespace))

    def _workloads(self, namespace: str | None) -> Iterator[schema.WorkloadStatus]:
        sessions = {session.name: session for session in self.catalog.sessions}
        agents = {session.name: session for session in self.catalog.agent_sessions}
        sync = {found.session: found.types for found in self.sync()}
        domain = self.db.value(trust_domain)
        for key in (key for kind in KINDS for key in BY_KIND(self.db, kind)):
            found = self.db.value(workload, key) if namespace in {None, key.namespace} else None
            if found is not None:
                name = f"{key.namespace}/{key.name}"
                session, agent = sessions.get(name), agents.get(name)
                connected = (one for one in (session, agent) if one is not None)
                types = [state for one in connected for state in sync.get(one, ())]
                yield self._workload(found, domain, session, types)

    def _workload(
        self, found: Workload, domain: str, session: Session | None, sync: Sequence[TypeStatus]
    ) -> schema.WorkloadStatus:
        reason = UNHEALTHY(self.db, found.key) or ("" if found.ready else "its Pod is not ready")
        return schema.WorkloadStatus(
            name=f"{found.namespace}/{found.name}",
            kind=_kind(found, session),
            address=found.address,
            labels=dict(found.labels),
            identity=str(SpiffeId(domain, found.namespace, found.service_account)),
            connected=session is not None,
            healthy=not reason,
            health_reason=reason,
            certificate_expires=session.proxy.certificate_expires if session else None,
            sync=tuple(
                schema.SyncState(
                    type_name=type_name(one.type_url), state=one.state.value, resources=one.resources
                )
                for one in sync
            ),
        )

    def _rejection(self, found: Refusal, located: Mapping[ResourceKey, Located]) -> schema.Rejection:
        ref = found.session.view.ref(found.type_url, found.resource)
        try:
            made_by = origins(self.db, ref) if ref is not None else ()
        except QueryError:  # it was made then, and cannot be made now: `diagnostics` says so
            made_by = ()
        return schema.Rejection(
            proxy=found.session.name,
            type_name=type_name(found.type_url),
            resource=found.resource,
            error=found.error,
            origins=tuple(dict.fromkeys(_origin_in_words(origin, located) for origin in made_by)),
            since=found.since,
        )

    def diagnostics(self) -> Iterator[schema.DiagnosticReport]:
        """What is wrong in the configuration that is in force."""
        for found in (*self.sources.diagnostics(), *self._patch_problems()):
            yield schema.DiagnosticReport(
                code=found.code,
                severity=found.severity.value,
                message=f"{path_text(found.path)}: {found.message}" if found.path else found.message,
                resource=str(found.resource or ""),
                location=str(found.location or ""),
                hint=found.advice,
            )
        for type_url, name, failure in self.catalog.failures():
            what = f"{type_name(type_url)} {name}".strip() or "the configuration of a proxy"
            yield schema.DiagnosticReport(
                code="MZ0901",
                severity="error",
                message=f"{what} could not be made: {failure}",
                resource="",
                location=failure.where,
                hint="this is a bug of Mizzen: please report it; the last good version stays in force",
            )

    def _patch_problems(self) -> Iterator[Diagnostic]:
        located = self.sources.located()
        for found in self.db.value(patch_problems):
            place = located.get(found.resource) if found.resource else None
            yield replace(found, location=place.locate(found.path) if place else None)

    def names(self) -> Mapping[str, schema.MeshName]:
        found = self.db.value(names)
        return {
            name: schema.MeshName(addresses=answer.addresses, external_name=answer.external_name)
            for name, answer in sorted(found.items())
        }

    def service_addresses(self) -> Sequence[schema.ServiceAddress]:
        refs = (ref for ref, _ in self.db.value(all_services) if ref.source.kind == "Service")
        return tuple(found for ref in refs for found in self._service_addresses(ref))

    def _service_addresses(self, ref: ServiceRef) -> Iterator[schema.ServiceAddress]:
        found = self.db.value(service, ref)
        for port in found.ports if found is not None else ():
            endpoints = self.db.value(service_endpoints, ref, port.number)
            for address in self.db.value(virtual_addresses, ref):
                yield schema.ServiceAddress(
                    address=address,
                    port=port.number,
                    endpoints=tuple((endpoint.address, endpoint.port) for endpoint in endpoints),
                )

    def scrape_targets(self) -> Sequence[schema.ScrapeTarget]:
        return ScrapeTargets(self.db, self.catalog).prometheus()

    def proxy_start(self, workload_name: str) -> schema.ProxyStart | None:
        """What the proxy of a workload is to be started with."""
        found = registered(self.db, *workload_name.split("/"))
        return (
            proxy_start(self.db.value(mesh_config), self.db.value(proxy_config, found.key))
            if found is not None
            else None
        )

    async def config_dump(self, proxy: str) -> Any | None:
        """What a connected proxy should run, by type and name, as proto JSON."""
        session = next((found for found in self.catalog.sessions if found.name == proxy), None)
        return await asyncio.to_thread(_dump, session.snapshot()) if session is not None else None


def _dump(snapshot: Snapshot) -> Mapping[str, Mapping[str, Any]]:
    dump: dict[str, dict[str, Any]] = {name: {} for name in _MESSAGES}
    for type_url, resources in snapshot.resources.items():
        kind = type_name(type_url)
        if kind not in dump:
            continue  # secrets are shown to nobody
        message_class: type[Message] = getattr(api, _MESSAGES[kind])
        for name, found in sorted(resources.items()):
            config = MessageToDict(message_class.FromString(found.body), descriptor_pool=pool())
            dump[kind][name] = {"version": found.version, "config": config}
    return dump


def _kind(found: Workload, session: Session | None) -> str:
    if session is not None:
        return session.proxy.kind.name.lower()
    return "sidecar" if found.has_proxy else "application"


def _origin_in_words(origin: Origin, located: Mapping[ResourceKey, Located]) -> str:
    found = located.get(origin.key)
    return f"{origin.key} at {found.locate(origin.path)}" if found is not None else str(origin.key)
