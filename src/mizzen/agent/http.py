"""A tiny HTTP/1.1 server on asyncio streams: a few GET paths, one request a connection. (aiohttp would cost 15 MB.)"""

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from mizzen.agent.streams import StreamServer
from mizzen.errors import UserError
from mizzen.frozen import EMPTY

_REQUEST_SECONDS: Final = 10.0
_MOST_CONNECTIONS: Final = 32

_log = logging.getLogger("mizzen.agent")


@dataclass(frozen=True, slots=True)
class Response:
    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = "text/plain; charset=utf-8"

    @classmethod
    def of_json(cls, document: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> "Response":
        return cls(json.dumps(document).encode() + b"\n", status, "application/json")


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is without the query; names of `headers` are in small letters."""

    path: str
    headers: Mapping[str, str] = EMPTY


Route = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Answers GET and HEAD of the given paths; `below` answers every path that no route does."""

    def __init__(self, routes: Mapping[str, Route], below: Route | None = None) -> None:
        self._routes = routes
        self._below = below
        self._server = StreamServer(self._serve, _MOST_CONNECTIONS)

    @property
    def port(self) -> int:
        return self._server.port

    async def start(self, host: str, port: int) -> None:
        """Raises UserError where the address cannot be had."""
        try:
            await self._server.start(host, port)
        except OSError as error:
            raise UserError(
                f"the agent cannot listen on {host}:{port}: {error.strerror}",
                "is another agent running there?",
            ) from None

    async def start_on(self, listener: socket.socket) -> None:
        """On a bound unix socket."""
        await self._server.start_on(listener)

    async def close(self) -> None:
        await self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_REQUEST_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(await self._answer(head))
            await writer.drain()

    async def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
        response = await self._response(method, Request(path, _headers(rest)))
        lines = (
            f"HTTP/1.1 {response.status.value} {response.status.phrase}",
            f"Content-Type: {response.content_type}",
            f"Content-Length: {len(response.body)}",
            "Connection: close",
        )
        content = b"" if method == b"HEAD" else response.body
        return "\r\n".join([*lines, "", ""]).encode() + content

    async def _response(self, method: bytes, request: Request) -> Response:
        if method not in {b"GET", b"HEAD"}:
            return Response(b"only GET\n", HTTPStatus.METHOD_NOT_ALLOWED)
        route = self._routes.get(request.path) or self._below
        if route is None:
            return Response(f"one of {', '.join(self._routes)}\n".encode(), HTTPStatus.NOT_FOUND)
        try:
            return await route(request)
        except Exception:  # noqa: BLE001  # whatever it is, the next request shall be answered
            _log.warning("cannot answer %s (--debug says more)", request.path)
            _log.debug("because of", exc_info=True)
            return Response(b"internal error\n", HTTPStatus.INTERNAL_SERVER_ERROR)


def _headers(head: bytes) -> Mapping[str, str]:
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.lower(): value.strip() for name, colon, value in lines if colon}
