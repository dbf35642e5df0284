"""The certificate service of Istio's API: istio.v1.auth.IstioCertificateService/CreateCertificate.

A caller shows a join token (`authorization: Bearer <token>`) or its client certificate; either says who it is, the
CSR only brings the key. The request's `metadata` may name the workload (`WorkloadName`) for the telemetry in the
subject; a token that is bound to a workload decides it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError

from mizzen.ca.authority import AuthorityExpiredError, Issued, Lifetimes
from mizzen.ca.csr import CsrRefusedError
from mizzen.ca.external import SigningFailedError
from mizzen.ca.files import StateError
from mizzen.ca.revocation import Revocations
from mizzen.ca.tokens import JoinTokenKey, TokenRefusedError
from mizzen.model.identity import SpiffeId
from mizzen.model.subject import Subject
from mizzen.proto import api
from mizzen.rpc.admission import Admission
from mizzen.rpc.peer import Peer, peer_of

if TYPE_CHECKING:
    from grpclib.server import Stream

    from mizzen.proto.api import IstioCertificateRequest, IstioCertificateResponse

    _Stream = Stream[IstioCertificateRequest, IstioCertificateResponse]

METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
WORKLOAD_NAME = "WorkloadName"  # the key in the request's metadata
_log = logging.getLogger(__name__)
_BEARER = "bearer "
_LONGEST_WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as proven. `workload` is "" where nothing has said it. `proof` is for people and logs."""

    identity: SpiffeId
    workload: str
    proof: str


@dataclass(frozen=True, slots=True)
class Issuance:
    """What the daemon is told of each certificate; there is no key in it, nor ever was one in the daemon."""

    caller: Caller
    serial: int
    expires: datetime


class Refusal(StrEnum):
    """Why there is no certificate, for who counts."""

    PROOF = "proof"  # the caller has not proven who it is, or may not have one
    REQUEST = "request"  # what it sent is wrong
    CA = "ca"  # the CA cannot sign, whoever asks
    LOAD = "load"  # too much at once, or too slow


def _untold(_refusal: Refusal) -> None:
    """For who does not count."""


class _UnsignedError(GRPCError):
    """The CA cannot sign."""


_REFUSALS = {
    Status.UNAUTHENTICATED: Refusal.PROOF,
    Status.PERMISSION_DENIED: Refusal.PROOF,
    Status.INVALID_ARGUMENT: Refusal.REQUEST,
}


def _refusal(error: GRPCError) -> Refusal:
    if isinstance(error, _UnsignedError):
        return Refusal.CA
    return _REFUSALS.get(error.status, Refusal.LOAD)


class Signer(Protocol):
    """Makes certificates: `Authority`, `LiveAuthority` or `ExternalSigner`."""

    @property
    def lifetimes(self) -> Lifetimes: ...

    async def issue(
        self, csr_pem: bytes, identity: SpiffeId, *, now: datetime, subject: Subject, ttl: timedelta
    ) -> Issued: ...


@dataclass(frozen=True, slots=True)
class CertificatePolicy:
    """What the daemon decides for the service.

    `subject_for(identity, workload)` gives the telemetry of a registered workload; an empty Subject where it knows
    none of that name, namespace and service account. `issued` is told of every certificate, `refused` of every request that got
    none. Who is `revoked` gets none.
    """

    trust_domain: str
    subject_for: Callable[[SpiffeId, str], Subject]
    issued: Callable[[Issuance], None]
    revoked: Callable[[], Revocations] = Revocations
    refused: Callable[[Refusal], None] = _untold


