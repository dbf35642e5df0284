"""What a workload's proxy is to be started with: asked from the daemon, given to the agent as options."""

import asyncio
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

import msgspec

from mizzen.admin.schema import ProxyStart
from mizzen.lab.capture import INTERCEPTION_MODE
from mizzen.lab.local_http import get

_ANSWER_SECONDS = 5.0
_TRIES = 40
_PAUSE_SECONDS = 0.05  # about as long as a file takes to be noticed


async def ask_proxy_start(admin_socket: Path, workload: str) -> ProxyStart:
    """For "namespace/name", as soon as the daemon has read of it; the defaults where it does not answer: a proxy with
    them is better than none.
    """
    path = f"/api/v1/workloads/{workload}/proxy-start"
    for _ in range(_TRIES):
        answer = await get(admin_socket, path, _ANSWER_SECONDS)
        if answer is None or answer[0] != HTTPStatus.NOT_FOUND:
            break
        await asyncio.sleep(_PAUSE_SECONDS)
    if answer is None or answer[0] != HTTPStatus.OK:
        return ProxyStart()
    return msgspec.json.decode(answer[1], type=ProxyStart)


def options(start: ProxyStart) -> Iterator[str]:
    """The agent's command line."""
    single = {
        "--concurrency": start.concurrency,
        "--listener-drain-seconds": start.listener_drain_seconds,
        "--drain-seconds": start.drain_seconds,
        "--max-connections": start.max_connections,
        "--outbound-port": start.outbound_port,
        "--inbound-port": start.inbound_port,
    }
    for name, value in single.items():
        if value is not None:
            yield from (name, str(value))
    for name, values in (("--env", start.environment), ("--runtime", start.runtime)):
        for key, text in values.items():
            yield from (name, f"{key}={text}")
    for kept in start.statistics:
        yield from ("--keep-statistic", kept)


def interception(start: ProxyStart, annotations: Mapping[str, str]) -> tuple[str, ...]:
    """The mesh's mode of capture, where the workload's own annotation does not choose one."""
    if start.interception is None or INTERCEPTION_MODE in annotations:
        return ()
    return ("--interception", start.interception.lower())
