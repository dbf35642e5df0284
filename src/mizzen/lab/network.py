"""Where the workloads live: a network namespace each behind one bridge, or addresses of 127.0.0.0/8."""

import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from mizzen.agent.capture import capture
from mizzen.agent.capture.options import CaptureOptions
from mizzen.lab import kernel

BRIDGE = "mesh0"
_FIRST_WORKLOAD = 10  # the block's first addresses are the lab's own
_HOST_PREFIX = 32
_LINK_SCOPE = 253  # of a route: reached directly (linux/rtnetlink.h)
_IPV6 = ipaddress.IPv6Network("fd4d:697a::/96")  # unique local; the last 32 bits are the address of IPv4
_WITHOUT_TEST = 0x02  # of an address: in use at once, nobody else can have it (IFA_F_NODAD)
_LOOPBACK_INDEX = 1  # lo is the first interface of every network namespace


@dataclass(frozen=True, slots=True)
class Place:
    """Where one workload instance runs. Without a network namespace of its own `namespace` is None. `ipv6` is its address of
    that family, "" where it has none.
    """

    address: str
    namespace: int | None = None
    ipv6: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        return (self.address, self.ipv6) if self.ipv6 else (self.address,)


class Network(Protocol):
    own_address: str  # the lab's own: the daemon listens on it

    def add_place(self, *, ipv6: bool = False) -> Place:
        """A place for one more workload instance, with an address of IPv6 where that is possible. Raises OSError."""
        ...


class LoopbackNetwork:
    """Every workload has an address of its own in the lab's block of 127.0.0.0/8; nothing needs to be set up."""

    def __init__(self, block: str) -> None:
        self.own_address, self._free = _addresses(block)

    def add_place(self, *, ipv6: bool = False) -> Place:  # noqa: ARG002  # of IPv6 there is ::1 alone
        return Place(next(self._free))


class BridgedNetwork:
    """A bridge in this process's network namespace, and a namespace behind it for every workload. No route leads out.

    Workloads reach each other through this namespace, as pods do through their node: so that it can pass on what goes to
    the address of a Service (`mizzen.lab.services`), and the answers find back the same way.
    """

    def __init__(self, block: str) -> None:
        """Raises OSError where the kernel makes no bridge, UserError where it captures no traffic."""
        self.own_address, self._free = _addresses(block)
        prefix_length = ipaddress.ip_network(block).prefixlen
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._places = 0
        with _kernel_errors("it refuses a bridge"), IPRoute() as routes:
            routes.link("add", ifname=BRIDGE, kind="bridge")
            self._bridge = routes.link_lookup(ifname=BRIDGE)[0]
            routes.addr("add", index=self._bridge, address=self.own_address, prefixlen=prefix_length)
            routes.link("set", index=self._bridge, state="up")
            routes.link("set", index=_LOOPBACK_INDEX, state="up")
            # Whatever would leave the lab is refused at once, instead of hanging until it times out.
            routes.route("add", dst="0.0.0.0/0", type="unreachable")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        for interface in ("all", BRIDGE):  # there is a shorter way, which workloads must not be told
            Path(f"/proc/sys/net/ipv4/conf/{interface}/send_redirects").write_text("0")
        # Where the host filters bridged traffic, a packet would be sent on before it is routed.
        with contextlib.suppress(OSError):
            Path("/proc/sys/net/bridge/bridge-nf-call-iptables").write_text("0")
        # Better to learn it here, where another mode can still be tried, than from every agent.
        with self._new_namespace() as namespace:
            os.close(namespace)
            capture(CaptureOptions(proxy_mark=1))

    def add_place(self, *, ipv6: bool = False) -> Place:
        self._places += 1
        address = next(self._free)
        outer = f"workload{self._places}"
        with (
            _kernel_errors("it refuses virtual Ethernet"),
            self._new_namespace() as namespace,
            IPRoute() as inside,
        ):
            kernel.enter_network(self._home)
            with IPRoute() as routes:
                routes.link("add", ifname=outer, kind="veth", peer={"ifname": "eth0", "net_ns_fd": namespace})
                routes.link("set", index=routes.link_lookup(ifname=outer)[0], master=self._bridge, state="up")
            self._configure(inside, address)
            if ipv6:
                self._configure_ipv6(inside, address)
        return Place(address, namespace, ipv6_of(address) if ipv6 else "")

    @contextlib.contextmanager
    def _new_namespace(self) -> Iterator[int]:
        """Enter a new network namespace, and leave it at the end in any case. Its descriptor keeps it alive."""
        try:
            kernel.unshare(kernel.CLONE_NEWNET)
            # The gateway's Envoy may listen on port 80 though it is not root.
            Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")
            yield os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            kernel.enter_network(self._home)

    def _configure(self, inside: IPRoute, address: str) -> None:
        interface = inside.link_lookup(ifname="eth0")[0]
        inside.addr("add", index=interface, address=address, prefixlen=_HOST_PREFIX)
        inside.link("set", index=interface, state="up")
        inside.link("set", index=_LOOPBACK_INDEX, state="up")
        inside.route("add", dst=f"{self.own_address}/{_HOST_PREFIX}", oif=interface, scope=_LINK_SCOPE)
        inside.route("add", dst="default", gateway=self.own_address)

    def _configure_ipv6(self, inside: IPRoute, address: str) -> None:
        """Those who have an address of IPv6 are on one link. What else they call must have a route to be captured."""
        own = ipv6_of(self.own_address)
        with IPRoute() as routes:
            _add_ipv6(routes, self._bridge, own)
        interface = inside.link_lookup(ifname="eth0")[0]
        _add_ipv6(inside, interface, ipv6_of(address))
        inside.route("add", dst="default", gateway=own, family=socket.AF_INET6)


def ipv6_of(address: str) -> str:
    """The lab's address of IPv6 for one of IPv4."""
    return str(ipaddress.IPv6Address(int(_IPV6.network_address) + int(ipaddress.IPv4Address(address))))


def _add_ipv6(routes: IPRoute, interface: int, address: str) -> None:
    try:
        routes.addr("add", index=interface, address=address, prefixlen=_IPV6.prefixlen, flags=_WITHOUT_TEST)
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise


@contextlib.contextmanager
def _kernel_errors(what: str) -> Iterator[None]:
    """Netlink's errors as OSError, saying what the kernel refused."""
    try:
        yield
    except NetlinkError as error:
        raise OSError(error.code, f"{what}: {os.strerror(error.code)}") from None


def _addresses(block: str) -> tuple[str, Iterator[str]]:
    """The lab's own address, and those for workloads in order."""
    network = ipaddress.ip_network(block)
    last = network.num_addresses - 1
    return str(network[1]), (str(network[number]) for number in range(_FIRST_WORKLOAD, last))
