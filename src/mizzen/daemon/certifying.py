"""The CA as part of the daemon: who signs, what the daemon itself shows to its clients, and who gets a certificate of what."""

import asyncio
import logging
import re
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from ipaddress import ip_address

from prometheus_client import CollectorRegistry

from mizzen.ca.authority import Lifetimes
from mizzen.ca.external import ExternalSigner, SigningFailedError
from mizzen.ca.live import LiveAuthority
from mizzen.ca.revocation import Revocations
from mizzen.ca.server_identity import RemotelySigned, ServedAs, ServerIdentity
from mizzen.ca.service import CertificatePolicy, CertificateService, Issuance
from mizzen.ca.tokens import KEY_FILE, JoinTokenKey
from mizzen.daemon.admission import registered
from mizzen.daemon.clocks import Clocks
from mizzen.daemon.lock import shared_folder
from mizzen.daemon.metrics import CertificateMetrics
from mizzen.daemon.settings import Settings
from mizzen.errors import UserError
from mizzen.incremental import Database
from mizzen.logs import fields
from mizzen.model.identity import CLUSTER_ID, SpiffeId
from mizzen.model.subject import Subject
from mizzen.rpc.admission import Admission, Shed

_log = logging.getLogger(__name__)
_DNS_NAME = re.compile(r"(\*\.)?[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")


class Certifying:
    """Raises UserError where the settings are wrong or the shared folder cannot be used."""

    def __init__(
        self, settings: Settings, trust_domain: str, db: Database, clocks: Clocks, registry: CollectorRegistry
    ) -> None:
        self._settings = settings
        self._trust_domain = trust_domain
        self._db = db
        self._clocks = clocks
        self._metrics = CertificateMetrics(registry)
        self.authority = self._open_authority()
        served_as = _served_as(trust_domain, (settings.listen_host, *settings.names))
        self.identity: ServerIdentity | RemotelySigned
        if isinstance(self.authority, ExternalSigner):
            self.identity = RemotelySigned(self.authority, served_as, clock=clocks.wall)
        else:
            self.identity = ServerIdentity(self.authority, served_as, clock=clocks.wall)

    def _open_authority(self) -> LiveAuthority | ExternalSigner:
        settings, clocks = self._settings, self._clocks
        folder = settings.shared / "ca"
        longest = timedelta(seconds=settings.certificate_ttl_seconds)
        lifetimes = Lifetimes(default=longest, maximum=longest)
        if settings.ca_command:
            return ExternalSigner(settings.ca_command, folder, lifetimes)
        return LiveAuthority(
            folder,
            self._trust_domain,
            lifetimes,
            partial(shared_folder, settings.shared),
            clock=clocks.wall,
            random_bytes=clocks.random_bytes,
            watching=settings.ca_watching,
        )

    def revocations(self) -> Revocations:
        return self.authority.revocations

    def service(self, shed: Shed) -> CertificateService:
        with shared_folder(self._settings.shared) as shared:
            token_key = JoinTokenKey.open(shared / KEY_FILE, self._clocks.random_bytes)
        policy = CertificatePolicy(
            self._trust_domain, self._subject_for, self._tell_issued, self.revocations, self._metrics.refused
        )
        admission = Admission("certificates", shed=shed)
        return CertificateService(self.authority, token_key, policy, self._clocks.wall, admission)

    async def first_certificate(self) -> None:
        """The daemon's own, where somebody else signs it. Raises UserError."""
        if isinstance(self.identity, RemotelySigned):
            try:
                await self.identity.renew()
            except SigningFailedError as error:
                raise UserError(str(error), "correct --ca-command") from error

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.authority.run())
            if isinstance(self.identity, RemotelySigned):
                tasks.create_task(self.identity.run())

    def _subject_for(self, identity: SpiffeId, name: str) -> Subject:
        """The telemetry in a workload's certificate: what is registered, not what anybody claims."""
        found = registered(self._db, identity.namespace, name)
        if found is None or found.service_account != identity.service_account:
            return Subject()
        return Subject(
            found.owner, found.namespace, found.canonical_name, found.canonical_revision, CLUSTER_ID
        )

    def _tell_issued(self, issued: Issuance) -> None:
        self._metrics.issued()
        caller = issued.caller
        _log.info(
            "certificate for %s (%s), by %s, until %s",
            caller.identity,
            caller.workload,
            caller.proof,
            issued.expires,
            extra=fields(
                identity=str(caller.identity), workload=caller.workload, serial=f"{issued.serial:x}"
            ),
        )


def _served_as(trust_domain: str, names: Iterable[str]) -> ServedAs:
    dns_names, addresses = [], []
    for name in filter(None, names):
        try:
            addresses.append(ip_address(name))
        except ValueError:
            if not _DNS_NAME.fullmatch(name):
                raise UserError(f"{name!r} is neither a DNS name nor an address", "correct --name") from None
            dns_names.append(name)
    return ServedAs(
        trust_domain,
        dns_names=dns_names,
        addresses=[found for found in addresses if not found.is_unspecified],
    )
