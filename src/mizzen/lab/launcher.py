"""Starts a lab from the host and holds it: the lab lives as long as the `LabHandle`, and dies with this process."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from mizzen.errors import UserError
from mizzen.lab import host_sockets, modes, registry
from mizzen.lab.commands import PROGRAMS
from mizzen.lab.definition import LabDefinition, Workload
from mizzen.lab.modes import Isolation, Mode
from mizzen.lab.plan import (
    MAX_REPORT_BYTES,
    Descriptors,
    Failed,
    Plan,
    Programs,
    Progress,
    Ready,
    Report,
    Stopping,
    Unsupported,
)
from mizzen.lab.startup import StartupError
from mizzen.lab.state import Claim, LabFile, cannot_write, claim, forget, publish
from mizzen.processes import Exit

_NAMESPACE_BLOCK = "10.77.0.0/16"  # the same in every lab: nobody outside sees it
_RUN_PARENT = Path("/tmp")  # noqa: S108  # mkdtemp makes the folder; sockets need a short path
_STOP_SECONDS = 20.0
_KILL_SECONDS = 10.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `mizzen up` was asked for. `port` and `mode` None: the lab chooses. `extra` workloads get a Service each."""

    definition: LabDefinition
    extra: tuple[Workload, ...] = ()
    folder: Path  # the working directory of the commands
    config: tuple[Path, ...]
    state_root: Path
    name: str | None = None
    port: int | None = None
    mode: Mode | None = None
    programs: Programs = PROGRAMS
    ready_seconds: float = 60.0


class LabHandle:
    """A lab that is up. Use it as a context manager, or call `stop`."""

    def __init__(self, lab: LabFile, isolation: Isolation, reports: "_Reports", keeper: "_Keeper") -> None:
        self.lab = lab
        self.limits = modes.limits(isolation)
        self._reports = reports
        self._keeper = keeper

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None:
            self.stop()
        else:  # a second Ctrl-C, for example: whoever is in a hurry does not wait for the sidecars
            self.kill()

    @property
    def has_ended(self) -> bool:
        return self._keeper.process.poll() is not None

    @property
    def keeper_pid(self) -> int:
        """On the host; every process of the lab descends from it."""
        return self._keeper.process.pid

    def next_report(self, timeout_seconds: float | None = None) -> Report | None:
        """What the lab says next; None when the time is up or (then `has_ended` holds soon) when it will say no more."""
        return self._reports.next(timeout_seconds)

    def stop(self, say: Say = lambda _text: None) -> None:
        """End the lab gracefully, killing what takes too long. Nothing of it is left afterwards but its logs."""
        self._keeper.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            report = self._reports.next(left)
            if report is None:
                break
            if isinstance(report, Progress):
                say(report.text)
        self.kill()

    def kill(self) -> None:
        """End the lab at once."""
        self._reports.close()
        self._keeper.wait_until_gone()

    def ended_well(self) -> bool:
        """Waits for the end, which is near when there are no more reports; False where the lab died."""
        self._keeper.wait_until_gone()
        return self._keeper.process.returncode == 0

    def how_it_ended(self) -> str:
        """After the end: a line for people."""
        status = self._keeper.process.returncode
        if status == 0:
            return "the lab has ended"
        # The keeper says as a shell does by which signal its child was killed.
        return f"the lab's first process {Exit(128 - status if status > 128 else status)}"


def launch(options: Options, say: Say) -> LabHandle:
    """Bring up a lab; progress goes to `say`. Raises UserError; then nothing is left but the logs."""
    try:
        return _launch(options, say)
    except OSError as error:
        raise cannot_write(options.state_root, error) from None


def _launch(options: Options, say: Say) -> LabHandle:
    name = options.name or options.definition.name or options.folder.name or "lab"
    with contextlib.ExitStack() as ours:
        ingress = _open_ingress(options)
        if ingress is not None:
            ours.enter_context(ingress)
        admin = ours.enter_context(host_sockets.open_next_port(host_sockets.ADMIN_PORT, "the console"))
        claimed = claim(options.state_root, name, exact=options.name is not None)
        ours.callback(os.close, claimed.lock)
        for workload in options.extra:
            registry.serve(claimed.registry, workload)
        sockets = _HostSockets(admin, ingress)
        reasons = []
        for isolation in modes.attempts(options.mode):
            try:
                return _attempt(options, claimed, sockets, isolation, say)
            except _UnsupportedError as refused:
                reasons.append(f"{_name_of(isolation)}: {refused}")
        raise UnsupportedHereError(
            f"this machine cannot run the lab ({'; '.join(reasons)})", _advice(options.mode)
        )


def _advice(forced: Mode | None) -> str:
    if forced is None:
        return "see the log in the lab's state folder"
    return "leave out --mode to have the best possible mode chosen"


def _name_of(isolation: Isolation) -> str:
    return f"{isolation.mode} in a user namespace" if isolation.user else str(isolation.mode)


class UnsupportedHereError(UserError):
    """The kernel grants nothing that the lab could run in."""


class _UnsupportedError(Exception):
    """Such an isolation does not work here; the message says why."""


@dataclass(frozen=True, slots=True)
class _HostSockets:
    admin: socket.socket
    ingress: socket.socket | None

    @property
    def ingress_url(self) -> str:
        return _url(self.ingress) if self.ingress is not None else ""

    @property
    def admin_url(self) -> str:
        return _url(self.admin)


