"""A folder of YAML, watched.

The operating system's notifications only wake the source; what changed it finds by looking. So a notification that is
lost, a folder that is swapped by a symbolic link and a file system without notifications cost time, never correctness.
"""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol, Self

from watchfiles._rust_notify import RustNotify

from mizzen.config.decode import Decoded, decode
from mizzen.config.diagnostics import Diagnostic
from mizzen.config.resource import Located, Location, ResourceKey
from mizzen.sources.change import Change
from mizzen.sources.holdings import Holdings
from mizzen.sources.tree import Signature, Tree, look, look_at

MAX_FILE_BYTES: Final = 16 * 1024 * 1024

_QUIET_MS: Final = 15  # files are read once nothing happened for so long: programs write in several steps
_LONGEST_BURST_MS: Final = 250  # but while something happens all the time, at least so often
_DOUBT_MS: Final = (
    100  # until a file that vanished or became empty is believed: editors do both when they save
)
_LOOK_ANYWAY_MS: Final = 5_000  # at everything, since notifications can be lost
_MOST_LOOKING: Final = 0.01  # of the time: the more there is, the rarer it is looked at without a reason
_POLL_MS: Final = 300  # where there are no notifications at all


class Watcher(Protocol):
    """watchfiles' RustNotify: waits in a thread for something to happen in folders."""

    def watch(self, debounce: int, step: int, timeout: int, stop_event: Any, /) -> Any:
        """Changes as (kind, path), or a word for why there are none. Arguments in milliseconds."""


Watch = Callable[[list[str]], AbstractContextManager[Watcher]]
"""Starts to watch folders, not what is below them. Raises OSError where the system cannot."""


def watch_by_notifications(folders: list[str]) -> AbstractContextManager[Watcher]:
    debug, force_polling, recursive, ignore_permission_denied = False, False, False, True
    return RustNotify(folders, debug, force_polling, _POLL_MS, recursive, ignore_permission_denied)


