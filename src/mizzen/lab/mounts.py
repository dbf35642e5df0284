"""The lab's own view of the file system: its processes, its resolver, and sockets that vanish with it."""

import os
from pathlib import Path

from mizzen.lab import kernel

_HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
# Name services that ask the host's resolver over a socket (nss-resolve, mDNS) would bypass the sidecar's DNS.
_NAME_SERVICES = "passwd: files\ngroup: files\nhosts: files dns\n"


def mount_own_processes() -> None:
    """In new mount and PID namespaces: nothing mounted from here on reaches the host; /proc shows the lab alone."""
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)


def mount_sockets(folder: Path) -> None:
    """Keys and sockets live in memory: however the lab ends, the kernel takes them away."""
    kernel.mount("tmpfs", str(folder), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0711")


def mount_folder(source: Path, target: Path) -> None:
    """A folder of the host where processes of the lab reach it, whatever is closed on the way to it."""
    kernel.mount(str(source), str(target), flags=kernel.MS_BIND)


def mount_resolver(folder: Path, name_server: str, hosts: str = _HOSTS) -> None:
    """Names are asked at the lab's own server; where there is a sidecar it answers instead. A file that the host lacks is
    left out.
    """
    files = {
        "/etc/resolv.conf": f"nameserver {name_server}\n",
        "/etc/hosts": hosts,
        "/etc/nsswitch.conf": _NAME_SERVICES,
    }
    for target, content in files.items():
        if not os.path.exists(target):  # noqa: PTH110  # follows links: a dangling one cannot be mounted on
            continue
        source = folder / Path(target).name
        source.write_text(content)
        source.chmod(0o644)
        kernel.mount(str(source), target, flags=kernel.MS_BIND)
    name_cache = Path("/run/nscd")
    if name_cache.is_dir():
        kernel.mount("tmpfs", str(name_cache), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV)
