"""The one supervisor of child processes: the agent runs Envoy with it, the lab its daemon, agents and applications.

`run` a short-lived helper, `start` one child, or keep one alive with `Supervised`. No child outlives this process
(PR_SET_PDEATHSIG), and nothing here signals a process that it did not start. The event loop must run in the main
thread: the kernel delivers the parent's death signal when the *thread* that forked ends.
"""

import asyncio
import contextlib
import ctypes
import os
import random
import signal
import struct
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from mizzen.errors import UserError

CLONE_NEWNET: Final = 0x40000000
CAP_NET_ADMIN: Final = 12
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_KEEPCAPS: Final = 8
_PR_CAP_AMBIENT: Final = 47
_AMBIENT_RAISE: Final = 2
_CAPABILITY_VERSION: Final = 0x20080522
_FILE_CHECK_SECONDS: Final = 5.0
_HELPER_OUTPUT_BYTES: Final = 1 << 20
_LAST_OUTPUT_SECONDS: Final = 1.0


class StartError(UserError):
    """A process could not be started."""


@dataclass(frozen=True, slots=True)
class ToFile:
    """The child appends to `path` itself. Beyond `limit_bytes` the content moves to `<path>.1`, replacing what was there:
    a log never takes more than twice the limit, but a few lines written during the move may be lost.
    """

    path: Path
    limit_bytes: int = 32 << 20


@dataclass(frozen=True, slots=True)
class ToLines:
    """Each line goes to `on_line`, without its end. Longer lines are cut at `limit_bytes`. A slow callback slows the child."""

    on_line: Callable[[str], None]
    limit_bytes: int = 16 << 10