class FileSource:
    """The objects in some files and folders (with their subfolders).

    `ignore`: names of files that are somebody else's. Hidden files and folders, and files in folders that do not
    end in .yaml or .yml, are ignored as well. Nothing is queued: a consumer that is slow gets the sum of all changes.
    """

    def __init__(
        self,
        paths: Iterable[str | Path],
        *,
        ignore: Collection[str] = ("lab.yaml",),
        max_file_bytes: int = MAX_FILE_BYTES,
        watch: Watch = watch_by_notifications,
    ) -> None:
        self._roots = tuple(map(Path, paths))
        self._ignore = frozenset(ignore)
        self._max_file_bytes = max_file_bytes
        self._watch = watch
        self._tree = Tree()
        self._read_as: dict[str, Signature] = {}  # file -> what it was when it was read
        self._doubted: frozenset[str] = frozenset()
        self._next_look = 0.0  # at everything; by the event loop's clock
        self._holdings = Holdings()
        self._watch_problem: Diagnostic | None = None
        self._problems: tuple[Diagnostic, ...] = ()  # of watching and of folders

    @property
    def located(self) -> Mapping[ResourceKey, Located]:
        """What is in force now, with its places."""
        return self._holdings.located

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All that is wrong now."""
        return (*self._problems, *self._holdings.diagnostics)

    def load(self) -> Change:
        """Look once, without watching: for commands that work offline."""
        tree = look(self._roots, self._ignore)
        self._problems = tuple(tree.problems)
        return self._take(tree, self._read(self._outdated(tree, frozenset())))

    async def changes(self) -> AsyncGenerator[Change, None]:
        """The first change is the initial load, and comes even if it is empty. Ends only by being closed.

        A change without objects says that positions or diagnostics are new.
        """
        yield await self._refresh(frozenset()) or Change()
        while True:
            folders = frozenset(self._tree.folders)
            with self._start_watching(sorted(folders)) as watcher:
                # What happened before the watcher stood was notified to nobody: look again before waiting.
                touched: frozenset[str] = frozenset()
                while True:
                    if (change := await self._refresh(touched)) is not None:
                        yield change
                    if self._tree.folders != folders:
                        break
                    touched = await self._wait(watcher)

    def _start_watching(self, folders: list[str]) -> AbstractContextManager[Watcher]:
        try:
            watcher = self._watch(folders)
        except OSError as error:
            message = f"the system does not tell of changed files ({error}); Mizzen looks every {_POLL_MS} ms"
            self._watch_problem = Diagnostic("MZ0006", message)
            return _Polling()
        self._watch_problem = None
        return watcher

    async def _wait(self, watcher: Watcher) -> frozenset[str]:
        """Until something happens, or it is time to look anyway. Returns the paths that were touched."""
        stop = threading.Event()
        until_look_ms = max(1, int((self._next_look - asyncio.get_running_loop().time()) * 1000))
        timeout_ms = min(_DOUBT_MS, until_look_ms) if self._doubted else until_look_ms
        waiting = asyncio.ensure_future(
            asyncio.to_thread(watcher.watch, _LONGEST_BURST_MS, _QUIET_MS, timeout_ms, stop)
        )
        try:
            events = await asyncio.shield(waiting)
        except asyncio.CancelledError:
            stop.set()
            await waiting  # the watcher must not be closed under its thread
            raise
        return frozenset() if isinstance(events, str) else frozenset(path for _, path in events)

    async def _refresh(self, touched: frozenset[str]) -> Change | None:
        """Look at the disk, and read what is outdated. None: nothing is new.

        In threads: to stat thousands of files and to decode megabytes would block the event loop. What was touched is
        looked at alone where that is enough; now and then everything is, whatever was told.
        """
        tree = self._look_at(touched)
        if tree is not None:
            outdated = self._rewritten(tree, touched)
        else:
            tree = await self._look()
            outdated = self._outdated(tree, touched)
        believed = self._believe(outdated)
        problems = (*((self._watch_problem,) if self._watch_problem else ()), *tree.problems)
        if not believed and problems == self._problems:
            self._tree = tree
            return None
        self._problems = problems
        return self._take(tree, await asyncio.to_thread(self._read, believed))

    def _look_at(self, touched: frozenset[str]) -> Tree | None:
        """Only at what was touched; None where that is not enough."""
        if not touched or self._doubted or asyncio.get_running_loop().time() >= self._next_look:
            return None
        return look_at(self._tree, touched, self._ignore)

    async def _look(self) -> Tree:
        loop = asyncio.get_running_loop()
        began = loop.time()
        tree = await asyncio.to_thread(look, self._roots, self._ignore)
        took = loop.time() - began
        self._next_look = loop.time() + max(_LOOK_ANYWAY_MS / 1000, took / _MOST_LOOKING)
        return tree

    def _rewritten(self, tree: Tree, touched: frozenset[str]) -> dict[str, Signature | None]:
        """Files to be read again where only these were looked at; none of them is gone.

        A file that was touched is read again even if it looks the same: a clock may be too coarse to tell.
        """
        return {path: tree.files[path] for path in sorted(touched) if path in tree.files}

    def _outdated(self, tree: Tree, touched: frozenset[str]) -> dict[str, Signature | None]:
        """Files to be read again, and (None) those that are gone. Paths may have several names, file names one."""
        names = {path.rpartition(os.sep)[2] for path in touched}
        outdated: dict[str, Signature | None] = {
            name: signature
            for name, signature in tree.files.items()
            if signature != self._read_as.get(name) or (names and name.rpartition(os.sep)[2] in names)
        }
        gone = (name for name in self._read_as if name not in tree.files and tree.knows(name))
        return outdated | dict.fromkeys(gone)

    def _believe(self, outdated: dict[str, Signature | None]) -> dict[str, Signature | None]:
        """Without the files that vanished or became empty only just now: they are believed at the next look."""
        doubtful = frozenset(
            name
            for name, signature in outdated.items()
            if (signature is None or signature.size_bytes == 0) and self._holdings.holds_any(name)
        )
        news = doubtful - self._doubted
        self._doubted = news
        return {name: signature for name, signature in outdated.items() if name not in news}

    def _read(self, outdated: Mapping[str, Signature | None]) -> dict[str, Decoded | None]:
        return {
            name: None if signature is None else _decode_file(name, self._max_file_bytes)
            for name, signature in outdated.items()
        }

    def _take(self, tree: Tree, readings: Mapping[str, Decoded | None]) -> Change:
        self._tree = tree
        for name, reading in readings.items():
            if reading is None:
                del self._read_as[name]
            else:
                self._read_as[name] = tree.files[name]
        return self._holdings.update(readings)


class _Polling:
    """Stands for a watcher where the system tells nothing: it only waits."""

    def watch(self, _debounce: int, _step: int, timeout: int, stop_event: threading.Event, /) -> str:
        stop_event.wait(min(timeout, _POLL_MS) / 1000)
        return "timeout"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _decode_file(name: str, max_bytes: int) -> Decoded:
    try:
        # Path interns each part of a name, and CPython's table of interned strings uses no place twice before it is built anew:
        # with files that are read again and again it grows by megabytes.
        with open(name, "rb") as file:  # noqa: PTH123  # Path interns
            data = file.read(max_bytes + 1)
    except OSError as error:
        return _unreadable("MZ0005", name, f"the file cannot be read: {error.strerror or error}")
    if len(data) > max_bytes:
        return _unreadable("MZ0003", name, f"the file is larger than {max_bytes:,} bytes")
    return decode(data, name)


def _unreadable(code: str, name: str, message: str) -> Decoded:
    return Decoded(diagnostics=(Diagnostic(code, message, None, (), Location(name, 1, 1)),), complete=False)
