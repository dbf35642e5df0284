"""What a lab is to the host: its processes, namespaces, interfaces and sockets. All must be gone when it is."""

import os
import weakref
from dataclasses import dataclass
from pathlib import Path

_NAMESPACES = ("net", "mnt", "pid", "user")


@dataclass(frozen=True)
class Process:
    """A pid with its start time, so that a pid used again is not taken for the same process."""

    pid: int
    started: str

    def is_alive(self) -> bool:
        fields = _stat(self.pid)
        return fields is not None and fields[0] != "Z" and fields[19] == self.started


class Namespace:
    """A namespace, held open: the kernel gives the number of one that is gone to the next that anybody makes."""

    def __init__(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, descriptor)
        self.name = Path(f"/proc/self/fd/{descriptor}").readlink().name


@dataclass(frozen=True)
class Traces:
    processes: frozenset[Process]
    namespaces: tuple[Namespace, ...]
    run: Path

    def left(self) -> list[str]:
        """What is still there, in words. A namespace is there while a process is in it."""
        found = [f"process {one.pid}" for one in self.processes if one.is_alive()]
        found += sorted({one.name for one in self.namespaces} & {one.name for one in _namespaces(_pids())})
        return found + ([str(self.run)] if self.run.exists() else [])


def traces_of(root: int, control: str) -> Traces:
    """Of the process (a launcher) and everything below it. Only namespaces that are not the host's."""
    pids = descendants(root)
    own = {one.name for one in _namespaces([os.getpid()])}
    processes = frozenset(Process(pid, fields[19]) for pid in pids if (fields := _stat(pid)) is not None)
    namespaces = tuple(one for one in _namespaces(pids) if one.name not in own)
    return Traces(processes, namespaces, Path(control).parent)


def descendants(root: int) -> list[int]:
    """All children, grandchildren and so on, nearest first."""
    parents = {pid: int(fields[1]) for pid in _pids() if (fields := _stat(pid)) is not None}
    found, new = [], [root]
    while new:
        new = [pid for pid, parent in parents.items() if parent in new]
        found += new
    return found


def interfaces() -> list[str]:
    return sorted(entry.name for entry in Path("/sys/class/net").iterdir())


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str] | None:
    """From the state on: state, parent, ..., and the start time at 19."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _namespaces(pids: list[int]) -> list[Namespace]:
    found = []
    for pid in pids:
        for kind in _NAMESPACES:
            try:
                found.append(Namespace(f"/proc/{pid}/ns/{kind}"))
            except OSError:
                continue
    return found
