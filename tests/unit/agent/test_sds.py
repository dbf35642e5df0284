"""Secrets over a unix socket: delta and state of the world."""

import asyncio
import os

import pytest
from grpclib.client import Channel, StreamStreamMethod

from mizzen.agent.credentials import Credentials, PrivateKeyPem
from mizzen.agent.sds import SecretService, private_socket, serve_secrets
from mizzen.errors import UserError
from mizzen.proto.api import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
    Secret,
)

SERVICE = "/envoy.service.secret.v3.SecretDiscoveryService"


def credentials(number: int) -> Credentials:
    return Credentials(PrivateKeyPem(f"key-{number}"), f"chain-{number}", f"roots-{number}", 0.0, 1.0)


@pytest.fixture
async def service(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    service = SecretService()
    server = await serve_secrets(service, private_socket(tmp_path / "s", None))
    yield service
    await server.close()


@pytest.fixture
async def channel(service):
    async with Channel(path="s") as channel:
        yield channel


def delta(channel):
    return StreamStreamMethod(
        channel, f"{SERVICE}/DeltaSecrets", DeltaDiscoveryRequest, DeltaDiscoveryResponse
    ).open()


def whole(channel):
    return StreamStreamMethod(channel, f"{SERVICE}/StreamSecrets", DiscoveryRequest, DiscoveryResponse).open()


def secrets(response) -> dict[str, str]:
    found = {}
    for resource in response.resources:
        secret = Secret.FromString((resource.resource if hasattr(resource, "resource") else resource).value)
        tls = secret.tls_certificate
        found[secret.name] = (
            f"{tls.certificate_chain.inline_string} {tls.private_key.inline_string}"
            if secret.HasField("tls_certificate")
            else secret.validation_context.trusted_ca.inline_string
        )
    return found


async def test_delta_sends_what_was_asked_for_when_it_is_there_and_when_it_changes(service, channel):
    async with asyncio.timeout(5), delta(channel) as stream:
        await stream.send_message(DeltaDiscoveryRequest(resource_names_subscribe=["default"]))
        service.publish(credentials(1))
        first = await stream.recv_message()
        assert secrets(first) == {"default": "chain-1 key-1"}
        await stream.send_message(DeltaDiscoveryRequest(response_nonce=first.nonce))
        service.publish(credentials(2))
        assert secrets(await stream.recv_message()) == {"default": "chain-2 key-2"}
        await stream.send_message(DeltaDiscoveryRequest(resource_names_subscribe=["ROOTCA"]))
        assert secrets(await stream.recv_message()) == {"ROOTCA": "roots-2"}
        await stream.send_message(DeltaDiscoveryRequest(resource_names_unsubscribe=["default"]))
        await stream.send_message(DeltaDiscoveryRequest(resource_names_subscribe=["ROOTCA"]))
        assert secrets(await stream.recv_message()) == {"ROOTCA": "roots-2"}
        service.publish(credentials(3))
        assert secrets(await stream.recv_message()) == {"ROOTCA": "roots-3"}
        await stream.cancel()


async def test_state_of_the_world_answers_an_ack_with_nothing(service, channel):
    service.publish(credentials(1))
    async with asyncio.timeout(5), whole(channel) as stream:
        await stream.send_message(DiscoveryRequest(resource_names=["default"]))
        first = await stream.recv_message()
        assert secrets(first) == {"default": "chain-1 key-1"}
        acked = DiscoveryRequest(
            resource_names=["default"], response_nonce=first.nonce, version_info=first.version_info
        )
        await stream.send_message(acked)
        service.publish(credentials(2))
        second = await stream.recv_message()
        assert (secrets(second), second.version_info) == ({"default": "chain-2 key-2"}, "2")
        await stream.cancel()


async def test_only_the_newest_reaches_a_stream_that_comes_late(service, channel):
    service.publish(credentials(1))
    service.publish(credentials(2))
    async with asyncio.timeout(5), delta(channel) as stream:
        await stream.send_message(DeltaDiscoveryRequest(resource_names_subscribe=["default", "ROOTCA"]))
        assert secrets(await stream.recv_message()) == {"default": "chain-2 key-2", "ROOTCA": "roots-2"}
        await stream.cancel()


async def test_a_refusal_and_an_unknown_name_are_said(service, channel, caplog):
    service.publish(credentials(1))
    async with asyncio.timeout(5), delta(channel) as stream:
        await stream.send_message(DeltaDiscoveryRequest(resource_names_subscribe=["other"]))
        refused = DeltaDiscoveryRequest(
            resource_names_subscribe=["default"], error_detail={"message": "bad key"}
        )
        await stream.send_message(refused)
        assert secrets(await stream.recv_message()) == {"default": "chain-1 key-1"}
        await stream.cancel()
    assert "Envoy refused its certificate: bad key" in caplog.messages
    assert any("'other'" in message for message in caplog.messages)
    assert "key-1" not in caplog.text


def test_the_socket_is_its_owners_alone_and_replaces_an_old_one(tmp_path):
    path = tmp_path / "s"
    path.write_text("left behind")
    with private_socket(path, os.getuid()):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.is_socket()


def test_a_socket_that_cannot_be_made_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot make the socket .*/no/s: No such file"):
        private_socket(tmp_path / "no" / "s", None)