Output = ToFile | ToLines | None  # None: the child inherits this process's


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run and as whom. `in_child` runs between fork and exec, inside the network namespace, before the user
    changes; it must only make system calls. `env` None means this process's. `cwd` is entered before the user changes,
    so that a child may work in a folder whose parents it cannot pass. `capabilities` are what it keeps of root's though it
    is another user.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    uid: int | None = None
    gid: int | None = None
    netns_fd: int | None = None
    capabilities: tuple[int, ...] = ()
    pass_fds: tuple[int, ...] = ()
    in_child: tuple[Callable[[], None], ...] = ()
    stdout: Output = None
    stderr: Output = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: an exit status, or the negative number of the signal that killed it. `str()` says it in words."""

    status: int

    @property
    def ok(self) -> bool:
        return self.status == 0

    def __str__(self) -> str:
        if self.status >= 0:
            return f"exited with status {self.status}"
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-self.status).name}"
        return f"was killed by signal {-self.status}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """How long to wait before trying again: doubling from `first_seconds` up to `max_seconds`, each with up to `jitter`
    of itself added.
    """

    first_seconds: float = 0.1
    max_seconds: float = 10.0
    jitter: float = 0.2

    def delay_seconds(self, failures: int, chance: float) -> float:
        """The pause after so many failures in a row; `chance` is in 0..1."""
        doublings = min(failures - 1, 32)
        return float(min(self.max_seconds, self.first_seconds * 2**doublings)) * (1 + self.jitter * chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart(BackOff):
    """When to start an ended process again, and after how long; a run of `healthy_seconds` lets the pauses begin anew."""

    on_failure: bool = True
    on_success: bool = True
    healthy_seconds: float = 10.0

    def wanted(self, ended: Exit) -> bool:
        return self.on_success if ended.ok else self.on_failure


NEVER: Final = Restart(on_failure=False, on_success=False)
ALWAYS: Final = Restart()


class Child:
    """One started process. Made by `start`."""

    def __init__(self, command: Command, process: subprocess.Popen[bytes]) -> None:
        self.command = command
        self._process = process
        self._exited = asyncio.ensure_future(_exit_of(process))
        self._companions: list[asyncio.Task[None]] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit(self) -> Exit | None:
        """How it ended, or None while it runs."""
        return Exit(self._process.returncode) if self._process.returncode is not None else None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, or nothing where the process has ended (its number may be another's by now)."""
        self._process.send_signal(number)

    async def wait(self) -> Exit:
        """Wait for the end and for the rest of the output (the latter not for long: a grandchild may hold the pipe)."""
        ended = await asyncio.shield(self._exited)
        if self._companions:
            await asyncio.wait(self._companions, timeout=_LAST_OUTPUT_SECONDS)
            for task in self._companions:
                task.cancel()
            await asyncio.gather(*self._companions, return_exceptions=True)
        return ended

    async def ended_within(self, seconds: float) -> bool:
        done, _ = await asyncio.wait([self._exited], timeout=seconds)
        return bool(done)

    async def stop(self, grace_seconds: float = 5.0) -> Exit:
        """SIGTERM, up to `grace_seconds` to end, then SIGKILL."""
        self.send_signal(signal.SIGTERM)
        if not await self.ended_within(grace_seconds):
            self.send_signal(signal.SIGKILL)
        return await self.wait()

    def accompany(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something for as long as the process runs, such as reading its output."""
        self._companions.append(asyncio.create_task(work))


def start(command: Command) -> Child:
    """Start a process, without input. Raises StartError where it cannot be run."""
    pipes: list[tuple[IO[bytes], ToLines]] = []
    with contextlib.ExitStack() as ours:
        try:
            stdout = _open_output(command.stdout, ours, pipes)
            stderr = _open_output(command.stderr, ours, pipes)
            process = _spawn(command, subprocess.DEVNULL, stdout, stderr)
        except (OSError, subprocess.SubprocessError) as error:
            for pipe, _ in pipes:
                pipe.close()
            raise StartError(_why_not(command, error)) from None
    child = Child(command, process)
    for pipe, lines in pipes:
        child.accompany(_pump(pipe, lines))
    for sink in {command.stdout, command.stderr}:
        if isinstance(sink, ToFile):
            child.accompany(_keep_bounded(child, sink))
    return child


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a helper: how, and what it wrote (at most a megabyte each)."""

    exit: Exit
    stdout: bytes
    stderr: str


async def run(command: Command, stdin: bytes = b"", timeout_seconds: float = 30.0) -> Finished:
    """Run a short-lived helper to its end, with `stdin` as its input; the command's own outputs are not used.

    Input and output are files in memory, which no name leads to. Raises StartError where the helper cannot be run or
    does not end in time (it is killed then).
    """
    with contextlib.ExitStack() as ours:
        source, stdout, stderr = (_memory_file(ours, name) for name in ("stdin", "stdout", "stderr"))
        source.write(stdin)
        source.seek(0)
        try:
            process = _spawn(command, source.fileno(), stdout.fileno(), stderr.fileno())
        except (OSError, subprocess.SubprocessError) as error:
            raise StartError(_why_not(command, error)) from None
        child = Child(command, process)
        try:
            ended = await asyncio.wait_for(child.wait(), timeout_seconds)
        except TimeoutError:
            raise StartError(f"{command.name} did not finish within {timeout_seconds:g} s") from None
        finally:
            if child.exit is None:
                child.send_signal(signal.SIGKILL)
                await child.wait()
        return Finished(ended, _content(stdout), _content(stderr).decode(errors="replace").strip())


class Supervised:
    """A process that is kept running under a restart policy until `stop`.

    `command` may be a function, asked before every start. `on_start` and `on_exit` tell what happens; `on_exit` gets the
    seconds until the next start, or None where there is none. A restart that cannot even start counts as a failed run.
    """

    def __init__(
        self,
        command: Command | Callable[[], Command],
        restart: Restart = ALWAYS,
        *,
        on_start: Callable[[Child], None] = lambda _child: None,
        on_exit: Callable[[str, float | None], None] = lambda _why, _delay: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._command = command if callable(command) else lambda: command
        self._restart = restart
        self._on_start = on_start
        self._on_exit = on_exit
        self._sleep = sleep
        self._monotonic = monotonic
        self._chance = chance
        self._keeping: asyncio.Task[None] | None = None
        self._stopping = False
        self.child: Child | None = None
        self.restarts = 0
        self.last_exit: Exit | None = None

    @property
    def pid(self) -> int | None:
        """The number of the running process, or None."""
        return self.child.pid if self.child is not None and self.child.exit is None else None

    def start(self) -> None:
        """The first start. Raises StartError: what never ran is a mistake to report, not to repeat."""
        self._keeping = asyncio.create_task(self._keep(self._begin()))

    async def wait(self) -> Exit | None:
        """Wait until it has ended for good; None where the last attempt could not even start."""
        if self._keeping is not None:
            await asyncio.shield(self._keeping)
        return self.last_exit

    async def stop(self, grace_seconds: float = 5.0) -> None:
        """End the process (SIGTERM, then SIGKILL) and its restarts."""
        self._stopping = True
        if self.child is not None and self.child.exit is None:
            self.last_exit = await self.child.stop(grace_seconds)
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping

    def _begin(self) -> Child:
        self.child = start(self._command())
        self._on_start(self.child)
        return self.child

    async def _keep(self, child: Child) -> None:
        run: Child | StartError = child
        failures = 0
        while True:
            began = self._monotonic()
            ended, why = await self._end_of(run)
            if self._stopping:
                return
            if self._monotonic() - began >= self._restart.healthy_seconds:
                failures = 0
            failures += 1
            delay = None
            if self._restart.wanted(ended):
                delay = self._restart.delay_seconds(failures, self._chance())
            self._on_exit(why, delay)
            if delay is None:
                return
            await self._sleep(delay)
            self.restarts += 1
            try:
                run = self._begin()
            except StartError as error:
                run = error

    async def _end_of(self, run: Child | StartError) -> tuple[Exit, str]:
        if isinstance(run, StartError):
            return Exit(127), str(run)  # the shell's status for "could not run"
        self.last_exit = await run.wait()
        return self.last_exit, f"{run.command.name} {self.last_exit}"


def reap_orphans(is_own: Callable[[int], bool]) -> None:
    """For a process that is PID 1: collect ended processes that others left to us. Call it on SIGCHLD.

    Those for which `is_own` holds are left to their `Child`, which must see their exit status.
    """
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if is_own(ended.si_pid):
                return
            os.waitpid(ended.si_pid, os.WNOHANG)


def _spawn(command: Command, stdin: int, stdout: int | None, stderr: int | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command.argv,
        env=command.env,
        cwd=command.cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=command.pass_fds,
        start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, not theirs
        preexec_fn=_prepare_child(command),  # noqa: PLW1509  # it only makes system calls
    )


def _prepare_child(command: Command) -> Callable[[], None]:
    """What runs in the child before exec. Everything is looked up here, before the fork."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()
    capability_header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    # Effective, permitted and inheritable, of the first 32 and of the others.
    capability_sets = struct.pack("=6I", *[sum(1 << number for number in command.capabilities)] * 3, 0, 0, 0)

    def prepare() -> None:
        if command.netns_fd is not None and libc.setns(command.netns_fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        for hook in command.in_child:
            hook()
        if command.gid is not None:
            os.setgroups([])
            os.setgid(command.gid)
        if command.capabilities:
            libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
        if command.uid is not None:
            os.setuid(command.uid)
        if command.capabilities:
            _keep_through_exec(libc, capability_header, capability_sets, command.capabilities)
        # After setuid, which clears it.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return prepare


def _keep_through_exec(libc: ctypes.CDLL, header: bytes, sets: bytes, capabilities: tuple[int, ...]) -> None:
    """What another user than root executes has no capability, but for those that are ambient."""
    if libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    for number in capabilities:
        if libc.prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, number, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def _open_output(
    output: Output, ours: contextlib.ExitStack, pipes: list[tuple[IO[bytes], ToLines]]
) -> int | None:
    """The descriptor for the child; `ours` closes this process's copy, `pipes` collects what is to be read."""
    if output is None:
        return None
    if isinstance(output, ToFile):
        file = ours.enter_context(output.path.open("ab", buffering=0))
        return file.fileno()
    read, write = os.pipe()
    pipes.append((os.fdopen(read, "rb", buffering=0), output))
    ours.callback(os.close, write)
    return write


def _memory_file(ours: contextlib.ExitStack, name: str) -> IO[bytes]:
    return ours.enter_context(os.fdopen(os.memfd_create(name), "w+b", buffering=0))


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(_HELPER_OUTPUT_BYTES)


async def _exit_of(process: subprocess.Popen[bytes]) -> Exit:
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:  # a kernel or a sandbox without it
        return Exit(await asyncio.to_thread(process.wait))
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
    return Exit(process.wait())


async def _pump(pipe: IO[bytes], lines: ToLines) -> None:
    reader = asyncio.StreamReader(limit=lines.limit_bytes)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    rest = b""
    try:
        while chunk := await reader.read(lines.limit_bytes):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                lines.on_line(line[: lines.limit_bytes].decode(errors="replace"))
            rest = rest[: lines.limit_bytes]
        if rest:
            lines.on_line(rest.decode(errors="replace"))
    finally:
        transport.close()


async def _keep_bounded(child: Child, sink: ToFile) -> None:
    while not await child.ended_within(_FILE_CHECK_SECONDS):
        with contextlib.suppress(OSError):
            bound_file(sink)


def bound_file(sink: ToFile) -> None:
    """Move the content of a file that has grown beyond its limit aside. Its writers append, so they go on at its start."""
    if sink.path.stat().st_size <= sink.limit_bytes:
        return
    with sink.path.open("rb") as source, sink.path.with_name(sink.path.name + ".1").open("wb") as old:
        source.seek(-sink.limit_bytes, os.SEEK_END)
        while block := source.read(1 << 20):
            old.write(block)
    os.truncate(sink.path, 0)


def _why_not(command: Command, error: Exception) -> str:
    program = command.argv[0]
    if isinstance(error, FileNotFoundError):
        missing = command.cwd if command.cwd is not None and not command.cwd.is_dir() else program
        return f"{command.name} cannot start: {missing} does not exist"
    if isinstance(error, PermissionError):
        return f"{command.name} cannot start: no right to execute {program}"
    if isinstance(error, subprocess.SubprocessError):
        return (
            f"{command.name} cannot start: no right to enter its network namespace or to change to its user"
        )
    return f"{command.name} cannot start: {getattr(error, 'strerror', None) or error}"
