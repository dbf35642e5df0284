"""The daemon's own serving certificate: short-lived, its key in memory only, renewed while clients connect."""

import asyncio
import logging
import os
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Protocol

from mizzen.ca.authority import Authority, AuthorityExpiredError, Issued
from mizzen.ca.external import ExternalSigner, SigningFailedError
from mizzen.ca.files import StateError
from mizzen.ca.keys import PrivateKey
from mizzen.model.identity import SpiffeId
from mizzen.model.subject import Subject
from mizzen.rpc.tls import server_context

NAMESPACE, SERVICE_ACCOUNT = "mizzen-system", "mizzen"
SERVER_NAME = "mizzen.mizzen-system.svc"  # what agents and proxies expect the daemon's certificate to name
_RETRY_SECONDS = 10.0
_log = logging.getLogger(__name__)
_RENEWED_AFTER = 0.4  # of its life: "before half of it", with room for clocks that differ


@dataclass(frozen=True, slots=True)
class ServedAs:
    """Who the daemon is and by what names and addresses clients reach it."""

    trust_domain: str
    dns_names: Sequence[str] = ()
    addresses: Sequence[IPv4Address | IPv6Address] = ()

    @property
    def identity(self) -> SpiffeId:
        return SpiffeId(self.trust_domain, NAMESPACE, SERVICE_ACCOUNT)

    @property
    def all_dns_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((SERVER_NAME, "localhost", *self.dns_names)))


class Current(Protocol):
    """A CA that may be another one later (`Authority`, which never is; `LiveAuthority`)."""

    @property
    def current(self) -> Authority: ...


class ServerIdentity:
    """Gives the TLS context for each new connection; connections that stand keep theirs.

    A certificate is renewed by the first handshake after 40% of its life, or after the CA has changed. So no timer is needed, and whoever
    connects, at whatever time, meets a certificate with more than half of its life ahead.
    """

    def __init__(
        self,
        authority: Current,
        served_as: ServedAs,
        *,
        clock: Callable[[], datetime],
        lifetime: timedelta | None = None,
    ) -> None:
        self._authority = authority
        self._served_as = served_as
        self._clock = clock
        self._lifetime = lifetime
        self._renew_at = clock()
        self._signed_by = authority.current
        self._context = self._renewed()

    @property
    def renew_at(self) -> datetime:
        return self._renew_at

    def context(self) -> ssl.SSLContext:
        """The context to serve with now; cheap. Renewing takes about a millisecond."""
        if self._clock() >= self._renew_at or self._signed_by is not self._authority.current:
            try:
                self._context = self._renewed()
            except AuthorityExpiredError:
                # The old certificate ends with the CA, too. Clients that refuse it say why.
                return self._context
        return self._context

    def _renewed(self) -> ssl.SSLContext:
        now = self._clock()
        key = PrivateKey.generate()
        self._signed_by = self._authority.current
        issued = self._signed_by.certify(
            key.public_key(),
            self._served_as.identity,
            now=now,
            ttl=self._lifetime,
            dns_names=self._served_as.all_dns_names,
            addresses=self._served_as.addresses,
        )
        self._renew_at = now + _RENEWED_AFTER * (issued.certificate.not_valid_after_utc - now)
        return _context(issued, key)


class RemotelySigned:
    """The same where an external CA signs, which takes its time: `renew` before the first connection, and `run` beside."""

    def __init__(self, signer: ExternalSigner, served_as: ServedAs, *, clock: Callable[[], datetime]) -> None:
        self._signer = signer
        self._served_as = served_as
        self._clock = clock
        self._pause = 0.0
        self._current: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        assert self._current is not None, "renew() comes first"
        return self._current

    async def renew(self) -> None:
        """Raises SigningFailedError, StateError."""
        now = self._clock()
        key = PrivateKey.generate()
        issued = await self._signer.issue(
            key.request(),
            self._served_as.identity,
            now=now,
            subject=Subject(),
            ttl=self._signer.lifetimes.default,
            dns_names=self._served_as.all_dns_names,
            addresses=self._served_as.addresses,
        )
        self._current = _context(issued, key)
        self._pause = _RENEWED_AFTER * (issued.certificate.not_valid_after_utc - now).total_seconds()

    async def run(self) -> None:
        """Renew in time, until cancelled."""
        while True:
            await asyncio.sleep(self._pause)
            try:
                await self.renew()
            except (SigningFailedError, StateError) as error:
                self._pause = _RETRY_SECONDS
                _log.warning("the daemon's own certificate is not renewed: %s", error)


def _context(issued: Issued, key: PrivateKey) -> ssl.SSLContext:
    """TLS wants the key in a file: an anonymous one in memory, which no folder shows and which is closed at once."""
    *chain, roots = issued.pem_chain()
    descriptor = os.memfd_create("mizzen-server-certificate", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write("".join(chain).encode() + key.reveal_pem())
        file.flush()
        path = Path(f"/proc/self/fd/{descriptor}")
        return server_context(path, path, roots)
