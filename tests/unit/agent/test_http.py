"""The agent's small HTTP server."""

import asyncio

import pytest

from mizzen.agent.http import HttpServer, Request, Response
from mizzen.errors import UserError
from tests.support.agent_mesh import until


async def hello(_request: Request) -> Response:
    return Response(b"hello\n")


async def broken(_request: Request) -> Response:
    raise RuntimeError("inside")


@pytest.fixture
async def server():
    server = HttpServer({"/hello": hello, "/broken": broken})
    await server.start("127.0.0.1", 0)
    yield server
    await server.close()


async def ask(server: HttpServer, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        (b"GET /hello HTTP/1.1", b"200 OK", b"hello\n"),
        (b"GET /hello?x=y HTTP/1.0", b"200 OK", b"hello\n"),
        (b"HEAD /hello HTTP/1.1", b"200 OK", b""),
        (b"POST /hello HTTP/1.1", b"405 Method Not Allowed", b"only GET\n"),
        (b"GET /other HTTP/1.1", b"404 Not Found", b"one of /hello, /broken\n"),
        (b"GET /broken HTTP/1.1", b"500 Internal Server Error", b"internal error\n"),
        (b"\xff\xfe nonsense", b"405 Method Not Allowed", b"only GET\n"),
    ],
)
async def test_answers(server, request_line, status, body):
    head, _, answered = (await ask(server, request_line + b"\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert answered == body


async def test_a_route_sees_the_path_and_the_headers():
    seen = []

    async def look(request: Request) -> Response:
        seen.append(request)
        return Response(b"")

    server = HttpServer({}, look)
    await server.start("127.0.0.1", 0)
    await ask(server, b"GET /a/b?c HTTP/1.1\r\nHost: x:1\r\nX-Seconds:  2 \r\nno header\r\n\r\n")
    await server.close()
    assert seen == [Request("/a/b", {"host": "x:1", "x-seconds": "2"})]


async def test_a_head_without_end_is_cut_off(server):
    assert await ask(server, b"x" * 20_000) == b""


async def test_too_many_connections_are_closed_unanswered(server):
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(32)]
    assert await ask(server, b"GET /hello HTTP/1.1\r\n\r\n") == b""
    for _, writer in idle:
        writer.transport.abort()


async def test_closing_ends_idle_connections():
    server = HttpServer({})
    await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await until(lambda: server._server._serving)
    async with asyncio.timeout(5):
        await server.close()
        assert await reader.read() == b""
    writer.transport.abort()


async def test_a_taken_port_is_said_in_words(server):
    with pytest.raises(
        UserError, match=r"the agent cannot listen on 127.0.0.1:\d+: .*is another agent running there"
    ):
        await HttpServer({}).start("127.0.0.1", server.port)


async def test_who_does_not_read_is_cut_off_and_nothing_is_kept(monkeypatch):
    monkeypatch.setattr("mizzen.agent.http._REQUEST_SECONDS", 0.2)

    async def long(_request: Request) -> Response:
        return Response(bytes(2**24))

    server = HttpServer({"/long": long})
    await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.transport.pause_reading()
    writer.write(b"GET /long HTTP/1.1\r\n\r\n")
    await until(lambda: len(server._server._serving) == 1)
    await until(lambda: not server._server._serving)
    writer.transport.resume_reading()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(2**24)
    writer.transport.abort()
    await server.close()
