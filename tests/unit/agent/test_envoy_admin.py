"""Calls to Envoy's admin interface, against a server that answers from a script."""

import asyncio
from pathlib import Path

import pytest

from mizzen.agent.envoy_admin import AdminError, EnvoyAdmin


@pytest.fixture
async def admin(tmp_path, monkeypatch):
    """`admin.answer` is what the next call gets; `admin.asked` is what it sent."""
    monkeypatch.chdir(tmp_path)

    class Scripted(EnvoyAdmin):
        answer = b""
        asked = b""

    async def serve(reader, writer):
        Scripted.asked = await reader.readuntil(b"\r\n\r\n")
        writer.write(Scripted.answer)
        writer.close()

    server = await asyncio.start_unix_server(serve, "admin")
    yield Scripted(Path("admin"))
    server.close()
    await server.wait_closed()


async def test_stats_are_numbers_by_name(admin):
    chunks = b"8\r\na.b: 12\n\r\n" + b"1c\r\nc: 0\nno number: Not a digit\n\r\n" + b"0\r\n\r\n"
    type(admin).answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    assert await admin.stats("x") == {"a.b": 12, "c": 0}
    assert admin.asked.startswith(b"GET /stats?filter=x HTTP/1.1\r\n")


async def test_a_body_may_end_with_the_connection(admin):
    type(admin).answer = b"HTTP/1.1 200 OK\r\n\r\nOK\n"
    assert await admin.post("/drain_listeners") == b"OK\n"
    assert admin.asked.startswith(b"POST /drain_listeners HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "Envoy's admin interface does not answer"),
        (b"HTTP/1.1 404 Not Found\r\n\r\nno such page", "answered 404 Not Found: no such page"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "does not answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", "longer than"),
    ],
)
async def test_a_bad_answer_is_one_line(admin, answer, words):
    type(admin).answer = answer
    with pytest.raises(AdminError, match=words):
        await admin.get("/x")


async def test_the_version_is_that_of_the_release(admin):
    type(
        admin
    ).answer = b'HTTP/1.1 200 OK\r\n\r\n{\n "version": "ab12/1.40.0/Clean/RELEASE/BoringSSL",\n "x": 1\n}'
    assert await admin.version() == "1.40.0"
    type(admin).answer = b"HTTP/1.1 200 OK\r\n\r\n{}"
    with pytest.raises(AdminError, match="which version"):
        await admin.version()


async def test_no_envoy(tmp_path):
    with pytest.raises(AdminError, match="does not answer"):
        await EnvoyAdmin(tmp_path / "none").get("/x")
