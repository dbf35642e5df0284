"""The lab's first process: PID 1 of its namespaces, where the kernel grants them. When it ends, everything in it ends."""

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

from mizzen.ca.files import StateError
from mizzen.errors import UserError
from mizzen.lab import kernel, mounts
from mizzen.lab.children import reap_abandoned
from mizzen.lab.control import Control
from mizzen.lab.keeper import EXIT_UNSUPPORTED, report
from mizzen.lab.network import BridgedNetwork, LoopbackNetwork, Network
from mizzen.lab.plan import Failed, Plan, Progress, Ready, Stopping, Unsupported
from mizzen.lab.startup import StartupError
from mizzen.lab.state import DISK_FULL, cannot_write
from mizzen.lab.supervisor import Supervisor
from mizzen.processes import StartError

EXIT_FAILED = 1


def first_process(plan: Plan) -> int:
    """Runs the lab; answers the exit status."""
    try:
        network = _enter(plan)
    except (OSError, UserError) as error:
        report(plan, Unsupported(reason=getattr(error, "strerror", "") or str(error)))
        return EXIT_UNSUPPORTED
    return asyncio.run(_run(plan, network))


def _enter(plan: Plan) -> Network:
    """Make the namespaces' content. Raises OSError where the kernel refuses."""
    isolation, private = plan.isolation, Path(plan.run) / "private"
    private.mkdir(mode=0o711)
    if isolation.processes:
        kernel.unshare(kernel.CLONE_NEWNS)
        mounts.mount_own_processes()
        mounts.mount_sockets(private)
    for folder in ("tokens", "agents", "audit"):
        (private / folder).mkdir(mode=0o711)
    audit = Path(plan.state) / "audit"
    audit.mkdir(mode=0o711, exist_ok=True)
    if isolation.processes:
        mounts.mount_folder(audit, private / "audit")
    if not isolation.network:
        return LoopbackNetwork(plan.network)
    kernel.unshare(kernel.CLONE_NEWNET)
    network = BridgedNetwork(plan.network)
    mounts.mount_resolver(private, network.own_address)
    return network


async def _run(plan: Plan, network: Network) -> int:
    stopping = asyncio.Event()

    def say(text: str) -> None:
        print(text, flush=True)  # noqa: T201  # the keeper's output is the lab's log
        report(plan, Progress(text))

    def stop(reason: str) -> None:
        if not stopping.is_set():
            report(plan, Stopping(reason))
            stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, f"got {number.name}")
    try:
        supervisor = Supervisor(plan, network, say)
    except (StateError, OSError) as error:
        report(plan, _failure(plan, error))
        return EXIT_FAILED
    reaping = asyncio.create_task(reap_abandoned())
    control = await Control(plan, supervisor, stop).serve(socket.socket(fileno=plan.descriptors.control))
    try:
        return await _serve(plan, supervisor, stopping)
    finally:
        reaping.cancel()
        control.close()
        await supervisor.stop()


async def _serve(plan: Plan, supervisor: Supervisor, stopping: asyncio.Event) -> int:
    """Start, then wait for the request to stop, which may come before the start is over."""
    starting = asyncio.create_task(supervisor.start())
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.is_set():
            await starting
            report(plan, Ready())
            await stopped
    except (UserError, StartError, StateError, OSError) as error:
        report(plan, _failure(plan, error))
        return EXIT_FAILED
    finally:
        for task in (starting, stopped):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
    return os.EX_OK


def _failure(plan: Plan, error: Exception) -> Failed:
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        error = cannot_write(Path(plan.state), error)
    if isinstance(error, UserError):
        return Failed(error.message, error.hint, error.lines if isinstance(error, StartupError) else ())
    return Failed(str(error))
