"""The sockets that a lab opens on the host, before it leaves the host's network."""

import errno
import os
import socket
from pathlib import Path

from mizzen.errors import UserError

HOST = "127.0.0.1"
INGRESS_PORT = 8080
ADMIN_PORT = 15014
_PORTS_TRIED = 100
_BACKLOG = 128
_CLAIM_PORT = 15000
_FIRST_BLOCK = 77  # 127.77.0.0/16; the first blocks are used by others (127.0.0.53, 127.0.1.1)
_LAST_BLOCK = 199


def open_port(wanted: int, what: str) -> socket.socket:
    """A socket that listens on exactly that port of the loopback address. Raises UserError."""
    try:
        return _listen(HOST, wanted)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port {wanted} for {what} is in use", "choose another with --port, or leave it out"
            ) from None
        raise UserError(
            f"cannot listen on port {wanted} for {what}: {error.strerror}", "choose another with --port"
        ) from None


def open_next_port(first: int, what: str) -> socket.socket:
    """A socket that listens on the first free port from `first` on. Raises UserError."""
    for port in range(first, first + _PORTS_TRIED):
        try:
            return _listen(HOST, port)
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise UserError(f"cannot listen on port {port} for {what}: {error.strerror}") from None
    raise UserError(
        f"the ports {first} to {first + _PORTS_TRIED - 1} for {what} are in use", "stop something"
    )


def open_control(path: Path) -> socket.socket:
    """The control socket; only its owner may connect."""
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    listener.listen(_BACKLOG)
    return listener


def claim_loopback_block() -> tuple[str, socket.socket]:
    """A free /16 of 127.0.0.0/8, ours while the socket is open in any process. Raises UserError."""
    for number in range(_FIRST_BLOCK, _LAST_BLOCK + 1):
        try:
            return f"127.{number}.0.0/16", _listen(f"127.{number}.0.1", _CLAIM_PORT)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise UserError(
                    f"cannot use 127.{number}.0.1: {error.strerror}", "the lab needs the loopback network"
                ) from None
    raise UserError("every loopback block is in use by another lab", "stop some with `mizzen down`")


def _listen(address: str, port: int) -> socket.socket:
    listener = socket.socket()
    try:
        # A port in TIME_WAIT is free; one on which somebody listens stays refused.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
