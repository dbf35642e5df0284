"""The certificate service over real TLS: a token first, the certificate ever after, and each refusal in words."""

import logging
import os
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from mizzen.ca.authority import Authority
from mizzen.ca.revocation import Revocations
from mizzen.ca.server_identity import SERVER_NAME, ServedAs, ServerIdentity
from mizzen.ca.service import METHOD, CertificatePolicy, CertificateService, Issuance, Refusal
from mizzen.ca.tokens import JoinToken, JoinTokenKey
from mizzen.model.identity import SpiffeId
from mizzen.model.subject import Subject
from mizzen.proto.api import IstioCertificateRequest, IstioCertificateResponse
from mizzen.rpc.admission import Admission, Limits
from mizzen.rpc.server import RpcServer
from tests.support.certificates import REVIEWS, a_csr, a_key, an_authority, pem_of

OTHER = SpiffeId("cluster.local", "bookinfo", "ratings")


@dataclass
class Clock:
    """The machine's clock, which TLS has too, or one that runs ahead of it."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Daemon:
    """The certificate service as the daemon runs it."""

    folder: Path
    authority: Authority
    server: RpcServer
    token_key: JoinTokenKey
    now: Clock = field(default_factory=Clock)
    told: list[Issuance] = field(default_factory=list)
    revoked: list[Revocations] = field(default_factory=lambda: [Revocations()])  # the last one holds
    refused: list[Refusal] = field(default_factory=list)

    def token(self, identity=REVIEWS, workload="", lives=timedelta(minutes=5)) -> str:
        return self.token_key.issue(JoinToken(identity, workload, self.now() + lives, "token-1"))

    @asynccontextmanager
    async def client(self, certificate: bytes = b""):
        """A caller that verifies the daemon, and shows a certificate if it has one."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca" / "root-cert.pem"))
        context.set_alpn_protocols(["h2"])
        if certificate:
            file = self.folder / "client.pem"
            file.write_bytes(certificate)
            context.load_cert_chain(file)
        config = Configuration(ssl_target_name_override=SERVER_NAME)
        channel = Channel("127.0.0.1", self.server.port, ssl=context, config=config)
        try:
            yield UnaryUnaryMethod(channel, METHOD, IstioCertificateRequest, IstioCertificateResponse)
        finally:
            channel.close()

    def certificate_of(self, identity: SpiffeId) -> bytes:
        """A certificate with its key, as a client shows it."""
        issued = self.authority.certify(a_key().public_key(), identity, now=self.now())
        return "".join(issued.pem_chain()[:-1]).encode() + pem_of(a_key())


def subject_for(identity: SpiffeId, workload: str) -> Subject:
    return Subject(workload=workload, namespace=identity.namespace) if workload == "reviews-v1" else Subject()


@asynccontextmanager
async def a_daemon(folder, admission=None):
    now, told, revoked, refused = Clock(), [], [Revocations()], []
    authority = an_authority(folder, now())
    token_key = JoinTokenKey.open(folder / "join-token.key", os.urandom)
    policy = CertificatePolicy("cluster.local", subject_for, told.append, lambda: revoked[-1], refused.append)
    service = CertificateService(authority, token_key, policy, now, admission or Admission("certificates"))
    server_identity = ServerIdentity(authority, ServedAs("cluster.local"), clock=Clock())
    server = RpcServer([service], tls=server_identity.context)
    await server.start("127.0.0.1", 0)
    try:
        yield Daemon(folder, authority, server, token_key, now, told, revoked, refused)
    finally:
        await server.close()


@pytest.fixture
async def daemon(tmp_path):
    async with a_daemon(tmp_path) as daemon:
        yield daemon


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def request(csr: bytes | None = None, seconds: int = 0, workload: str = "") -> IstioCertificateRequest:
    message = IstioCertificateRequest(csr=a_csr() if csr is None else csr, validity_duration=seconds)
    if workload:
        message.metadata["WorkloadName"] = workload
    return message


def leaf(response: IstioCertificateResponse) -> x509.Certificate:
    return x509.load_pem_x509_certificate(response.cert_chain[0].encode())


