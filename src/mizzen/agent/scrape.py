"""What Prometheus gets of a workload: Envoy's metrics, the agent's and the application's in one answer.

Source: Istio's metrics merging (enablePrometheusMerge). Whatever cannot be had is left out and counted, and the rest is
answered: an application that is broken must not hide its proxy. The answer is always of the text form, so that it
is valid whoever takes part: Envoy speaks no OpenMetrics, whose parsers refuse Envoy's names of counters.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from mizzen.agent.application_metrics import TIMEOUT_HEADER, NoMetricsError
from mizzen.agent.cardinality import Budget
from mizzen.agent.envoy_admin import AdminError, EnvoyAdmin
from mizzen.agent.exposition import merge
from mizzen.agent.http import Request, Response
from mizzen.agent.mesh_metrics import with_mesh_names
from mizzen.agent.metrics import (
    OF_PROXIES,
    RESERVED,
    Part,
    ScrapeFigures,
    exposition_of_scrapes,
)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
READ_BY_THE_DAEMON: Final = (
    "^(istio_requests_total|istio_request_duration_milliseconds|istio_tcp_connections_opened_total|mizzen_)"
)
"""Matches the beginning of Envoy's names of what the daemon's picture of the traffic is made of (`admin/traffic.py`)."""

_USUAL_SECONDS: Final = 5.0  # where nobody says how long the scrape may take
_MOST_SECONDS: Final = 10.0  # Prometheus' default, and as long as the agent's server takes over a request
_SHARE: Final = 0.8  # the rest of the time is for merging and sending
_MOST_AT_ONCE: Final = 2  # a pair of Prometheus servers; others wait

Fetch = Callable[[float], Awaitable[bytes]]
"""Asks the application, which has so many seconds for its answer. Raises NoMetricsError."""

_log = logging.getLogger("mizzen.agent")


@dataclass(frozen=True, slots=True)
class Sources:
    """What an answer is made of. `agent` raises OSError where the system does not tell it its figures; `application` is None
    where nobody wants its metrics.
    """

    envoy: EnvoyAdmin
    own_facts: Mapping[str, str]  # what the proxy's metrics say of its own workload
    budget: Budget
    agent: Callable[[], bytes]
    application: Fetch | None


class Scrapes:
    """Answers Prometheus (`merged`), and the daemon (`of_proxy`), for which nobody is to be asked every second for what it does not
    read.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._turns = asyncio.Semaphore(_MOST_AT_ONCE)
        self._missing: set[Part] = set()
        self.figures = ScrapeFigures()

    async def of_proxy(self, _request: Request) -> Response:
        try:
            envoy = await self._asked(f"?filter={quote(READ_BY_THE_DAEMON)}")
        except AdminError as error:
            _log.debug("metrics without Envoy's: %s", error)
            envoy = b""
        return Response(envoy + self._sources.agent(), content_type=CONTENT_TYPE)

    async def merged(self, request: Request) -> Response:
        self.figures.asked += 1
        seconds = patience(request.headers.get(TIMEOUT_HEADER.lower(), ""))
        envoy, application, agent = await asyncio.gather(
            self._or_nothing(Part.ENVOY, self._of_envoy(), seconds),
            self._or_nothing(Part.APPLICATION, self._of_application(seconds), seconds),
            self._or_nothing(Part.AGENT, self._of_agent(), seconds),
        )
        # While Envoy is away nobody knows which names are its own: the application's must not stand in for it.
        answer = merge(envoy, application, RESERVED if envoy else (*RESERVED, *OF_PROXIES))
        self.figures.left_out = len(answer.left_out)
        text = agent + exposition_of_scrapes(self.figures) + answer.text
        return Response(text, content_type=CONTENT_TYPE)

    async def _asked(self, only: str = "") -> bytes:
        exposition = await self._sources.envoy.get(f"/stats/prometheus{only}")
        return with_mesh_names(exposition, self._sources.own_facts)

    async def _of_envoy(self) -> bytes:
        found = self._sources.budget.applied(await self._asked())
        folded = self._sources.budget.folded
        for metric in folded.keys() - self.figures.folded.keys():
            _log.warning(
                "%s has more series than --metric-series allows: the rest is added up in one, whose labels are other",
                metric,
            )
        self.figures.folded = folded
        return found

    async def _of_agent(self) -> bytes:
        return self._sources.agent()

    async def _of_application(self, seconds: float) -> bytes:
        if self._sources.application is None:
            return b""
        async with self._turns:
            return await self._sources.application(seconds)

    async def _or_nothing(self, part: Part, asked: Awaitable[bytes], seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                found = await asked
        except (AdminError, NoMetricsError, OSError) as error:  # TimeoutError is an OSError
            self.figures.failed[part] += 1
            level = logging.DEBUG if part in self._missing else logging.WARNING
            self._missing.add(part)
            why = str(error) or f"no answer within {seconds:g} s"
            _log.log(level, "Prometheus gets no metrics of the %s: %s", part.value, why)
            return b""
        self._missing.discard(part)
        return found


def patience(timeout: str) -> float:
    """How many seconds Envoy and the application have, by Prometheus' header that says how long the scrape may take."""
    try:
        seconds = float(timeout)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:  # nan neither
        seconds = _USUAL_SECONDS
    return _SHARE * min(seconds, _MOST_SECONDS)
