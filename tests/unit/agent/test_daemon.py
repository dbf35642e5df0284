"""Calls to the daemon, and what is said when they fail."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mizzen.agent.credentials import Credentials, PrivateKeyPem
from mizzen.agent.daemon import Daemon, DaemonError
from mizzen.agent.settings import HostPort
from mizzen.proto.api import (
    HealthReport,
    HealthReportResponse,
    IstioCertificateRequest,
    IstioCertificateResponse,
)
from tests.support import agent_mesh

HEALTH = "/mizzen.v1.AgentService/ReportHealth"
CERTIFICATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate"


@pytest.fixture
async def mesh(tmp_path):
    mesh = agent_mesh.Daemon(tmp_path)
    await mesh.start()
    yield mesh
    await mesh.close()


def client(mesh: agent_mesh.Daemon) -> Daemon:
    return Daemon(HostPort("127.0.0.1", mesh.port), mesh.folder / "root.pem")


def credentials(mesh: agent_mesh.Daemon) -> Credentials:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    names = [x509.UniformResourceIdentifier("spiffe://cluster.local/ns/a/sa/b")]
    chain = mesh.authority.sign(key.public_key(), names, timedelta(hours=1))
    return Credentials(PrivateKeyPem(pem), chain, mesh.authority.root_pem, 0.0, 1.0)


async def test_the_certificate_is_shown(mesh):
    report = HealthReport(node_id="n", healthy=True)
    await client(mesh).call(HEALTH, report, HealthReportResponse, credentials=credentials(mesh))
    assert mesh.health == [(True, "")]


async def test_a_refusal_carries_the_daemons_words(mesh):
    with pytest.raises(DaemonError, match="answered: who are you") as caught:
        await client(mesh).call(CERTIFICATE, IstioCertificateRequest(), IstioCertificateResponse)
    assert caught.value.refused


async def test_a_daemon_that_is_away(mesh):
    await mesh.close()
    with pytest.raises(
        DaemonError, match=r"the daemon at 127.0.0.1:\d+ cannot be reached: Connect"
    ) as caught:
        await client(mesh).call(HEALTH, HealthReport(), HealthReportResponse)
    assert not caught.value.refused


async def test_a_daemon_of_another_mesh(mesh, tmp_path):
    (tmp_path / "root.pem").write_text(agent_mesh.Authority().root_pem)
    with pytest.raises(DaemonError, match=r"is not the one that .*root.pem vouches for"):
        await client(mesh).call(HEALTH, HealthReport(), HealthReportResponse)


async def test_roots_that_are_missing_or_broken(mesh, tmp_path):
    (tmp_path / "root.pem").write_text("nothing")
    with pytest.raises(DaemonError, match="the root certificates are not in PEM form"):
        await client(mesh).call(HEALTH, HealthReport(), HealthReportResponse)
    (tmp_path / "root.pem").unlink()
    with pytest.raises(DaemonError, match=r"cannot read the root certificates .*root.pem: No such file"):
        await client(mesh).call(HEALTH, HealthReport(), HealthReportResponse)
