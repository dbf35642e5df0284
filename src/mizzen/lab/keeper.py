"""The process between the host and the lab: makes the first process of the lab, outlives it, and clears up.

It stays in the host's PID, network and mount namespaces. It ends when the first process ends, or kills that when the
launcher is gone. Were the keeper itself killed, the first process would die by its death signal.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from mizzen.lab import kernel
from mizzen.lab.children import children
from mizzen.lab.plan import Plan, Report, Unsupported
from mizzen.lab.state import forget
from mizzen.processes import reap_orphans

EXIT_UNSUPPORTED = 3


def keep(plan: Plan, first_process: Callable[[Plan], int]) -> int:
    """Run the lab to its end; answers the exit status of its first process."""
    wakeup = _wake_on_child_exit()
    kernel.adopt_orphans()
    try:
        _enter(plan)
        first = os.fork()
    except OSError as error:
        report(plan, Unsupported(reason=_in_words(error)))
        return EXIT_UNSUPPORTED
    if first == 0:
        _become_first(plan, first_process)
    status = _watch(first, plan.descriptors.launcher, wakeup)
    _end_descendants()
    shutil.rmtree(plan.run, ignore_errors=True)
    forget(Path(plan.state))
    return status


def report(plan: Plan, what: Report) -> None:
    """Tell the launcher. It may be gone, or not listen: then there is nobody to tell, and nobody waits for it."""
    packet = msgspec.json.encode(what)
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(plan.descriptors.launcher)) as pair:
        pair.send(packet, socket.MSG_DONTWAIT)


def _enter(plan: Plan) -> None:
    if plan.isolation.user:
        kernel.become_root_of_user_namespace()
    if plan.isolation.processes:
        kernel.unshare(kernel.CLONE_NEWPID)


def _become_first(plan: Plan, first_process: Callable[[Plan], int]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 1
    try:
        kernel.die_with_parent()
        status = first_process(plan)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _watch(first: int, launcher: int, wakeup: int) -> int:
    """The exit status of the first process, which dies with the launcher."""
    # A request to end is the first process's to serve.
    signal.signal(signal.SIGTERM, lambda number, _frame: os.kill(first, number))
    poll = select.poll()
    poll.register(launcher, 0)  # only its end is of interest here; what it says is for the first process
    poll.register(wakeup, select.POLLIN)
    while os.waitid(os.P_PID, first, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if launcher in ready:
            os.kill(first, signal.SIGKILL)
            break
        os.read(wakeup, 512)
        reap_orphans(first.__eq__)
    _, status = os.waitpid(first, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code  # as a shell says it


def _end_descendants() -> None:
    """Without a PID namespace the kernel leaves what detached itself from its parent; as sub-reaper we have inherited it."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for child in children():
                os.kill(child, signal.SIGKILL)
            os.wait()


def _wake_on_child_exit() -> int:
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return read


def _in_words(error: OSError) -> str:
    return f"{error.strerror or error}"


def main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    from mizzen.lab.init import first_process

    sys.exit(keep(plan, first_process))


if __name__ == "__main__":
    main()
