"""The clients: every kind of request that a case may send, from where the application runs."""

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
from h2.exceptions import H2Error

from tests.conformance.routing_e2e.echo import dns, http1, http2, proxy_protocol, websocket
from tests.conformance.routing_e2e.echo.errors import in_words
from tests.conformance.routing_e2e.echo.wire import Call, Headers, Result, Seen, Tls

_AT_ONCE = 10
_MOST_REDIRECTS = 10
_GRPC_PATH = "/proto.EchoTestService/Echo"
_STATUS_OF_GRPC_OK = 200
_ERRORS = (OSError, EOFError, ValueError, http1.HttpError, H2Error)


async def call(what: Call) -> tuple[Result, ...]:
    """All requests of a call, several at a time; one after the other where cookies lead from one to the next."""
    if what.cookies:
        return tuple([result async for result in _with_cookies(what)])
    places = asyncio.Semaphore(_AT_ONCE)

    async def one() -> Result:
        async with places:
            return await send(what)

    return tuple(await asyncio.gather(*(one() for _ in range(what.count))))


async def send(what: Call) -> Result:
    """One request, and those to which it is redirected."""
    for _ in range(_MOST_REDIRECTS):
        result = await _send_once(what)
        location = result.header("location")
        if not (what.follow_redirects and location and 300 <= result.status < 400):
            return result
        url = urlsplit(urljoin(f"{what.scheme}://{what.host or what.address}{what.path}", location))
        path = f"{url.path}?{url.query}" if url.query else url.path
        what = msgspec.structs.replace(what, path=path, host=url.netloc)
    return Result(error="stopped after 10 redirects")


_VERDICT_SECONDS = 0.05


async def _send_once(what: Call) -> Result:
    try:
        async with asyncio.timeout(what.timeout_seconds):
            if what.scheme == "dns":
                assert what.dns is not None
                return Result(addresses=await dns.resolve(what.dns))
            async with _connection(what) as (reader, writer):
                return await _EXCHANGES[what.scheme](what, reader, writer)
    except _ERRORS as error:
        return Result(error=in_words(error))


async def _with_cookies(what: Call) -> Any:
    jar: dict[str, str] = {}
    for _ in range(what.count):
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())} if jar else {}
        result = await send(msgspec.structs.replace(what, headers={**what.headers, **sent}))
        for key, value in result.headers:
            name, _, content = value.partition(";")[0].partition("=")
            if key.lower() == "set-cookie" and name.strip() in what.cookies:
                jar[name.strip()] = content
        yield result


@contextlib.asynccontextmanager
async def _connection(what: Call) -> Any:
    """Raises OSError."""
    reader, writer = await asyncio.open_connection(what.address, what.port, limit=http1.MAX_HEAD_BYTES)
    try:
        if what.proxy_protocol:
            here, there = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
            writer.write(proxy_protocol.build(what.proxy_protocol, here, there))
            await writer.drain()
        if _uses_tls(what):
            await writer.start_tls(_context(what), server_hostname=what.tls.sni or _host_name(what))
            if what.tls.certificate:
                # With TLS 1.3 the server looks at it when the client is done. Who writes before the verdict is read learns
                # nothing but that the pipe is broken (Go reads beside its writing).
                await asyncio.sleep(_VERDICT_SECONDS)
        yield reader, writer
    finally:
        writer.transport.abort()


def _uses_tls(what: Call) -> bool:
    return what.scheme == "https" or what.tls != Tls()


def _host_name(what: Call) -> str:
    host = what.host or what.address
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host


def _context(what: Call) -> ssl.SSLContext:
    tls = what.tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca:
        context.load_verify_locations(cadata=tls.ca)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(f"{tls.certificate}\n{tls.key}")
            file.flush()
            context.load_cert_chain(file.name)
    context.set_alpn_protocols(
        list(tls.alpn) or (["h2"] if what.http2 or what.scheme == "grpc" else ["http/1.1"])
    )
    if tls.minimum == "1.3":
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


