"""The daemon's own serving certificate: short-lived, its key in memory only, renewed while clients connect."""

import os
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

from mizzen.ca.authority import Authority, AuthorityExpiredError, Issued, pem
from mizzen.ca.keys import PrivateKey
from mizzen.model.identity import SpiffeId

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
        return server_context(issued, key)


def server_context(issued: Issued, key: PrivateKey) -> ssl.SSLContext:
    """TLS that asks for a client certificate and verifies it where one comes (a token needs none)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # Envoy's client stops at 1.2 unless told otherwise
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata="".join(map(pem, issued.roots)))
    context.set_alpn_protocols(["h2"])
    # A resumed session would be trusted by the certificate of its first handshake, expired or not.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    _load_from_memory(context, "".join(issued.pem_chain()[:-1]).encode() + key.reveal_pem())
    return context


def _load_from_memory(context: ssl.SSLContext, certificates_and_key: bytes) -> None:
    """`load_cert_chain` wants a path: that of an anonymous file in memory, which no folder ever shows."""
    descriptor = os.memfd_create("mizzen-server-certificate", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(certificates_and_key)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
