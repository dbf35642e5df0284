"""A running lab for tests: its own copy of a folder, and everything that can be asked of it.

with running_lab(BOOKINFO, mode=Mode.ROOTED) as lab:
    status, headers, body = lab.request("productpage-v1", "http://reviews:9080/reviews/0")
    lab.signal("envoy", "reviews-v1", "SIGKILL")
"""

import json
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mizzen.lab.client import ask
from mizzen.lab.commands import PROGRAMS
from mizzen.lab.definition import LabDefinition, Workload
from mizzen.lab.launcher import LabHandle, Options, UnsupportedHereError, launch
from mizzen.lab.modes import Mode
from mizzen.lab.plan import Programs
from mizzen.lab.protocol import (
    AddRequest,
    CallRequest,
    Done,
    LabStatus,
    RemoveRequest,
    Response,
    Responses,
    SignalRequest,
    StatusRequest,
)
from mizzen.lab.reading import FILE, read_definition
from mizzen.lab.request import exchange
from mizzen.lab.state import LabFile

BOOKINFO = Path(__file__).parents[2] / "samples" / "bookinfo"
LIMIT_SECONDS = 90.0  # for a machine that does much else; what works is awaited for no longer than it takes


@dataclass(frozen=True)
class Lab:
    """`folder` is a private copy: edit it and the mesh changes. `said` collects the progress lines."""

    handle: LabHandle
    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def file(self) -> LabFile:
        return self.handle.lab

    def request(
        self, source: str, url: str, headers: Mapping[str, str] | None = None, **call: Any
    ) -> tuple[int, dict[str, str], bytes]:
        """One request from inside a workload. Status 0: no answer, the body says why. `call`: fields of CallRequest."""
        return _plain(self.requests(source, url, headers, count=1, **call)[0])

    def requests(
        self, source: str, url: str, headers: Mapping[str, str] | None = None, *, count: int, **call: Any
    ) -> Sequence[Response]:
        """Many, one after the other, each on a connection of its own."""
        request = CallRequest(source, url, headers=dict(headers or {}), count=count, **call)
        return ask(self.file.control, request, Responses, 600.0).responses

    def ingress(
        self, path: str, headers: Mapping[str, str] | None = None, **call: Any
    ) -> tuple[int, dict[str, str], bytes]:
        """One request from the host, through the gateway."""
        url = self.file.ingress_url + path
        return _plain(exchange(CallRequest("ingress", url, headers=dict(headers or {}), **call)))

    def signal(self, part: str, workload: str = "", number: str = "SIGKILL") -> None:
        """To the daemon, or to the agent, envoy or app of a workload."""
        ask(self.file.control, SignalRequest(part, number, workload), Done)

    def add(self, workload: Workload) -> None:
        ask(self.file.control, AddRequest(workload), Done)

    def remove(self, workload: str) -> None:
        """Drains and stops it; returns when it is gone."""
        ask(self.file.control, RemoveRequest(workload), Done)

    def status(self) -> LabStatus:
        return ask(self.file.control, StatusRequest(), LabStatus)

    def address(self, name: str) -> str:
        """Of an instance, or of a workload's first."""
        return next(one.address for one in self.status().instances if one.is_called(name))

    def admin(self, path: str) -> Any:
        """A document of the daemon's admin API, such as /api/v1/status."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.file.admin_url + path, timeout=10) as answer:
            return json.load(answer)

    def log(self, name: str) -> str:
        """What was written to logs/<name>.log, such as daemon or reviews-v1-0.proxy."""
        return (Path(self.file.state) / "logs" / f"{name}.log").read_text()


@contextmanager
def running_lab(
    folder: Path | None = None,
    mode: Mode | None = None,
    *,
    definition: LabDefinition | None = None,
    programs: Programs = PROGRAMS,
    agent_options: Sequence[str] = (),
    state_root: Path | None = None,
    **options: Any,
) -> Iterator[Lab]:
    """Up and down again. Skips the test where this machine does not have the mode, and says why."""
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="mizzen-test-") as scratch:
        copy = Path(scratch) / "folder"
        if folder is None:
            copy.mkdir()
        else:
            shutil.copytree(folder, copy)
        choice = Options(
            definition=definition or read_definition(copy / FILE),
            folder=copy,
            config=(copy,),
            state_root=state_root or Path(scratch),
            mode=mode,
            programs=replace_agent_options(programs, agent_options),
            **options,
        )
        try:
            handle = launch(choice, said.append)
        except UnsupportedHereError as error:
            pytest.skip(f"could not run here: {error}")
        with handle:
            yield Lab(handle, copy, said)


def replace_agent_options(programs: Programs, options: Sequence[str]) -> Programs:
    """The agent with further options, such as --cert-ttl 20."""
    return Programs(daemon=programs.daemon, agent=(*programs.agent, *options))


def until(
    holds: Callable[[], Any], what: str | Callable[[], str], limit_seconds: float = LIMIT_SECONDS
) -> Any:
    """Ask again and again until the answer is true; answers it. `what` is said where the time is up."""
    deadline = time.monotonic() + limit_seconds
    while not (answer := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_seconds:g} s: {what() if callable(what) else what}")
        time.sleep(0.05)
    return answer


def _plain(response: Response) -> tuple[int, dict[str, str], bytes]:
    headers = {name.lower(): value for name, value in response.headers}
    return response.status, headers, response.body or response.error.encode()
