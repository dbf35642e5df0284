"""Probes of the application: each way to ask, and what a row of results means."""

import asyncio
import contextlib
import sys
from contextlib import asynccontextmanager

import pytest

from mizzen.agent.probe import Prober, Verdict, failure_of, read_probe


def probe(text: str):
    found = read_probe(text)
    assert found is not None
    return found


@asynccontextmanager
async def server(answer: bytes):
    heard: list[bytes] = []

    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):  # a probe by TCP says nothing
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], heard
    finally:
        listening.close()
        await asyncio.sleep(0.01)  # until the connections have ended, too


@pytest.mark.parametrize(("status", "well"), [(200, True), (302, True), (404, False), (503, False)])
async def test_http_is_well_from_200_to_399(status, well):
    async with server(f"HTTP/1.1 {status} X\r\n\r\n".encode()) as (port, heard):
        header = '"httpHeaders": [{"name": "x-probe", "value": "1"}]'
        found = await failure_of(probe(f'{{"httpGet": {{"port": {port}, "path": "/health", {header}}}}}'))
    assert (found == "") is well
    assert heard[0].startswith(b"GET /health HTTP/1.1\r\n")
    assert b"x-probe: 1\r\n" in heard[0]
    if not well:
        assert str(status) in found


async def test_tcp_is_well_where_somebody_listens():
    async with server(b"") as (port, _):
        assert await failure_of(probe(f'{{"tcpSocket": {{"port": {port}}}}}')) == ""
    assert "its probe failed" in await failure_of(probe(f'{{"tcpSocket": {{"port": {port}}}}}'))


async def test_a_command_is_well_where_it_ends_with_0():
    for status, reason in ((0, ""), (3, f"{sys.executable} ended with 3")):
        command = f'["{sys.executable}", "-c", "raise SystemExit({status})"]'
        assert await failure_of(probe(f'{{"exec": {{"command": {command}}}}}')) == reason


async def test_what_does_not_answer_in_time_is_not_well():
    command = f'["{sys.executable}", "-c", "import time; time.sleep(60)"]'
    found = await failure_of(probe(f'{{"timeoutSeconds": 1, "exec": {{"command": {command}}}}}'))
    assert found == "its probe got no answer within 1 s"


def test_the_first_success_makes_well_and_a_row_of_failures_unwell():
    verdict = Verdict(success_threshold=1, failure_threshold=3)
    assert verdict.reason
    verdict.take("refused")
    assert verdict.reason == "refused"
    seen = []
    for failure in ("", "a", "b", "", "a", "b", "c", ""):
        verdict.take(failure)
        seen.append(verdict.reason)
    assert seen == ["", "", "", "", "", "", "c", ""]


def test_several_successes_may_be_asked():
    verdict = Verdict(success_threshold=2, failure_threshold=1)
    verdict.take("")
    assert verdict.reason
    verdict.take("")
    assert not verdict.reason


async def test_another_probe_takes_the_place_of_the_last_and_none_ends_it():
    changes = []
    prober = Prober(lambda: changes.append(prober.reason), sleep=lambda _seconds: asyncio.sleep(0))
    async with server(b"HTTP/1.1 200 OK\r\n\r\n") as (port, _):
        prober.set(probe(f'{{"httpGet": {{"port": {port}}}}}'))
        assert prober.reason == "the application has not answered its probe yet"
        async with asyncio.timeout(5):
            while prober.reason:
                await asyncio.sleep(0.01)
    prober.set(None)
    assert prober.reason == ""
    assert changes[:2] == ["the application has not answered its probe yet", ""]


def test_what_cannot_be_read_is_no_probe():
    assert read_probe("") is None
    assert read_probe("{") is None