def _url(listener: socket.socket) -> str:
    return f"http://localhost:{listener.getsockname()[1]}"


def _open_ingress(options: Options) -> socket.socket | None:
    if options.definition.ingress is None:
        if options.port is not None:
            raise UserError("--port is of no use: the lab has no ingress", "write one in lab.yaml")
        return None
    if options.port is not None:
        return host_sockets.open_port(options.port, "the ingress")
    return host_sockets.open_next_port(host_sockets.INGRESS_PORT, "the ingress")


def _attempt(
    options: Options, claimed: Claim, sockets: _HostSockets, isolation: Isolation, say: Say
) -> LabHandle:
    """Bring the lab up in this isolation. Raises _UnsupportedError, UserError."""
    workloads = (*options.definition.workloads, *options.extra)
    with contextlib.ExitStack() as ours:
        run = _make_run_folder()
        control = ours.enter_context(host_sockets.open_control(run / "lab.sock"))
        near, far = socket.socketpair(type=socket.SOCK_SEQPACKET)
        ours.enter_context(far)
        held = [claimed.lock]
        network = _NAMESPACE_BLOCK
        if not isolation.network:
            network, block_lock = host_sockets.claim_loopback_block()
            ours.enter_context(block_lock)
            held.append(block_lock.fileno())
        plan = Plan(
            name=claimed.name,
            isolation=isolation,
            definition=msgspec.structs.replace(options.definition, workloads=workloads),
            folder=str(options.folder),
            config=tuple(str(folder) for folder in options.config),
            state=str(claimed.folder),
            run=str(run),
            network=network,
            programs=options.programs,
            ready_seconds=options.ready_seconds,
            descriptors=Descriptors(
                launcher=far.fileno(),
                control=control.fileno(),
                admin=sockets.admin.fileno(),
                ingress=sockets.ingress.fileno() if sockets.ingress is not None else None,
                held=tuple(held),
            ),
        )
        keeper = _Keeper.start(plan)
    reports = _Reports(near)
    lab = _lab_file(plan, sockets)
    try:
        _follow_start(reports, lab, say)
    except BaseException:
        reports.close()
        keeper.wait_until_gone()
        raise
    return LabHandle(lab, isolation, reports, keeper)


def _follow_start(reports: "_Reports", lab: LabFile, say: Say) -> None:
    """Until the lab is ready. Raises _UnsupportedError, UserError."""
    is_published = False
    for report in reports:
        if not is_published and not isinstance(report, Unsupported):
            publish(lab)  # from the first sign of life on, `down` can end it
            is_published = True
        match report:
            case Progress(text):
                say(text)
            case Unsupported(reason):
                raise _UnsupportedError(reason)
            case Failed(message, hint, lines):
                raise StartupError(message, hint, lines)
            case Stopping(reason):
                raise UserError(f"the lab was stopped before it was ready ({reason})")
            case Ready():
                return
    raise UserError("the lab's first process died while it started", f"see {lab.state}/logs/lab.log")


def _make_run_folder() -> Path:
    try:
        run = Path(tempfile.mkdtemp(prefix="mizzen-", dir=_RUN_PARENT))
    except OSError as error:
        raise cannot_write(_RUN_PARENT, error) from None
    run.chmod(0o711)  # Envoy's user passes through; what is inside has modes of its own
    return run


def _lab_file(plan: Plan, sockets: _HostSockets) -> LabFile:
    return LabFile(
        name=plan.name,
        mode=plan.isolation.mode,
        folder=plan.folder,
        state=plan.state,
        control=f"{plan.run}/lab.sock",
        admin_url=sockets.admin_url,
        ingress_url=sockets.ingress_url,
        launcher_pid=os.getpid(),
    )


@dataclass(frozen=True, slots=True)
class _Reports:
    """The launcher's end of the pair, one report a packet: when it closes, the keeper ends the lab."""

    pair: socket.socket

    def __iter__(self) -> Iterator[Report]:
        while (report := self.next(None)) is not None:
            yield report

    def next(self, timeout_seconds: float | None) -> Report | None:
        try:
            self.pair.settimeout(timeout_seconds)
            packet = self.pair.recv(MAX_REPORT_BYTES)
        except OSError:  # the time is up, or the pair is closed
            return None
        report: Report | None = msgspec.json.decode(packet, type=Report) if packet else None
        return report

    def close(self) -> None:
        self.pair.close()


@dataclass(frozen=True, slots=True)
class _Keeper:
    """The keeper's process and what to clear up where it was killed itself."""

    process: subprocess.Popen[bytes]
    plan: Plan

    @classmethod
    def start(cls, plan: Plan) -> "_Keeper":
        with (Path(plan.state) / "logs" / "lab.log").open("ab") as log:
            process = subprocess.Popen(
                # -P: the folder in which the user stands is no place to import from.
                (sys.executable, "-P", "-m", "mizzen.lab.keeper"),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=plan.descriptors.all(),
                start_new_session=True,  # Ctrl-C in the terminal is for the launcher alone
            )
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(plan))
        process.stdin.close()
        return cls(process, plan)

    def terminate(self) -> None:
        """Ask for a graceful end; the keeper passes it on."""
        self.process.terminate()

    def wait_until_gone(self) -> None:
        try:
            self.process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.plan.run, ignore_errors=True)
        forget(Path(self.plan.state))
