"""Which workloads that registered themselves are still there; those that are not are forgotten.

A proxy that leaves one daemon is mostly on its way to another, so that no daemon knows alone who has gone. Each writes
down, every few seconds, which of these workloads are connected to it, and reads what the others have written. Who stands
on no list for a while is forgotten by whichever daemon notices first. No daemon leads, and no two clocks are compared: a
list counts for as long as it is written anew, which every reader measures by its own clock.

To forget is to put aside: a proxy may connect to another daemon in that very moment, which then takes the file back.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mizzen.config.resource import ResourceKey

FOLDER: Final = "presence"
ROUND_SECONDS: Final = 2.0
SILENT_SECONDS: Final = 10.0  # a daemon that has written no list for longer is dead
AWAY_SECONDS: Final = 10.0  # a proxy that is away for longer has left (Istio's grace period)
RETURN_SECONDS: Final = 60.0  # so long those have that were connected to the daemon's predecessor

ENTRY: Final = ".yaml"
_ASIDE: Final = ".left"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _List:
    """What another daemon has written. `since`: when it was first seen, by this daemon's clock."""

    written: tuple[int, int]
    members: frozenset[str]
    since: float


class Presence:
    """`members` is the folder of WorkloadEntries, `lists` that of the daemons' lists, `own` this daemon's name there."""

    def __init__(self, members: Path, lists: Path, own: str, *, monotonic: Callable[[], float]) -> None:
        self._members = members
        self._lists = lists
        self._own = lists / own
        self._monotonic = monotonic
        self._others: dict[Path, _List] = {}
        self._deadlines: dict[Path, float] = {}
        self._problem = ""
        self._started = monotonic()

    async def run(self, connected: Callable[[], Iterable[ResourceKey]]) -> None:
        """Run until cancelled. `connected`: the workloads whose proxies are connected to this daemon."""
        try:
            while True:
                stems = frozenset(map(stem, connected()))
                await asyncio.to_thread(self.look, stems)  # the folder may be on another machine
                await asyncio.sleep(ROUND_SECONDS)
        finally:
            with contextlib.suppress(OSError):  # the others find out by themselves, only later
                self._own.unlink()

    def look(self, connected: frozenset[str]) -> None:
        """One round. Where it cannot read or write, nobody is forgotten, and the next round does what this could not."""
        try:
            self._look(connected)
            problem = ""
        except OSError as error:
            problem = f"cannot keep up which workloads are there: {error}"
            if problem != self._problem:
                _log.warning("%s", problem)
        self._problem = problem

    def _look(self, connected: frozenset[str]) -> None:
        files = [path for path in self._members.iterdir() if path.suffix in {ENTRY, _ASIDE}]
        own = connected.intersection(path.stem for path in files)
        self._write(own)
        self._take_back(path for path in files if path.suffix == _ASIDE and path.stem in own)
        held = own.union(*(each.members for each in self._read_others()))
        self._forget(path for path in files if path.stem not in held)

    def _write(self, own: frozenset[str]) -> None:
        if not own:
            self._own.unlink(missing_ok=True)
            return
        self._lists.mkdir(mode=0o700, exist_ok=True)
        unfinished = self._own.with_suffix(".unfinished")
        unfinished.write_text("\n".join(sorted(own)))
        unfinished.replace(self._own)

    def _take_back(self, aside: Iterable[Path]) -> None:
        for path in aside:
            path.replace(path.with_suffix(ENTRY))

    def _read_others(self) -> Iterator[_List]:
        """The lists of daemons that live."""
        now, known = self._monotonic(), self._others
        self._others = {}
        for path in self._lists.glob("*"):
            if path.suffix or path == self._own:
                continue
            found = _read_list(path, known.get(path), now)
            if found is None:
                continue
            if now - found.since > SILENT_SECONDS:
                path.unlink(missing_ok=True)
                continue
            self._others[path] = found
            yield found

    def _forget(self, absent: Iterable[Path]) -> None:
        now = self._monotonic()
        deadline = max(now + AWAY_SECONDS, self._started + RETURN_SECONDS)
        self._deadlines = {path: self._deadlines.get(path, deadline) for path in absent}
        for path, deadline in self._deadlines.items():
            if now >= deadline:
                _put_aside(path)


def stem(key: ResourceKey) -> str:
    """The name of a member's file, and on a list."""
    return f"{key.namespace}~{key.name}"


def _read_list(path: Path, known: _List | None, now: float) -> _List | None:
    """`known` where it has not been written since. None where it has just been removed."""
    try:
        with (
            path.open() as file
        ):  # not stat alone: a file system of another machine may remember that for long
            stat = os.fstat(file.fileno())
            written = (stat.st_ino, stat.st_mtime_ns)
            if known is not None and known.written == written:
                return known
            return _List(written, frozenset(file.read().split("\n")), now)
    except FileNotFoundError:
        return None


def _put_aside(path: Path) -> None:
    """At the second time for good."""
    with contextlib.suppress(FileNotFoundError):  # another daemon was faster
        if path.suffix == _ASIDE:
            path.unlink()
        else:
            path.rename(path.with_suffix(_ASIDE))
