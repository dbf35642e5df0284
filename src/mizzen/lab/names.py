"""The table of service names for the sidecars' DNS: asked from the daemon, written where every agent watches it."""

import asyncio
from pathlib import Path

import msgspec

from mizzen.lab.local_http import get

_POLL_SECONDS = 0.5
_ANSWER_SECONDS = 5.0


class _Names(msgspec.Struct):
    names: dict[str, tuple[str, ...]]


async def keep_names(admin_socket: Path, table: Path) -> None:
    """Runs until cancelled. While the daemon is away the last table stays."""
    written: bytes | None = None
    while True:
        names = await _ask(admin_socket)
        if names is not None and names != written:
            unfinished = table.with_suffix(".new")
            unfinished.write_bytes(names)
            unfinished.replace(table)
            written = names
        await asyncio.sleep(_POLL_SECONDS)


async def _ask(admin_socket: Path) -> bytes | None:
    answer = await get(admin_socket, "/api/v1/names", _ANSWER_SECONDS)
    if answer is None or answer[0] != 200:
        return None
    try:
        return msgspec.json.encode(msgspec.json.decode(answer[1], type=_Names).names, order="sorted")
    except msgspec.DecodeError:
        return None
