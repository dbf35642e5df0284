"""What the terminal shows: the mesh as the daemon reports it, and the processes as the lab reports them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mizzen.admin.schema import MeshStatus, WorkloadStatus
from mizzen.cli.lines import BAD, BUSY, DIM, GOOD


class ProcessState(msgspec.Struct, frozen=True):
    """A process of the lab: its pid, 0 where it does not run, and then how it ended."""

    pid: int = 0
    restarts: int = 0
    ended: str = ""


class InstanceState(msgspec.Struct, frozen=True):
    """A workload's processes; `application` is None for a gateway, `agent` where there is no sidecar."""

    name: str
    namespace: str = ""
    agent: ProcessState | None = ProcessState()
    application: ProcessState | None = None


class LabState(msgspec.Struct, frozen=True):
    """The part of the lab's status that is shown."""

    folder: str = ""
    limits: tuple[str, ...] = ()
    daemon: ProcessState = ProcessState()
    instances: tuple[InstanceState, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of a lab. `mesh` is the last that the daemon said; `silent_seconds` is how long ago, 0 if just now."""

    name: str
    mode: str
    urls: Mapping[str, str]
    mesh: MeshStatus | None
    lab: LabState
    silent_seconds: float = 0.0


def read_mesh(document: Any) -> MeshStatus:
    """The daemon's status document. Raises msgspec.ValidationError where a daemon of another version wrote it."""
    return msgspec.convert(document, type=MeshStatus)


def read_lab(document: Any) -> LabState:
    return msgspec.convert(document, type=LabState)


def state_of(workload: WorkloadStatus) -> tuple[str, str]:
    """A workload's state as style and words, the worst first."""
    if not workload.connected and workload.kind == "application":
        return DIM, "no sidecar"
    if not workload.connected:
        return BAD, "proxy not connected"
    if not workload.healthy:
        return BAD, workload.health_reason or "not healthy"
    rejected = [one.type_name for one in workload.sync if one.state == "rejected"]
    if rejected:
        return BAD, f"refused {', '.join(rejected)}"
    pending = [one.type_name for one in workload.sync if one.state == "pending"]
    if pending:
        return BUSY, f"updating {', '.join(pending)}"
    return GOOD, "in sync"
