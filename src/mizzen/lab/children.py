"""The children of this process, as the kernel lists them; among them are orphans that it has inherited."""

import asyncio
import contextlib
import os
from pathlib import Path

_REAP_PAUSE_SECONDS = 5.0


def children() -> dict[int, str]:
    """Pid -> state, a letter as in ps (Z: ended, and nobody has collected it)."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            # The name stands in parentheses and may hold anything; the state and the parent follow it.
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid():
                found[int(entry.name)] = state
    return found


async def reap_abandoned() -> None:
    """Collect what others have left to us, until cancelled. What we started ourselves is collected at once by its owner,
    so whatever was uncollected at two looks is nobody's.
    """
    before: set[int] = set()
    while True:
        await asyncio.sleep(_REAP_PAUSE_SECONDS)
        uncollected = {pid for pid, state in children().items() if state == "Z"}
        for pid in uncollected & before:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222  # WNOHANG: it never blocks
        before = uncollected
