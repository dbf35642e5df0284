"""How the agent gets its certificates: first by token, then by certificate, for ever."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mizzen.agent.certificates import Certificates, make_key, renewal_pause_seconds
from mizzen.agent.credentials import Credentials, PrivateKeyPem
from mizzen.agent.daemon import DaemonError
from mizzen.agent.settings import parse
from mizzen.proto.api import IstioCertificateResponse
from tests.support.agent_mesh import Authority

LIFE = 1000.0


async def test_a_key_comes_with_a_csr_for_it():
    made = await make_key("spiffe://cluster.local/ns/a/sa/b")
    csr = x509.load_pem_x509_csr(made.csr_pem.encode())
    key = load_pem_private_key(made.key.reveal().encode(), None)
    assert csr.is_signature_valid
    assert csr.public_key().public_numbers() == key.public_key().public_numbers()
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://cluster.local/ns/a/sa/b"]


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 400.0), (1.0, 500.0)])
def test_renewal_comes_before_half_of_the_life_is_over(chance, pause):
    credentials = Credentials(PrivateKeyPem(""), "", "", not_before=5000.0, not_after=5000.0 + LIFE)
    assert renewal_pause_seconds(credentials, 5000.0, chance) == pause
    assert renewal_pause_seconds(credentials, 9000.0, chance) == 0.0
    backdated = Credentials(PrivateKeyPem(""), "", "", not_before=4000.0, not_after=5000.0 + LIFE)
    assert renewal_pause_seconds(backdated, 5000.0, chance) == pause


class StandIn:
    """A daemon that answers from a script: a certificate, or the error to raise."""

    def __init__(self, *script: DaemonError | None) -> None:
        self.authority = Authority()
        self.script = list(script)
        self.asked: list[str] = []
        self.workloads: list[str] = []
        self.done = asyncio.Event()

    async def call(self, _method, request, _reply, *, credentials, metadata):
        proof = (metadata or {}).get("authorization", "") or ("certificate" if credentials else "nothing")
        self.asked.append(proof)
        self.workloads.append(request.metadata["WorkloadName"])
        answer = self.script.pop(0)
        if not self.script:
            self.done.set()
        if answer is not None:
            raise answer
        csr = x509.load_pem_x509_csr(request.csr.encode())
        leaf = self.authority.sign(csr.public_key(), [x509.DNSName("x")], timedelta(seconds=LIFE))
        return IstioCertificateResponse(cert_chain=[leaf, self.authority.root_pem])


class Clock:
    """Sleeping moves it on. `skip` is added to each sleep, as if the machine had been suspended."""

    def __init__(self, skip: float = 0.0) -> None:
        self.now = datetime.now(UTC).timestamp()
        self.skip = skip
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + self.skip
        await asyncio.sleep(0)


async def play(tmp_path, daemon: StandIn, clock: Clock, *, token: str | None = "secret") -> list[Credentials]:
    arguments = [
        "--name",
        "w",
        "--address",
        "10.0.0.2",
        "--daemon",
        "h:1",
        "--root-cert",
        "r",
        "--state-dir",
        "s",
    ]
    if token is not None:
        (tmp_path / "token").write_text(token + "\n")
        arguments += ["--token-file", str(tmp_path / "token")]
    published: list[Credentials] = []
    certificates = Certificates(
        parse(arguments), daemon, published.append, sleep=clock.sleep, clock=clock, chance=lambda: 0.0
    )
    keeping = asyncio.create_task(certificates.keep())
    try:
        async with asyncio.timeout(20):
            await daemon.done.wait()
            while len(published) < certificates.issued or not published:
                await asyncio.sleep(0.01)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    return published


async def test_the_first_by_token_the_next_by_certificate(tmp_path):
    daemon, clock = StandIn(None, None, None), Clock()
    published = await play(tmp_path, daemon, clock)
    assert daemon.asked == ["Bearer secret", "certificate", "certificate"]
    assert daemon.workloads == ["w"] * 3
    assert len({credentials.chain_pem for credentials in published}) >= 2
    assert published[0].roots_pem == daemon.authority.root_pem
    assert 390 < clock.slept[0] < 410


async def test_a_daemon_that_is_away_is_asked_again_with_growing_pauses(tmp_path, caplog):
    away = DaemonError("the daemon cannot be reached: Connection refused")
    daemon, clock = StandIn(away, away, away, None), Clock()
    await play(tmp_path, daemon, clock)
    assert daemon.asked == ["Bearer secret"] * 4
    assert clock.slept[:3] == [0.1, 0.2, 0.4]
    assert (
        "no certificate: the daemon cannot be reached: Connection refused; next attempt in 0.1 s"
        in caplog.messages
    )


async def test_a_refused_certificate_is_followed_by_the_token(tmp_path):
    refused = DaemonError("unknown certificate", refused=True)
    daemon = StandIn(None, refused, None)
    await play(tmp_path, daemon, Clock())
    assert daemon.asked == ["Bearer secret", "certificate", "Bearer secret"]


async def test_an_expired_certificate_is_not_shown(tmp_path):
    daemon = StandIn(None, None)
    await play(tmp_path, daemon, Clock(skip=LIFE))
    assert daemon.asked == ["Bearer secret", "Bearer secret"]


async def test_without_a_token_the_user_is_told(tmp_path, caplog):
    daemon = StandIn(None)
    daemon.done.set()
    playing = asyncio.create_task(play(tmp_path, daemon, Clock(), token=None))
    async with asyncio.timeout(20):
        while not caplog.messages:
            await asyncio.sleep(0.01)
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    assert caplog.messages[0].startswith("no certificate: a join token is needed for the first certificate")
    assert daemon.asked == []