def identities(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


async def refusal(create, message=None, token="") -> tuple[Status, str]:
    with pytest.raises(GRPCError) as caught:
        await create(message or request(), metadata=bearer(token) if token else {}, timeout=5)
    return caught.value.status, caught.value.message


async def test_a_token_first_and_the_certificate_afterwards(daemon):
    async with daemon.client() as create:
        first = await create(request(), metadata=bearer(daemon.token()), timeout=5)
    assert identities(leaf(first)) == [str(REVIEWS)]
    assert first.cert_chain[-1] == (daemon.folder / "ca" / "root-cert.pem").read_text()
    shown = "".join(first.cert_chain[:-1]).encode() + pem_of(a_key())
    async with daemon.client(shown) as create:
        renewed = await create(request(a_csr(a_key("next"))), timeout=5)
    assert identities(leaf(renewed)) == [str(REVIEWS)]
    assert leaf(renewed).public_key() == a_key("next").public_key()
    assert [(one.caller.identity, one.serial, one.expires) for one in daemon.told] == [
        (REVIEWS, leaf(one).serial_number, leaf(one).not_valid_after_utc) for one in (first, renewed)
    ]
    by_token, by_certificate = (one.caller.proof.split() for one in daemon.told)
    assert by_token == ["join", "token", "token-1"]
    assert by_certificate[0] == "certificate"
    assert int(by_certificate[1], 16) == leaf(first).serial_number


@pytest.mark.parametrize(
    ("extension", "why"),
    [
        (x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(OTHER))]), "asks for the name"),
        (
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier("spiffe://other/ns/bookinfo/sa/reviews")]
            ),
            "asks for the name",
        ),
        (x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), "asks for the name"),
        (x509.BasicConstraints(True, None), "asks for a certificate of a CA"),
    ],
)
async def test_a_csr_that_asks_for_more_than_its_sender_has_is_refused(daemon, extension, why):
    csr = a_csr(extensions=[extension])
    async with daemon.client() as create:
        with pytest.raises(GRPCError, match=why) as refused:
            await create(request(csr), metadata=bearer(daemon.token()), timeout=5)
    assert refused.value.status is Status.INVALID_ARGUMENT


async def test_a_revoked_token_and_a_revoked_identity_get_nothing(daemon):
    async with daemon.client() as create:
        await create(request(), metadata=bearer(daemon.token()), timeout=5)
        daemon.revoked.append(Revocations(tokens=frozenset({"token-1"})))
        status, words = await refusal(create, token=daemon.token())
        assert (status, "revoked" in words) == (Status.UNAUTHENTICATED, True)
        daemon.revoked.append(Revocations(identities=frozenset({str(REVIEWS)})))
        status, words = await refusal(create, token=daemon.token())
        assert (status, words) == (Status.PERMISSION_DENIED, f"{REVIEWS} is revoked")


async def test_nothing_is_signed_without_proof(daemon):
    async with daemon.client() as create:
        assert await refusal(create) == (
            Status.UNAUTHENTICATED,
            "no join token was sent; and no client certificate was shown",
        )
        assert await refusal(create, token="nonsense") == (
            Status.UNAUTHENTICATED,
            "the join token is malformed: copy it whole; and no client certificate was shown",
        )
        status, words = await refusal(create, token=daemon.token(lives=timedelta(seconds=-1)))
        assert status is Status.UNAUTHENTICATED
        assert "expired at" in words
        status, words = await refusal(create, token=daemon.token(SpiffeId("other", "a", "b")))
        assert status is Status.UNAUTHENTICATED
        assert "is for trust domain 'other'" in words
    assert daemon.told == []


async def test_an_old_token_beside_a_good_certificate_does_not_matter(daemon):
    old = daemon.token(lives=timedelta(seconds=-1))
    async with daemon.client(daemon.certificate_of(REVIEWS)) as create:
        response = await create(request(), metadata=bearer(old), timeout=5)
    assert identities(leaf(response)) == [str(REVIEWS)]


async def test_a_good_token_comes_before_the_certificate(daemon):
    async with daemon.client(daemon.certificate_of(OTHER)) as create:
        response = await create(request(), metadata=bearer(daemon.token()), timeout=5)
    assert identities(leaf(response)) == [str(REVIEWS)]


async def test_a_certificate_of_another_trust_domain_is_refused(daemon):
    async with daemon.client(daemon.certificate_of(SpiffeId("other", "bookinfo", "reviews"))) as create:
        assert await refusal(create) == (
            Status.PERMISSION_DENIED,
            "the client certificate is of trust domain 'other', this is 'cluster.local'",
        )


async def test_a_certificate_with_another_kind_of_name_is_refused(daemon):
    async with daemon.client(daemon.certificate_of(SpiffeId("cluster.local/x", "a", "b"))) as create:
        status, words = await refusal(create)
    assert status is Status.PERMISSION_DENIED
    assert "is not spiffe://<trust domain>/ns/<namespace>/sa/<service account>" in words


async def test_a_certificate_of_another_ca_does_not_get_past_tls(daemon, tmp_path_factory):
    stranger = an_authority(tmp_path_factory.mktemp("stranger"), daemon.now())
    issued = stranger.certify(a_key().public_key(), REVIEWS, now=daemon.now())
    async with daemon.client(issued.pem_chain()[0].encode() + pem_of(a_key())) as create:
        with pytest.raises((OSError, StreamTerminatedError)):
            await create(request(), timeout=5)
    assert daemon.told == []


