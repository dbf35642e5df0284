"""The control protocol: JSON lines on the lab's unix socket. One request a line, one answer a line.

{"type": "status"}  ->  {"type": "lab", "name": "bookinfo", ...}
"""

from collections.abc import Mapping

import msgspec

from mizzen.lab.definition import Workload
from mizzen.lab.modes import Mode

MAX_LINE_BYTES = 8 << 20


def is_called(name: str, namespace: str, workload: str, instance: str) -> bool:
    """Whether a user means the instance by this name: the workload's or its own, with or without the namespace."""
    wanted, slash, rest = name.rpartition("/")
    return rest in {instance, workload} and (not slash or wanted == namespace)


class StatusRequest(msgspec.Struct, frozen=True, tag="status"):
    """Answered by LabStatus."""


class CallRequest(msgspec.Struct, frozen=True, tag="call"):
    """Send HTTP requests from a workload, as its application would: through its sidecar. Answered by Responses."""

    source: str  # a workload or one of its instances, with or without "namespace/"; or "outside"
    url: str
    method: str = "GET"
    headers: dict[str, str] = {}
    body: bytes = b""
    count: int = 1  # one after the other, each on a connection of its own
    timeout_seconds: float = 15.0


class StopRequest(msgspec.Struct, frozen=True, tag="stop"):
    """End the lab gracefully. Answered by Done at once; the lab has ended when its lock is free."""


class SignalRequest(msgspec.Struct, frozen=True, tag="signal"):
    """Send a signal to a part of the lab; what dies of it is started again. Answered by Done."""

    part: str  # daemon, agent, envoy or app
    signal: str  # its name, such as SIGKILL
    workload: str = ""  # unless the part is the daemon


class AddRequest(msgspec.Struct, frozen=True, tag="add"):
    """One more workload, with a Service of its own. Answered by Done once it is ready."""

    workload: Workload


class RemoveRequest(msgspec.Struct, frozen=True, tag="remove"):
    """Drain and stop the instances of a workload, and take them out of the registry. Answered by Done."""

    workload: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    pass


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The request cannot be served: one line for the user."""

    message: str
    hint: str = ""


class Response(msgspec.Struct, frozen=True):
    """What came back; status 0 and `error` where nothing did."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    error: str = ""
    seconds: float = 0.0  # from the first byte sent to the last received


class Responses(msgspec.Struct, frozen=True, tag="responses"):
    responses: tuple[Response, ...]


class ProcessStatus(msgspec.Struct, frozen=True):
    """pid counts in the lab's PID namespace; 0 while it does not run, and then `ended` says how it ended."""

    pid: int
    restarts: int
    ended: str = ""


class InstanceStatus(msgspec.Struct, frozen=True):
    name: str
    namespace: str
    workload: str
    address: str
    ports: tuple[int, ...]
    ready: bool
    agent: ProcessStatus | None  # None for a workload without a sidecar
    application: ProcessStatus | None  # None for a gateway
    logs: Mapping[str, str]  # app, proxy -> path, of what it runs

    def is_called(self, name: str) -> bool:
        return is_called(name, self.namespace, self.workload, self.name)


class LabStatus(msgspec.Struct, frozen=True, tag="lab"):
    name: str
    mode: Mode
    folder: str
    state: str
    ready: bool
    limits: tuple[str, ...]  # what this mode cannot show
    daemon: ProcessStatus
    daemon_log: str
    instances: tuple[InstanceStatus, ...]


Request = StatusRequest | CallRequest | StopRequest | SignalRequest | AddRequest | RemoveRequest
Answer = LabStatus | Responses | Done | Refused
