"""Which TCP ports somebody listens on, read from the kernel's table: a connection would be an event in a server's life."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

_LISTEN = "0A"  # the state in /proc/net/tcp


def listening_ports(address: str, process: int | str = "self") -> set[int]:
    """In the network namespace of a process, on the address or on any."""
    wanted = {"0" * 8, "0" * 32, _as_the_kernel_prints(address)}
    return {
        port
        for table in ("tcp", "tcp6")
        for host, port in _listeners(Path(f"/proc/{process}/net/{table}"))
        if host in wanted
    }


def _as_the_kernel_prints(address: str) -> str:
    """Four bytes at a time in the byte order of the machine."""
    packed = ip_address(address).packed
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return "".join(bytes(reversed(word)).hex().upper() for word in words)


def _listeners(table: Path) -> Iterator[tuple[str, int]]:
    try:
        rows = table.read_text().splitlines()[1:]
    except OSError:  # the process has just ended, or there is no IPv6
        return
    for row in rows:
        _, local, _, state, *_ = row.split()
        if state == _LISTEN:
            host, _, port = local.rpartition(":")
            yield host, int(port, 16)
