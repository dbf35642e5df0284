"""The three modes of the lab, what each needs from the kernel, and what it cannot show."""

import enum

import msgspec


class Mode(enum.StrEnum):
    ROOTED = "rooted"  # namespaces made by root
    ROOTLESS = "rootless"  # the same inside a user namespace
    LOOPBACK = "loopback"  # no network namespaces: addresses in 127.0.0.0/8, an explicit proxy


class Isolation(msgspec.Struct, frozen=True):
    """What to ask of the kernel: the mode, a user namespace, and a PID namespace (always with mounts of its own)."""

    mode: Mode
    user: bool
    processes: bool

    @property
    def network(self) -> bool:
        return self.mode is not Mode.LOOPBACK


# From the best to the last resort. Each is tried: no uid, sysctl or file tells reliably what a kernel grants.
LADDER = (
    Isolation(Mode.ROOTED, user=False, processes=True),
    Isolation(Mode.ROOTLESS, user=True, processes=True),
    Isolation(Mode.LOOPBACK, user=False, processes=True),
    Isolation(Mode.LOOPBACK, user=True, processes=True),
    Isolation(Mode.LOOPBACK, user=False, processes=False),
)


def attempts(forced: Mode | None) -> tuple[Isolation, ...]:
    """What to try, in this order."""
    return tuple(isolation for isolation in LADDER if forced in {None, isolation.mode})


def limits(isolation: Isolation) -> tuple[str, ...]:
    """What a lab of this kind cannot show, in sentences for the user."""
    if isolation.network:
        return ()
    sentences = (
        "traffic is not captured: applications use the sidecar's HTTP proxy (http_proxy), plain TCP bypasses the mesh",
        "STRICT can be bypassed by calling an application's private port",
        "service names resolve in the sidecar only, not in the application; without a sidecar, call others by address",
    )
    if isolation.processes:
        return sentences
    return (
        *sentences,
        "there is no PID namespace: a process that detaches itself may outlive a kill -9 of the lab",
    )
