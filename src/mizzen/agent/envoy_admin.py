"""Envoy's admin interface, over its unix socket: a few plain HTTP calls, and what the agent reads from them."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from mizzen.agent.http_client import LINE_BYTES, TooLongError, ask

_CALL_SECONDS: Final = 5.0
_LARGEST_BODY: Final = 64 << 20  # the metrics of a proxy with very many peers


class AdminError(Exception):
    """Envoy did not answer (it is starting, or gone); the message is one line."""


@dataclass(frozen=True, slots=True)
class EnvoyAdmin:
    socket: Path

    async def get(self, target: str) -> bytes:
        return await self._call("GET", target)

    async def post(self, target: str) -> bytes:
        return await self._call("POST", target)

    async def stats(self, pattern: str) -> Mapping[str, int]:
        """Counters and gauges whose names contain what the regular expression matches."""
        text = (await self.get(f"/stats?filter={pattern}")).decode()
        pairs = (line.partition(": ") for line in text.splitlines())
        return {name: int(value) for name, _, value in pairs if value.isdecimal()}

    async def version(self) -> str:
        """Envoy's release, such as 1.40.0. Raises AdminError."""
        # "<commit>/1.40.0/Clean/RELEASE/BoringSSL"
        found = re.search(rb'"version": "[^"/]*/([^"/]*)/', await self.get("/server_info"))
        if found is None:
            raise AdminError("Envoy does not say which version it is")
        return found[1].decode()

    async def _call(self, method: str, target: str) -> bytes:
        """The body of a 200. Raises AdminError."""
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                stream = await asyncio.open_unix_connection(self.socket, limit=LINE_BYTES)
                answer = await ask(stream, method, target, {"Host": "envoy"}, most_bytes=_LARGEST_BODY)
        except TimeoutError:
            raise AdminError(f"Envoy did not answer {target} within {_CALL_SECONDS:g} s") from None
        except TooLongError as error:
            raise AdminError(f"Envoy's answer is {error}") from None
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError) as error:
            raise AdminError(f"Envoy's admin interface does not answer: {error}") from None
        if answer.status != HTTPStatus.OK:
            said = answer.body[:200].decode(errors="replace")
            raise AdminError(f"Envoy's admin interface answered {answer.status} {answer.reason}: {said}")
        return answer.body
