"""Serves key, certificate and trust root to Envoy (SDS): delta, as our bootstrap asks, and state of the world.

Envoy asks for each secret on a stream of its own. A stream sends what it was asked for as soon as there is something
newer than what it sent last; nothing is queued, a slow Envoy gets the newest.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grpclib.const import Cardinality, Handler

from mizzen.agent.bootstrap import CERTIFICATE_SECRET, ROOT_SECRET
from mizzen.agent.credentials import Credentials
from mizzen.errors import UserError
from mizzen.proto.api import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
    Secret,
)
from mizzen.rpc.server import RpcServer

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from grpclib.server import Stream

_SERVICE: Final = "/envoy.service.secret.v3.SecretDiscoveryService"
_SECRET_TYPE: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105  # a type
_MOST_NAMES: Final = 64  # per stream; Envoy asks for one

_log = logging.getLogger("mizzen.agent")


class SecretService:
    """A grpclib handler. `publish` makes new credentials known to all streams, at once."""

    def __init__(self) -> None:
        self._credentials: Credentials | None = None
        self._version = 0
        self._streams: set[asyncio.Event] = set()

    def __mapping__(self) -> dict[str, Handler]:
        both = Cardinality.STREAM_STREAM
        return {
            f"{_SERVICE}/DeltaSecrets": Handler(
                self._delta, both, DeltaDiscoveryRequest, DeltaDiscoveryResponse
            ),
            f"{_SERVICE}/StreamSecrets": Handler(self._whole, both, DiscoveryRequest, DiscoveryResponse),
        }

    def publish(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._version += 1
        for wake in self._streams:
            wake.set()

    async def _delta(self, stream: "Stream[DeltaDiscoveryRequest, DeltaDiscoveryResponse]") -> None:
        def subscribe(request: DeltaDiscoveryRequest, sent: dict[str, int]) -> None:
            for name in request.resource_names_unsubscribe:
                sent.pop(name, None)
            for name in request.resource_names_subscribe:
                sent[name] = 0  # asked for once more: sent once more

        def respond(names: Iterable[str], version: str) -> DeltaDiscoveryResponse:
            resources = [
                {"name": name, "version": version, "resource": _as_any(self._secret(name))} for name in names
            ]
            return DeltaDiscoveryResponse(
                resources=resources, nonce=version, type_url=_SECRET_TYPE, system_version_info=version
            )

        await self._serve(stream, subscribe, respond)

    async def _whole(self, stream: "Stream[DiscoveryRequest, DiscoveryResponse]") -> None:
        def subscribe(request: DiscoveryRequest, sent: dict[str, int]) -> None:
            if sent.keys() == set(request.resource_names):
                return
            sent.clear()
            sent.update(dict.fromkeys(request.resource_names, 0))

        def respond(names: Iterable[str], version: str) -> DiscoveryResponse:
            resources = [_as_any(self._secret(name)) for name in names]
            return DiscoveryResponse(
                resources=resources, nonce=version, type_url=_SECRET_TYPE, version_info=version
            )

        await self._serve(stream, subscribe, respond)

    async def _serve(
        self,
        stream: "Stream[Any, Any]",
        subscribe: Callable[[Any, dict[str, int]], None],
        respond: Callable[[Iterable[str], str], "Message"],
    ) -> None:
        """One stream: `sent` holds, for each name asked for, the version that was sent of it (0: none)."""
        sent: dict[str, int] = {}

        async def read() -> None:
            async for request in stream:
                if request.HasField("error_detail"):
                    _log.error("Envoy refused its certificate: %s", request.error_detail.message)
                subscribe(request, sent)
                for name in sent.keys() - {CERTIFICATE_SECRET, ROOT_SECRET}:
                    _log.warning("Envoy asked for a secret that the agent has not: %.100r", name)
                    del sent[name]
                wake.set()

        async with self._woken() as wake, _background(read(), wake) as reading:
            while not reading.done():
                await wake.wait()
                wake.clear()
                version = self._version
                due = [name for name, last in sent.items() if last != version]
                if due and version:
                    await stream.send_message(respond(due, str(version)))
                    sent.update((name, version) for name in due if name in sent)
            await reading

    @asynccontextmanager
    async def _woken(self) -> AsyncIterator[asyncio.Event]:
        wake = asyncio.Event()
        self._streams.add(wake)
        try:
            yield wake
        finally:
            self._streams.discard(wake)

    def _secret(self, name: str) -> Secret:
        """Made when it is sent, so that the key stays in its redacting type until then."""
        assert self._credentials is not None
        if name == ROOT_SECRET:
            return Secret(
                name=name, validation_context={"trusted_ca": {"inline_string": self._credentials.roots_pem}}
            )
        return Secret(
            name=name,
            tls_certificate={
                "certificate_chain": {"inline_string": self._credentials.chain_pem},
                "private_key": {"inline_string": self._credentials.key.reveal()},
            },
        )


async def serve_secrets(service: SecretService, listener: socket.socket) -> RpcServer:
    """Serve on the socket that `private_socket` made."""
    server = RpcServer([service])
    await server.start(sock=listener)
    return server


def private_socket(path: Path, owner_uid: int | None) -> socket.socket:
    """A bound unix socket that only its owner may connect to; the path may be relative. Raises UserError."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        os.fchmod(listener.fileno(), 0o600)  # before bind: the file never exists with another mode
        listener.bind(str(path))
        if owner_uid is not None:
            os.chown(path, owner_uid, -1)
    except OSError as error:
        listener.close()
        raise UserError(f"cannot make the socket {path.absolute()}: {error.strerror}") from None
    return listener


def _as_any(message: "Message") -> dict[str, Any]:
    return {"type_url": _SECRET_TYPE, "value": message.SerializeToString()}


@asynccontextmanager
async def _background(work: Any, wake: asyncio.Event) -> AsyncIterator["asyncio.Task[None]"]:
    task: asyncio.Task[None] = asyncio.ensure_future(work)
    task.add_done_callback(lambda _done: wake.set())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
