"""The daemon's own serving certificate: short-lived, its key in memory only, renewed while clients connect."""

import os
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from mizzen.ca.authority import Authority, AuthorityExpiredError, Issued
from mizzen.ca.keys import PrivateKey
from mizzen.model.identity import SpiffeId
from mizzen.rpc.tls import server_context

NAMESPACE, SERVICE_ACCOUNT = "mizzen-system", "mizzen"
SERVER_NAME = "mizzen.mizzen-system.svc"  # what agents and proxies expect the daemon's certificate to name
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


class ServerIdentity:
    """Gives the TLS context for each new connection; connections that stand keep theirs.

    A certificate is renewed by the first handshake after 40% of its life. So no timer is needed, and whoever
    connects, at whatever time, meets a certificate with more than half of its life ahead.
    """

    def __init__(
        self,
        authority: Authority,
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
        self._context = self._renewed()

    @property
    def renew_at(self) -> datetime:
        return self._renew_at

    def context(self) -> ssl.SSLContext:
        """The context to serve with now; cheap. Renewing takes about a millisecond."""
        if self._clock() >= self._renew_at:
            try:
                self._context = self._renewed()
            except AuthorityExpiredError:
                # The old certificate ends with the CA, too. Clients that refuse it say why.
                return self._context
        return self._context

    def _renewed(self) -> ssl.SSLContext:
        now = self._clock()
        key = PrivateKey.generate()
        issued = self._authority.certify(
            key.public_key(),
            self._served_as.identity,
            now=now,
            ttl=self._lifetime,
            dns_names=tuple(dict.fromkeys((SERVER_NAME, "localhost", *self._served_as.dns_names))),
            addresses=self._served_as.addresses,
        )
        self._renew_at = now + _RENEWED_AFTER * (issued.certificate.not_valid_after_utc - now)
        return _context(issued, key)


def _context(issued: Issued, key: PrivateKey) -> ssl.SSLContext:
    """TLS wants the key in a file: an anonymous one in memory, which no folder shows and which is closed at once."""
    *chain, roots = issued.pem_chain()
    descriptor = os.memfd_create("mizzen-server-certificate", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write("".join(chain).encode() + key.reveal_pem())
        file.flush()
        path = Path(f"/proc/self/fd/{descriptor}")
        return server_context(path, path, roots)
