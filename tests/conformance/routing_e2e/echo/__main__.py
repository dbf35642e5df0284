"""The application of every workload of routing-e2e: it answers on all ports with what it saw, and calls others as told.

python -m tests.conformance.routing_e2e.echo, told by ECHO (see wire.Settings). What it should call it hears on a unix
socket, which the runner reaches from outside of the lab's network.
"""

import asyncio
import os
import socket
from pathlib import Path

import msgspec

from tests.conformance.routing_e2e.echo import client
from tests.conformance.routing_e2e.echo.server import Log, Port
from tests.conformance.routing_e2e.echo.wire import (
    MAX_LINE_BYTES,
    Call,
    Count,
    CountQuestion,
    Question,
    Results,
    Settings,
)

_ANYWHERE = ("192.0.2.1", 9)  # nothing is sent there


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(_ANYWHERE)
        return str(probe.getsockname()[0])


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: Log) -> None:
    while line := await reader.readline():
        match msgspec.json.decode(line, type=Question):
            case Call() as what:
                answer = Results(await client.call(what))
            case CountQuestion(text):
                answer = Count(log.count(text))
        writer.write(msgspec.json.encode(answer) + b"\n")
        await writer.drain()
    writer.close()


async def _help(settings: Settings) -> None:
    from tests.conformance.routing_e2e.echo import (
        authorizer,  # what it needs costs every other workload memory
    )

    if settings.authorizes:
        await authorizer.serve_authorizer(settings.authorizes)
    if settings.keys:
        await authorizer.serve_keys("0.0.0.0", settings.keys)


async def _run(settings: Settings) -> None:
    log = Log()
    instance = os.environ["MIZZEN_WORKLOAD"]
    for port in settings.ports:
        await Port(settings, port, _own_address(), instance, log).listen()
    if settings.authorizes or settings.keys:
        await _help(settings)
    Path(settings.control).unlink(missing_ok=True)
    control = await asyncio.start_unix_server(
        lambda reader, writer: _answer(reader, writer, log), settings.control, limit=MAX_LINE_BYTES
    )
    Path(settings.control).chmod(0o666)
    await control.serve_forever()


if __name__ == "__main__":
    asyncio.run(_run(msgspec.json.decode(os.environ["ECHO"], type=Settings)))
