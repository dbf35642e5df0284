"""Sockets to listen on."""

import os
import socket
import stat
from pathlib import Path


class ListenError(Exception):
    """The address cannot be listened on; the message says which, and why."""


def tcp_socket(host: str, port: int) -> socket.socket:
    """A bound TCP socket; port 0 lets the kernel choose. Raises ListenError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None


def unix_socket(path: Path) -> socket.socket:
    """A bound unix socket that only its owner may connect to. A socket left behind by a dead server is replaced.

    Raises ListenError.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()
        # Linux makes the file with the mode of the socket, so that there is no moment at which others may connect.
        os.fchmod(sock.fileno(), 0o600)
        sock.bind(str(path))
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot listen on {path}: {error.strerror or error}") from None
    return sock


def bound_silence(connection: socket.socket, seconds: float) -> None:
    """Have the kernel drop a TCP connection whose sent bytes stay unacknowledged for so long."""
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
