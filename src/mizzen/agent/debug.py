"""Debug data of the mesh for who may use this workload's agent: asked from the daemon with the workload's certificate,
which never leaves the agent. `mizzen proxy --socket` reads it.

The daemon decides what is seen: the proxies of the certificate's namespace (`daemon/debug.py`).
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from mizzen.agent.credentials import Credentials
from mizzen.agent.daemon import DaemonError, Daemons
from mizzen.agent.http import Request, Response
from mizzen.proto.api import DebugRequest, DebugResponse

METHOD: Final = "/mizzen.v1.DebugService/Read"
PREFIX: Final = "/api/v1/"


class Debug:
    """Answers what the agent's debug socket is asked."""

    def __init__(self, daemons: Daemons, credentials: Callable[[], Credentials | None]) -> None:
        self._daemons = daemons
        self._credentials = credentials

    async def read(self, request: Request) -> Response:
        credentials = self._credentials()
        if credentials is None:
            return _error("the agent has no certificate yet", HTTPStatus.SERVICE_UNAVAILABLE)
        wanted = DebugRequest(path=request.path.removeprefix(PREFIX))
        try:
            answer = await self._daemons.call(METHOD, wanted, DebugResponse, credentials=credentials)
        except DaemonError as error:
            return _error(str(error), HTTPStatus.BAD_GATEWAY)
        return Response(answer.json.encode(), content_type="application/json")


def _error(words: str, status: HTTPStatus) -> Response:
    return Response.of_json({"error": words}, status)
