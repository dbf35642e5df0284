"""Asks a running lab over its control socket. Blocking; used by the command line and by tests."""

import socket
from typing import TypeVar

import msgspec

from mizzen.errors import UserError
from mizzen.lab.protocol import Answer, Refused, Request

A = TypeVar("A", bound=msgspec.Struct)


def ask(control: str, request: Request, expected: type[A], timeout_seconds: float = 120.0) -> A:
    """One request on a connection of its own. Raises UserError where the lab refuses or does not answer."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_seconds)
            connection.connect(control)
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as lines:
                line = lines.readline()
    except PermissionError:
        raise UserError("the lab belongs to another user", "ask as the user who started it") from None
    except OSError as error:
        raise UserError(
            f"the lab does not answer: {error.strerror or error}", "see `mizzen status`"
        ) from None
    if not line:
        raise UserError("the lab ended before it answered", "see `mizzen status`")
    answer: Answer = msgspec.json.decode(line, type=Answer)
    if isinstance(answer, Refused):
        raise UserError(answer.message, answer.hint)
    assert isinstance(answer, expected)
    return answer