async def _http(what: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Result:
    if what.http2:
        answer = await http2.exchange(reader, writer, _http2_headers(what), what.message.encode())
        return _result(int(answer.header(":status") or 0), answer.plain_headers(), answer.body)
    headers = [("Host", _authority(what)), *_own_headers(what), ("Connection", "close")]
    if what.message:
        headers.append(("Content-Length", str(len(what.message.encode()))))
    writer.write(http1.build(f"{what.method} {what.path or '/'} HTTP/1.1", headers, what.message.encode()))
    await writer.drain()
    head = await http1.read_head(reader)
    if head is None:
        raise EOFError
    status = int(head.first[1])
    has_body = what.method != "HEAD" and status not in {204, 304}
    body = await http1.read_body(reader, head, to_the_end=True) if has_body else b""
    return _result(status, head.headers, body)


def _http2_headers(what: Call) -> list[tuple[str, str]]:
    return [
        (":method", what.method),
        (":scheme", "https" if _uses_tls(what) else "http"),
        (":authority", _authority(what)),
        (":path", what.path or "/"),
        *((key.lower(), value) for key, value in _own_headers(what)),
    ]


def _own_headers(what: Call) -> Sequence[tuple[str, str]]:
    return tuple((key, value) for key, value in what.headers.items() if key.lower() != "host")


def _authority(what: Call) -> str:
    return what.host or f"{what.address}:{what.port}"


async def _grpc(what: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Result:
    """`status` is 200 where the call succeeded, as Istio's echo client has it."""
    request = msgspec.structs.replace(what, method="POST", path=_GRPC_PATH)
    headers = [*_http2_headers(request), ("content-type", "application/grpc"), ("te", "trailers")]
    answer = await http2.exchange(reader, writer, headers, http2.framed(what.message.encode()))
    http_status, code = answer.header(":status"), answer.header("grpc-status")
    if not code:
        return Result(error=f"unexpected HTTP status code received from server: {http_status}")
    result = _result(_STATUS_OF_GRPC_OK, answer.plain_headers(), http2.unframed(answer.body))
    if int(code):
        error = f"rpc error: code = {code} desc = {answer.header('grpc-message')}"
        result = msgspec.structs.replace(result, error=error, status=int(http_status or 0))
    return msgspec.structs.replace(result, grpc_status=int(code))


async def _tcp(what: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Result:
    if what.server_first:
        await reader.readline()
    writer.write((what.message or "HelloWorld").encode() + b"\n")
    await writer.drain()
    body = await reader.read(-1)
    if not body:
        raise EOFError
    return _result(0, (), body)


async def _websocket(what: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Result:
    upgrade = (
        ("Host", _authority(what)),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", websocket.new_key()),
    )
    writer.write(http1.build(f"GET {what.path or '/'} HTTP/1.1", (*upgrade, *_own_headers(what))))
    await writer.drain()
    head = await http1.read_head(reader)
    if head is None:
        raise EOFError
    if head.first[1] != "101":
        body = await http1.read_body(reader, head, to_the_end=True)
        return _result(int(head.first[1]), head.headers, body)
    writer.write(websocket.frame((what.message or "HelloWorld").encode(), masked=True))
    await writer.drain()
    return _result(_STATUS_OF_GRPC_OK, head.headers, await websocket.read_frame(reader))


_EXCHANGES = {"http": _http, "https": _http, "grpc": _grpc, "tcp": _tcp, "ws": _websocket}


def _result(status: int, headers: Headers, body: bytes) -> Result:
    seen = None
    report = body.strip().splitlines()[-1:] or [b""]  # behind what a TCP server says first
    with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
        seen = msgspec.json.decode(report[0], type=Seen)
    return Result(status=status, headers=headers, body=body.decode(errors="replace"), seen=seen)
