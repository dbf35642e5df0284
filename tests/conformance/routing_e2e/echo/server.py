"""The servers: one for each port, answering with what they saw."""

import asyncio
import contextlib
import ssl
from collections import deque
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec
from h2.exceptions import H2Error

from tests.conformance.routing_e2e.echo import http1, http2, proxy_protocol, websocket
from tests.conformance.routing_e2e.echo.wire import SERVER_FIRST, Headers, PortSettings, Seen, Settings

_IDLE_SECONDS = 30.0
_TCP_BYTES = 64 << 10
_REMEMBERED = 20_000
_RAW = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"


class Log:
    """The texts by which mirrored requests are counted; the oldest are forgotten."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque(maxlen=_REMEMBERED)

    def add(self, seen: Seen) -> None:
        self._texts.append(f"{seen.path} {seen.message}")

    def count(self, text: str) -> int:
        return sum(text in one for one in self._texts)


@dataclass(frozen=True)
class Port:
    """Serves the connections of one port; `address` is the workload's own, `instance` its name."""

    settings: Settings
    port: PortSettings
    address: str
    instance: str
    log: Log

    async def listen(self) -> asyncio.Server:
        host = {"any": "0.0.0.0", "pod": self.address, "localhost": "127.0.0.1"}[self.port.bind]
        context = _server_context(self.settings, self.port) if self.port.tls else None
        return await asyncio.start_server(
            self._serve, host, self.port.number, ssl=context, backlog=512, limit=http1.MAX_HEAD_BYTES
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError, http1.HttpError, H2Error):
            async with asyncio.timeout(_IDLE_SECONDS):
                seen = self._first_sight(writer)
                if self.port.proxy_protocol:
                    version, source = await proxy_protocol.read(reader)
                    seen = msgspec.structs.replace(seen, proxy_protocol=version, source=source)
                if self.port.tcp:
                    await self._serve_tcp(reader, writer, seen)
                else:
                    await self._serve_http(reader, writer, seen)
        with contextlib.suppress(OSError):
            writer.close()

    def _first_sight(self, writer: asyncio.StreamWriter) -> Seen:
        tls = writer.get_extra_info("ssl_object")
        return Seen(
            service=self.settings.service,
            workload=self.instance,
            version=self.settings.version,
            port=self.port.number,
            protocol="TCP",
            source=writer.get_extra_info("peername")[0],
            alpn=(tls.selected_alpn_protocol() or "") if tls else "",
            sni=getattr(tls, "name_asked_for", "") or "",
        )

    async def _serve_tcp(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen
    ) -> None:
        if self.port.server_first:
            writer.write(SERVER_FIRST)
            await writer.drain()
        line = await reader.readline()
        if not line:
            return
        # Whoever takes the port for HTTP gets an answer in its own words.
        answer = _RAW if line.split(b" ", 1)[-1].startswith(b"/") and b"HTTP/" in line else ""
        seen = msgspec.structs.replace(seen, message=line.decode(errors="replace").strip())
        writer.write(answer.encode() + self._report(seen) + b"\n")
        await writer.drain()

    async def _serve_http(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen
    ) -> None:
        begun = await reader.readline()
        if begun == http2.PREFACE.partition(b"\n")[0] + b"\n":
            await http2.serve(reader, writer, begun, lambda message: self._answer_http2(message, seen))
            return
        while (head := await http1.read_head(reader, begun)) is not None:
            begun = b""
            if not await self._answer_http1(reader, writer, head, seen):
                return

    async def _answer_http1(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: http1.Head, seen: Seen
    ) -> bool:
        """Whether the connection stays open."""
        method, target, version = head.first
        body = await http1.read_body(reader, head, to_the_end=False)
        seen = msgspec.structs.replace(
            seen,
            protocol=version or "HTTP/1.0",
            method=method,
            path=_path(target),
            host=head.header("host"),
            headers=head.headers,
            message=body.decode(errors="replace"),
        )
        if "websocket" in head.header("upgrade").lower():
            await self._answer_websocket(reader, writer, head, seen)
            return False
        stays = version == "HTTP/1.1" and head.header("connection").lower() != "close"
        report = self._report(seen)
        headers = (("Content-Type", "application/json"), ("Content-Length", str(len(report))))
        version = "HTTP/1.1" if version == "HTTP/1.1" else "HTTP/1.0"
        writer.write(http1.build(f"{version} 200 OK", headers, b"" if method == "HEAD" else report))
        await writer.drain()
        return stays

    async def _answer_websocket(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: http1.Head, seen: Seen
    ) -> None:
        proof = websocket.accept(head.header("sec-websocket-key"))
        headers = (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", proof))
        writer.write(http1.build("HTTP/1.1 101 Switching Protocols", headers))
        text = await websocket.read_frame(reader)
        seen = msgspec.structs.replace(seen, message=text.decode(errors="replace"))
        writer.write(websocket.frame(self._report(seen), masked=False))
        await writer.drain()

    async def _answer_http2(self, message: http2.Message, seen: Seen) -> tuple[Headers, bytes, Headers]:
        is_grpc = message.header("content-type").startswith("application/grpc")
        text = http2.unframed(message.body) if is_grpc else message.body
        report = self._report(
            msgspec.structs.replace(
                seen,
                protocol="HTTP/2.0",
                method=message.header(":method"),
                path=_path(message.header(":path")),
                host=message.header(":authority") or message.header("host"),
                headers=message.plain_headers(),
                message=text.decode(errors="replace"),
            )
        )
        if is_grpc:
            headers = ((":status", "200"), ("content-type", "application/grpc"))
            return headers, http2.framed(report), (("grpc-status", "0"),)
        return ((":status", "200"), ("content-type", "application/json")), report, ()

    def _report(self, seen: Seen) -> bytes:
        self.log.add(seen)
        return msgspec.json.encode(seen)


def _path(target: str) -> str:
    parts = urlsplit(target)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _server_context(settings: Settings, port: PortSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.certificate, settings.key)
    context.set_alpn_protocols(["h2", "http/1.1", "http/1.0"])
    if port.client_certificates:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(settings.root)

    def remember(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        connection.name_asked_for = name  # type: ignore[attr-defined]  # there is no other way to hear it

    context.sni_callback = remember
    return context
