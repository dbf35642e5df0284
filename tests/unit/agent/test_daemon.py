"""Calls to the daemon, and what is said when they fail."""

import socket
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mizzen.agent.credentials import Credentials, PrivateKeyPem
from mizzen.agent.daemon import Daemon, DaemonError, Daemons
from mizzen.agent.settings import HostPort
from mizzen.proto.api import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    HealthReport,
    HealthReportResponse,
    IstioCertificateRequest,
    IstioCertificateResponse,
)
from tests.support import agent_mesh

HEALTH = "/mizzen.v1.AgentService/ReportHealth"
DISCOVERY = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
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


@pytest.fixture
def away(mesh):
    """A daemon of the mesh that has died: nobody listens there."""
    return Daemon(HostPort("127.0.0.1", agent_mesh.free_port()), mesh.folder / "root.pem")


@pytest.mark.parametrize("chance", [0.0, 0.99])
async def test_whoever_is_drawn_first_the_daemon_that_lives_answers(mesh, away, chance):
    daemons = Daemons((away, client(mesh)), lambda: chance)
    shown, report = credentials(mesh), HealthReport(node_id="n", healthy=True)
    await daemons.call(HEALTH, report, HealthReportResponse, credentials=shown)
    assert mesh.health == [(True, "")]
    opened = daemons.stream(DISCOVERY, DeltaDiscoveryRequest, DeltaDiscoveryResponse, shown)
    async with opened as stream:
        await stream.send_message(DeltaDiscoveryRequest(type_url="x", node={"id": "n"}))
        assert (await stream.recv_message()).type_url == "x"
        await stream.end()


async def test_a_daemon_that_accepts_and_says_nothing_is_passed_over(mesh, monkeypatch):
    monkeypatch.setattr("mizzen.agent.daemon._CONNECT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        hung = Daemon(HostPort("127.0.0.1", mute.getsockname()[1]), mesh.folder / "root.pem")
        daemons = Daemons((hung, client(mesh)), lambda: 0.0)
        report = HealthReport(node_id="n", healthy=True)
        await daemons.call(HEALTH, report, HealthReportResponse, credentials=credentials(mesh))
    assert mesh.health == [(True, "")]


async def test_who_refuses_is_not_asked_about_at_another_daemon(mesh, away):
    with pytest.raises(DaemonError, match="answered: who are you") as caught:
        await Daemons((client(mesh), away), lambda: 0.0).call(
            CERTIFICATE, IstioCertificateRequest(), IstioCertificateResponse
        )
    assert caught.value.refused


async def test_a_daemon_that_has_too_much_to_do_is_passed_over(mesh, tmp_path):
    (tmp_path / "crowded").mkdir()
    crowded = agent_mesh.Daemon(tmp_path / "crowded", mesh.authority, crowded="come again")
    await crowded.start()
    daemons = Daemons((client(crowded), client(mesh)), lambda: 0.0)
    report = HealthReport(node_id="n", healthy=True)
    await daemons.call(HEALTH, report, HealthReportResponse, credentials=credentials(mesh))
    await crowded.close()
    assert (crowded.health, mesh.health) == ([], [(True, "")])


async def test_where_all_are_away_each_is_named(away):
    other = Daemon(HostPort("127.0.0.1", agent_mesh.free_port()), away.root_cert)
    with pytest.raises(DaemonError, match=f"{away.address} cannot be .*; .*{other.address} cannot be"):
        await Daemons((away, other), lambda: 0.0).call(HEALTH, HealthReport(), HealthReportResponse)
