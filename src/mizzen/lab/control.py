"""Answers the control socket: what `status`, `logs`, `curl`, `down` and the tests ask of a running lab."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable

import msgspec

from mizzen.ca.files import StateError
from mizzen.errors import UserError
from mizzen.lab.commands import AGENT_PORT, call_command
from mizzen.lab.definition import OUTSIDE
from mizzen.lab.local_http import get
from mizzen.lab.plan import Plan
from mizzen.lab.protocol import (
    MAX_LINE_BYTES,
    AddRequest,
    Answer,
    CallRequest,
    Done,
    Refused,
    RemoveRequest,
    Request,
    Response,
    Responses,
    SignalRequest,
    StatusRequest,
    StopRequest,
)
from mizzen.lab.supervisor import Supervisor
from mizzen.lab.unit import Unit
from mizzen.processes import StartError, run

_MAX_CALLS = 10_000
_AGENT_SECONDS = 5.0


class Control:
    """Serves each connection by itself; requests on one connection are answered in order."""

    def __init__(self, plan: Plan, supervisor: Supervisor, stop: Callable[[str], None]) -> None:
        self._plan = plan
        self._supervisor = supervisor
        self._stop = stop

    async def serve(self, listener: socket.socket) -> asyncio.Server:
        return await asyncio.start_unix_server(self._serve_connection, sock=listener, limit=MAX_LINE_BYTES)

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            OSError, ValueError, asyncio.CancelledError
        ):  # ValueError: the line was too long
            while line := await reader.readline():
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, line: bytes) -> Answer:
        try:
            return await self._serve(msgspec.json.decode(line, type=Request))
        except UserError as error:
            return Refused(error.message, error.hint)
        except (msgspec.DecodeError, StartError, StateError, OSError) as error:
            return Refused(str(error))

    async def _serve(self, request: Request) -> Answer:
        match request:
            case StatusRequest():
                return self._supervisor.status()
            case CallRequest():
                return await self._call(request)
            case StopRequest():
                self._stop("stopped by request")
            case SignalRequest():
                await self._signal(request)
            case AddRequest():
                await self._supervisor.add(request.workload)
            case RemoveRequest():
                await self._supervisor.remove(self._supervisor.find(request.workload))
        return Done()

    async def _call(self, request: CallRequest) -> Responses:
        if not 1 <= request.count <= _MAX_CALLS:
            raise UserError(f"count must be 1 to {_MAX_CALLS}, not {request.count}")
        instance = None if request.source == OUTSIDE else self._supervisor.find(request.source)[0].instance
        limit_seconds = request.timeout_seconds * request.count + 5
        finished = await run(
            call_command(self._plan, instance),
            msgspec.json.encode(request),
            timeout_seconds=limit_seconds,
        )
        if not finished.exit.ok:
            raise UserError(f"the request from {request.source} {finished.exit}", finished.stderr[-500:])
        return Responses(msgspec.json.decode(finished.stdout, type=tuple[Response, ...]))

    async def _signal(self, request: SignalRequest) -> None:
        try:
            number = signal.Signals[request.signal]
        except KeyError:
            raise UserError(f"{request.signal} is no signal", "use a name such as SIGTERM") from None
        if request.part == "daemon":
            pids = [self._supervisor.daemon.pid]
        else:
            pids = [await _pid_of(unit, request.part) for unit in self._supervisor.find(request.workload)]
        for pid in pids:
            if pid is None:
                raise UserError(f"the {request.part} is not running")
            os.kill(pid, number)


async def _pid_of(unit: Unit, part: str) -> int | None:
    match part:
        case "agent":
            return unit.agent.pid if unit.agent is not None else None
        case "app":
            return unit.application.pid if unit.application is not None else None
        case "envoy":
            if unit.agent is None:
                return None
            answer = await get((unit.instance.place.address, AGENT_PORT), "/status", _AGENT_SECONDS)
            return msgspec.json.decode(answer[1])["envoy"]["pid"] if answer is not None else None
    raise UserError(f"{part!r} is no part of a lab", "daemon, agent, envoy and app are")
