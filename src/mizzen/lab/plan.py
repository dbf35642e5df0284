"""What the launcher tells the lab's first process, and what that reports back."""

import msgspec

from mizzen.lab.definition import LabDefinition
from mizzen.lab.modes import Isolation


class Programs(msgspec.Struct, frozen=True):
    """The commands of the daemon and of the agent; tests put stand-ins here."""

    daemon: tuple[str, ...]
    agent: tuple[str, ...]


class Descriptors(msgspec.Struct, frozen=True):
    """Sockets that the launcher opened on the host. `launcher` is this side's end of a pair: it ends with the launcher."""

    launcher: int
    control: int
    admin: int
    ingress: int | None = None
    held: tuple[int, ...] = ()  # locks: theirs are as long as any process of the lab lives

    def all(self) -> tuple[int, ...]:
        ingress = () if self.ingress is None else (self.ingress,)
        return (self.launcher, self.control, self.admin, *ingress, *self.held)


class Plan(msgspec.Struct, frozen=True):
    """One lab, complete: everything that its first process must know."""

    name: str
    isolation: Isolation
    definition: LabDefinition
    folder: str  # the working directory of the commands
    config: tuple[str, ...]  # folders of YAML for the daemon
    state: str  # logs, registry, the daemon's state; stays
    run: str  # sockets; goes with the lab
    network: str  # the block of addresses, such as 10.77.0.0/16
    programs: Programs
    descriptors: Descriptors
    trust_domain: str = "cluster.local"
    ready_seconds: float = 60.0  # how long the lab may take to come up


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    text: str


class Unsupported(msgspec.Struct, frozen=True, tag="unsupported"):
    """The kernel does not grant this isolation; another one may do."""

    reason: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    message: str
    hint: str = ""
    lines: tuple[str, ...] = ()  # the last ones of the log that tells why


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Every application listens and every proxy has its configuration."""


class Stopping(msgspec.Struct, frozen=True, tag="stopping"):
    reason: str


# One report is one packet on the launcher's pair.
MAX_REPORT_BYTES = 64 << 10

Report = Progress | Unsupported | Failed | Ready | Stopping