async def test_a_connection_older_than_its_certificate_proves_nothing(daemon):
    async with daemon.client(daemon.certificate_of(REVIEWS)) as create:
        await create(request(), timeout=5)
        daemon.now.ahead = timedelta(days=2)
        assert await refusal(create) == (
            Status.UNAUTHENTICATED,
            "the client certificate has expired: show a join token",
        )


async def test_a_requested_life_is_honoured_within_the_limits(daemon):
    async with daemon.client() as create:
        for seconds, hours in ((3600, 1), (0, 24), (10**18, 24)):
            response = await create(request(seconds=seconds), metadata=bearer(daemon.token()), timeout=5)
            lives = leaf(response).not_valid_after_utc - leaf(response).not_valid_before_utc
            assert lives == timedelta(hours=hours, minutes=1)
        assert await refusal(create, request(seconds=-1), daemon.token()) == (
            Status.INVALID_ARGUMENT,
            "validity_duration is -1: ask for seconds above 0",
        )


async def test_a_broken_csr_is_refused(daemon):
    async with daemon.client() as create:
        for csr in (b"", b"hello"):
            assert await refusal(create, request(csr), daemon.token()) == (
                Status.INVALID_ARGUMENT,
                "the CSR cannot be read: send PKCS #10 in PEM form",
            )


async def test_the_subject_tells_of_the_workload(daemon):
    told = "OU=namespace=bookinfo,OU=workload=reviews-v1"
    async with daemon.client() as create:
        by_token = await create(request(), metadata=bearer(daemon.token(workload="reviews-v1")), timeout=5)
        assert leaf(by_token).subject.rfc4514_string() == told
        assert await refusal(create, request(workload="reviews-v2"), daemon.token(workload="reviews-v1")) == (
            Status.PERMISSION_DENIED,
            "the join token is for workload 'reviews-v1', not 'reviews-v2'",
        )
    async with daemon.client(daemon.certificate_of(REVIEWS)) as create:
        named = await create(request(workload="reviews-v1"), timeout=5)
        assert leaf(named).subject.rfc4514_string() == told
        unnamed = await create(request(), timeout=5)
        assert leaf(unnamed).subject.rfc4514_string() == ""


async def test_a_caller_that_asks_too_often_is_told_to_come_again(tmp_path):
    async with (
        a_daemon(tmp_path, Admission("certificates", Limits(burst=1))) as daemon,
        daemon.client() as create,
    ):
        await create(request(), metadata=bearer(daemon.token()), timeout=5)
        assert await refusal(create, token=daemon.token()) == (
            Status.RESOURCE_EXHAUSTED,
            f"{REVIEWS} asks for certificates too often: try again in some seconds",
        )
        await create(request(), metadata=bearer(daemon.token(OTHER)), timeout=5)


async def test_each_refusal_is_told_with_its_kind(tmp_path):
    async with a_daemon(tmp_path, Admission("certificates", Limits(burst=3))) as daemon:
        async with daemon.client() as create:
            await refusal(create)
            await refusal(create, request(b"hello"), daemon.token())
            await create(request(), metadata=bearer(daemon.token()), timeout=5)
            daemon.now.ahead = timedelta(days=4000)
            await refusal(create, token=daemon.token())
            daemon.now.ahead = timedelta()
            for _ in range(3):
                await refusal(create, request(b"hello"), daemon.token(OTHER))
            await refusal(create, token=daemon.token(OTHER))
        daemon.revoked.append(Revocations(identities=frozenset({str(REVIEWS)})))
        async with daemon.client() as create:
            await refusal(create, token=daemon.token())
    assert daemon.refused == [
        *(Refusal.PROOF, Refusal.REQUEST, Refusal.CA),
        *(Refusal.REQUEST, Refusal.REQUEST, Refusal.REQUEST, Refusal.LOAD),
        Refusal.PROOF,
    ]
    assert len(daemon.told) == 1


async def test_an_expired_ca_says_so(daemon):
    daemon.now.ahead = timedelta(days=4000)
    async with daemon.client() as create:
        status, words = await refusal(create, token=daemon.token())
    assert status is Status.FAILED_PRECONDITION
    assert words.startswith("the CA's certificate expired at ")
    assert words.endswith(": the mesh's operator must renew it")


async def test_no_token_is_logged(daemon, caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(
        logging.INFO, logger="hpack"
    )  # it prints every header: whoever sets up logging keeps it quiet
    good, bad = daemon.token(), daemon.token()[:-2] + "xx"
    async with daemon.client() as create:
        await create(request(), metadata=bearer(good), timeout=5)
        await refusal(create, token=bad)
    assert good.split(".")[2] not in caplog.text
    assert bad.split(".")[2] not in caplog.text
