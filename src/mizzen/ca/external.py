"""A CA that signs elsewhere: a command is handed what shall be signed, and what it answers is checked before anybody gets it.

The command gets one JSON object on its standard input:

    csr           the certificate request, PEM; its key is proven, its names are to be ignored
    identity      the SPIFFE URI that must become the certificate's one URI name
    dns_names     further names (the daemon's own certificate has some)
    addresses     further IP addresses
    units         texts for the subject, each an OU (telemetry; may be left out)
    ttl_seconds   how long the certificate may live at most

It answers with the chain on its standard output, PEM, the certificate first, and status 0; or with another status and the reason on
its standard error. The trust bundle is `root-cert.pem` in the CA's folder, read anew when it changes.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptography import x509

from mizzen.ca.authority import Issued, Lifetimes
from mizzen.ca.csr import accepted_public_key
from mizzen.ca.files import StateError
from mizzen.ca.plugged import ROOTS, has_issued, read_certificates
from mizzen.ca.revocation import read_revocations
from mizzen.errors import UserError
from mizzen.model.identity import SpiffeId
from mizzen.model.subject import Subject
from mizzen.processes import Command, run

_log = logging.getLogger(__name__)
_LONGEST_CHAIN = 8
_SLACK = timedelta(minutes=5)  # for the other side's clock


class SigningFailedError(Exception):
    """There is no certificate; the message says why, for the daemon's log."""


@dataclass
class ExternalSigner:
    """`command` is an argument vector. At most `at_once` run at a time; what waits longer than `patience` fails."""

    command: tuple[str, ...]
    folder: Path
    lifetimes: Lifetimes
    patience: timedelta = timedelta(seconds=10)
    at_once: int = 8
    every: timedelta = timedelta(seconds=5)  # how often the list of revocations is looked at

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.at_once)
        self.revocations = read_revocations(self.folder)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(self.every.total_seconds())
            try:
                self.revocations = read_revocations(self.folder)
            except StateError as error:
                _log.error("revocations stay as they were: %s", error)

    @property
    def expires(self) -> datetime:
        """When the first of its roots ends; what is between, the command alone knows."""
        return min(root.not_valid_after_utc for root in self.roots())

    def roots(self) -> tuple[x509.Certificate, ...]:
        """Raises StateError."""
        return read_certificates(self.folder / ROOTS)

    async def issue(
        self,
        csr_pem: bytes,
        identity: SpiffeId,
        *,
        now: datetime,
        subject: Subject,
        ttl: timedelta,
        dns_names: Sequence[str] = (),
        addresses: Sequence[IPv4Address | IPv6Address] = (),
    ) -> Issued:
        """Raises CsrRefusedError, SigningFailedError, StateError."""
        key = accepted_public_key(csr_pem, identity)
        life = self.lifetimes.of(ttl)
        question = {
            "csr": csr_pem.decode(),
            "identity": str(identity),
            "dns_names": list(dns_names),
            "addresses": [str(address) for address in addresses],
            "units": list(subject.units()),
            "ttl_seconds": int(life.total_seconds()),
        }
        chain = await self._asked(json.dumps(question).encode())
        leaf, *between = chain
        roots = self.roots()
        if leaf.public_key() != key:
            raise SigningFailedError("the external CA certified another key")
        _require_names(leaf, identity, dns_names, addresses)
        _require_bounds(leaf, now, life)
        _require_trusted(chain, roots)
        return Issued(identity, leaf, tuple(between), roots)

    async def _asked(self, question: bytes) -> tuple[x509.Certificate, ...]:
        try:
            async with asyncio.timeout(self.patience.total_seconds()), self._slots:
                finished = await run(Command(name="the external CA", argv=self.command), question)
        except TimeoutError:
            raise SigningFailedError(f"the external CA took longer than {self.patience}") from None
        except (UserError, OSError) as error:
            raise SigningFailedError(f"the external CA cannot be run: {error}") from None
        if not finished.exit.ok:
            said = finished.stderr.strip().rpartition("\n")[2]
            raise SigningFailedError(f"the external CA {finished.exit}: {said}")
        try:
            chain = tuple(x509.load_pem_x509_certificates(finished.stdout))
        except ValueError:
            raise SigningFailedError("the external CA answered with no certificate in PEM form") from None
        if not 1 <= len(chain) <= _LONGEST_CHAIN:
            raise SigningFailedError(f"the external CA answered with {len(chain)} certificates")
        return chain


def _require_names(
    leaf: x509.Certificate,
    identity: SpiffeId,
    dns_names: Sequence[str],
    addresses: Sequence[IPv4Address | IPv6Address],
) -> None:
    """Exactly the names that were asked for: one more would be somebody else's."""
    names = _extension(leaf, x509.SubjectAlternativeName)
    found = {(type(name), str(name.value)) for name in names} if names else set()
    wanted = {
        (x509.UniformResourceIdentifier, str(identity)),
        *((x509.DNSName, name) for name in dns_names),
        *((x509.IPAddress, str(address)) for address in addresses),
    }
    if found != wanted:
        raise SigningFailedError(f"the external CA certified other names than {identity}")


def _require_bounds(leaf: x509.Certificate, now: datetime, life: timedelta) -> None:
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise SigningFailedError("the external CA made a certificate of a CA")
    if leaf.not_valid_before_utc > now + _SLACK or leaf.not_valid_after_utc <= now:
        raise SigningFailedError("the external CA made a certificate that is not valid now")
    if leaf.not_valid_after_utc > now + life + _SLACK:
        raise SigningFailedError("the external CA made a certificate that lives longer than was asked for")


def _require_trusted(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]) -> None:
    for below, above in pairwise(chain):
        if not has_issued(above, below):
            raise SigningFailedError("the external CA's chain has a gap")
    if chain[-1] not in roots and not any(has_issued(root, chain[-1]) for root in roots):
        raise SigningFailedError(f"the external CA's chain does not lead to a certificate in {ROOTS}")


def _extension(certificate: x509.Certificate, kind: type[Any]) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
