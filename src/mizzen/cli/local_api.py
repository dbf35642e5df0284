"""A JSON document over a unix socket: a daemon's admin socket, or an agent's debug socket."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from mizzen.errors import UserError

_ANSWER_SECONDS = 30.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def read_document(where: Path, name: str) -> Any:
    """The document /api/v1/`name`. Raises UserError where nobody answers, or says no."""
    status, document = _ask(where, "GET", name)
    if status != http.client.OK:
        raise UserError(str(document.get("error", status)), "see `mizzen proxy list`")
    return document


def change_document(where: Path, name: str, document: Any) -> Any:
    """Put a document in the place of /api/v1/`name`; None: have it as it was at the start. Gives what it is now. Raises UserError."""
    status, found = _ask(where, "DELETE" if document is None else "PUT", name, document)
    if status != http.client.OK:
        raise UserError(str(found.get("error", status)))
    return found


def _ask(where: Path, method: str, name: str, document: Any = None) -> tuple[int, Any]:
    connection = _UnixConnection(where)
    try:
        connection.request(method, f"/api/v1/{name}", None if document is None else json.dumps(document))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(
            f"{where} does not answer: {why}",
            "name the admin.sock of a daemon's state folder, or the debug.sock of an agent's, that is yours",
        ) from None
    finally:
        connection.close()
