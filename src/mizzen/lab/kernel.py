"""The system calls that Python 3.11 does not offer: namespaces, mounts, capabilities, death signals. Linux only."""

import ctypes
import os
import signal
from pathlib import Path

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38


def _call(function: str, *arguments: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def _prctl(option: int, value: int) -> None:
    _call("prctl", option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3)


def unshare(flags: int) -> None:
    """Move this thread into new namespaces (for a PID namespace: its next child)."""
    _call("unshare", flags)


def enter_network(namespace: int) -> None:
    """Move this thread into the network namespace of an open descriptor."""
    _call("setns", namespace, CLONE_NEWNET)


def become_root_of_user_namespace() -> None:
    """Enter a new user namespace in which this user is 0, the only one that exists there."""
    uid, gid = os.getuid(), os.getgid()
    unshare(CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    _call(
        "mount",
        source.encode(),
        target.encode(),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send this process the signal when the thread that forked it dies.

    Changes of user clear this, so it is called after them.
    """
    _prctl(_PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """Orphaned descendants become children of this process, which then has to reap them."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def is_mapped(uid: int) -> bool:
    """Whether this user namespace knows the uid (in a namespace of one's own, often only 0 exists)."""
    ranges = (line.split() for line in Path("/proc/self/uid_map").read_text().splitlines())
    return any(int(first) <= uid < int(first) + int(count) for first, _, count in ranges)


def drop_capabilities_at_exec() -> None:
    """From the next exec on, this process has no capability and can gain none, even if it is uid 0."""
    capability = 0
    while True:
        try:
            _prctl(_PR_CAPBSET_DROP, capability)
        except OSError:  # EINVAL: past the last capability that this kernel knows (or we may not drop any)
            break
        capability += 1
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
