"""Waiting until the lab is up, and saying in one line why it is not."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from mizzen.errors import UserError
from mizzen.processes import Supervised

_POLL_SECONDS = 0.1
_SAY_SECONDS = 1.0  # whatever takes longer is explained
_NAMED = 3  # of what is missing; the rest is counted
_LAST_LINES = 8
_LAST_BYTES = 4096


class StartupError(UserError):
    """The lab does not come up; `lines` are the last ones of the log that tells why."""

    def __init__(self, message: str, hint: str = "", lines: Sequence[str] = ()) -> None:
        super().__init__(message, hint)
        self.lines = tuple(lines)


async def wait_until_nothing_is_missing(
    missing: Callable[[], Awaitable[Sequence[str]]], say: Callable[[str], None], limit_seconds: float
) -> None:
    """Raises StartupError when the time is up, and whatever `missing` raises."""
    loop = asyncio.get_running_loop()
    began = said = loop.time()
    while names := await missing():
        now = loop.time()
        if now - began > limit_seconds:
            raise StartupError(f"not ready after {limit_seconds:.0f} s: {_listed(names)}")
        if now - said >= _SAY_SECONDS:
            say(f"waiting for {_listed(names)}")
            said = now
        await asyncio.sleep(_POLL_SECONDS)


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def require_no_early_end(name: str, process: Supervised, log: Path) -> None:
    """A process that ends before it was ever ready will do so again. Raises StartupError."""
    if process.last_exit is None:
        return
    lines = last_lines(log)
    raise StartupError(
        f"{name} {process.last_exit} as soon as it started",
        "its last words follow" if lines else f"it wrote nothing to {log}",
        lines,
    )


def last_lines(log: Path) -> tuple[str, ...]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LAST_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ()
    return tuple(text.splitlines()[-_LAST_LINES:])