@dataclass(frozen=True, slots=True)
class CertificateService:
    """A handler for RpcServer."""

    authority: Signer
    token_key: JoinTokenKey
    policy: CertificatePolicy
    clock: Callable[[], datetime]
    admission: Admission = field(default_factory=lambda: Admission("certificates"))

    def __mapping__(self) -> dict[str, Handler]:
        request, response = api.IstioCertificateRequest, api.IstioCertificateResponse
        return {METHOD: Handler(self.create_certificate, Cardinality.UNARY_UNARY, request, response)}

    async def create_certificate(self, stream: "_Stream") -> None:
        """Raises GRPCError with words for the caller's log: grpclib sends them as the status."""
        try:
            issued = await self._issued(stream)
        except GRPCError as error:
            self.policy.refused(_refusal(error))
            raise
        await stream.send_message(api.IstioCertificateResponse(cert_chain=issued.pem_chain()))

    async def _issued(self, stream: "_Stream") -> Issued:
        peer, now = peer_of(stream), self.clock()
        caller = self._authenticate(stream.metadata or {}, peer, now)
        if self.policy.revoked().covers(caller.identity):
            raise GRPCError(Status.PERMISSION_DENIED, f"{caller.identity} is revoked")
        request = await _received(stream)
        caller = _with_workload(caller, request)
        async with self.admission.turn(str(caller.identity), now.timestamp()):
            issued = await self._sign(caller, request, now)
        certificate = issued.certificate
        self.policy.issued(Issuance(caller, certificate.serial_number, certificate.not_valid_after_utc))
        return issued

    def _authenticate(self, metadata: Mapping[str, str | bytes], peer: Peer, now: datetime) -> Caller:
        """The token first; where it is refused, the certificate decides: agents go on to send an old token."""
        refused = "no join token was sent"
        bearer = metadata.get("authorization", "")
        if isinstance(bearer, str) and bearer.lower().startswith(_BEARER):
            text = bearer[len(_BEARER) :].strip()
            try:
                token = self.token_key.verify(
                    text,
                    trust_domain=self.policy.trust_domain,
                    now=now,
                    revoked=self.policy.revoked().tokens,
                )
            except TokenRefusedError as error:
                refused = str(error)
            else:
                return Caller(token.identity, token.workload, f"join token {token.token_id}")
        if peer.identity is None:
            raise GRPCError(Status.UNAUTHENTICATED, f"{refused}; and no client certificate was shown")
        return self._certified(peer.identity, peer, now)

    def _certified(self, uri: str, peer: Peer, now: datetime) -> Caller:
        """TLS has verified the certificate when the connection began, which may be long ago."""
        try:
            identity = SpiffeId.parse(uri)
        except ValueError as error:
            raise GRPCError(Status.PERMISSION_DENIED, f"the client certificate's name: {error}") from None
        if identity.trust_domain != self.policy.trust_domain:
            raise GRPCError(
                Status.PERMISSION_DENIED,
                f"the client certificate is of trust domain {identity.trust_domain!r},"
                f" this is {self.policy.trust_domain!r}",
            )
        if peer.not_after is None or now.timestamp() >= peer.not_after:
            raise GRPCError(Status.UNAUTHENTICATED, "the client certificate has expired: show a join token")
        return Caller(identity, "", f"certificate {peer.serial}")

    async def _sign(self, caller: Caller, request: "IstioCertificateRequest", now: datetime) -> Issued:
        seconds = request.validity_duration
        if seconds < 0:
            raise GRPCError(
                Status.INVALID_ARGUMENT, f"validity_duration is {seconds}: ask for seconds above 0"
            )
        longest = self.authority.lifetimes.maximum
        ttl = timedelta(seconds=seconds) if seconds < longest.total_seconds() else longest
        try:
            return await self.authority.issue(
                request.csr.encode(),
                caller.identity,
                now=now,
                subject=self.policy.subject_for(caller.identity, caller.workload),
                ttl=ttl,
            )
        except CsrRefusedError as error:
            raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from None
        except AuthorityExpiredError as error:
            words = f"{error}: the mesh's operator must renew it"
            raise _UnsignedError(Status.FAILED_PRECONDITION, words) from None
        except (SigningFailedError, StateError) as error:
            _log.warning("no certificate for %s: %s", caller.identity, error)
            words = "the external CA gave no certificate: try again"
            raise _UnsignedError(Status.UNAVAILABLE, words) from None


async def _received(stream: "_Stream") -> "IstioCertificateRequest":
    try:
        async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
            request = await stream.recv_message()
    except TimeoutError:
        raise GRPCError(Status.DEADLINE_EXCEEDED, "the request did not arrive in time: try again") from None
    if request is None:
        raise GRPCError(Status.INVALID_ARGUMENT, "the request is empty: send a CSR")
    return request


def _with_workload(caller: Caller, request: "IstioCertificateRequest") -> Caller:
    """What the caller says of its workload counts where its proof is silent; it goes into telemetry only."""
    fields = request.metadata.fields
    claimed = fields[WORKLOAD_NAME].string_value if WORKLOAD_NAME in fields else ""
    if not claimed or claimed == caller.workload:
        return caller
    if caller.workload:
        raise GRPCError(
            Status.PERMISSION_DENIED, f"the join token is for workload {caller.workload!r}, not {claimed!r}"
        )
    return replace(caller, workload=claimed)
