"""Asks the agents for their counters, each once a second while the mesh is small. The I/O around `window` and `traffic`."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp

from mizzen.admin.metrics_text import read_counters
from mizzen.admin.mutual_tls import build_mutual_tls
from mizzen.admin.schema import MutualTlsReport, TrafficReport
from mizzen.admin.traffic import COUNTERS, AllowPolicies, build_report
from mizzen.admin.window import CounterWindow
from mizzen.http_body import TooLongError, read_at_most

AGENT_PORT = 15020
FREE_FAILURES = 3

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ScrapeSettings:
    interval_seconds: float = 1.0
    window_seconds: float = 10.0
    timeout_seconds: float = 0.8  # of one agent's answer as a whole
    longest_pause_seconds: float = 15.0  # between tries of an agent that does not answer
    concurrency: int = 16
    # What scraping may cost, however large the mesh: the daemon's first work is discovery. Beyond so many agents each is
    # asked less often; while nobody looks at the traffic, far less often.
    most_per_second: int = 200
    most_per_second_unwatched: int = 20
    watched_seconds: float = 30.0  # after the last report that somebody asked for
    max_bytes: int = 16 << 20  # of one answer; a longer one counts as a failure
    series_per_target: int = 5_000


@dataclass(slots=True)
class _Silence:
    """An agent that did not answer: how often in a row, and when to ask again."""

    failures: int = 0
    not_before: float = 0.0


class TrafficScraper:
    """Keeps the counters of all agents over a sliding window and reports the mesh's traffic from them.

    `targets` gives the base URL of each workload's agent by the workload's name; it is asked at every round. An agent
    that does not answer is asked less and less often, so that any number of dead ones delays no living one by much.
    """

    def __init__(
        self,
        targets: Callable[[], Mapping[str, str]],
        allow_policies: AllowPolicies,
        *,
        monotonic: Callable[[], float],
        now: Callable[[], float],
        settings: ScrapeSettings | None = None,
    ) -> None:
        self._settings = settings or ScrapeSettings()
        self._targets = targets
        self._allow_policies = allow_policies
        self._monotonic = monotonic
        self._now = now
        self._window = CounterWindow(
            self._settings.window_seconds, series_per_target=self._settings.series_per_target
        )
        self._silent: dict[str, _Silence] = {}
        self._began = now()
        self._asked_at = float("-inf")  # when somebody last asked for a report

    async def run(self) -> None:
        """Scrape until cancelled."""
        async with self.open_session() as session:
            while True:
                started = self._monotonic()
                await self.scrape_once(session)
                # At least a moment of rest, also where a round takes longer than the interval.
                rest = started + self._settings.interval_seconds - self._monotonic()
                await asyncio.sleep(max(rest, 0.05))

    def open_session(self) -> aiohttp.ClientSession:
        """The session that `scrape_once` needs; the caller closes it. No proxy, no cookies, no redirects."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._settings.concurrency, force_close=False),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def scrape_once(self, session: aiohttp.ClientSession) -> None:
        """One round over all agents that are due. Never raises because of an agent."""
        targets = dict(self._targets())
        self._window.keep_only(targets.keys())
        self._silent = {name: silence for name, silence in self._silent.items() if name in targets}
        started = self._monotonic()
        slots = asyncio.Semaphore(self._settings.concurrency)

        async def scrape(name: str, url: str) -> None:
            async with slots:
                await self._scrape_target(session, name, url)

        async with asyncio.TaskGroup() as group:
            for name, url in targets.items():
                if self._silent.get(name, _Silence()).not_before <= started:
                    group.create_task(scrape(name, url))
                    if len(targets) > self._per_second():
                        await asyncio.sleep(1 / self._per_second())

    def _per_second(self) -> int:
        watched = self._monotonic() < self._asked_at + self._settings.watched_seconds
        return self._settings.most_per_second if watched else self._settings.most_per_second_unwatched

    def report(self) -> TrafficReport:
        now = self._asked_at = self._monotonic()
        return build_report(
            self._window.activity(now),
            window_seconds=self._settings.window_seconds,
            allow_policies=self._allow_policies,
            to_epoch=self._to_epoch(now),
        )

    def mutual_tls(self, modes: Mapping[str, str]) -> MutualTlsReport:
        """Who reaches workloads in plaintext; `modes`: of those that have a proxy, PeerAuthentication's mode."""
        now = self._monotonic()
        return build_mutual_tls(
            self._window.activity(now),
            since=self._began,
            modes=modes,
            to_epoch=self._to_epoch(now),
        )

    def _to_epoch(self, now: float) -> Callable[[float], float]:
        """From the window's clock, by which it is `now`."""
        offset = self._now() - now
        return lambda seen: seen + offset

    async def _scrape_target(self, session: aiohttp.ClientSession, name: str, url: str) -> None:
        try:
            text = await self._fetch(session, url)
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError, TooLongError) as error:
            self._note_failure(name, error)
            _drop_frames(error)
            return
        self._silent.pop(name, None)
        counters = read_counters(text, COUNTERS, at_most=self._settings.series_per_target)
        self._window.observe(name, counters, self._monotonic())

    async def _fetch(self, session: aiohttp.ClientSession, url: str) -> str:
        async with session.get(f"{url}/stats/proxy", allow_redirects=False) as response:
            response.raise_for_status()
            return (await read_at_most(response, self._settings.max_bytes)).decode()

    def _note_failure(self, name: str, error: Exception) -> None:
        silence = self._silent.setdefault(name, _Silence())
        silence.failures += 1
        # The first failures cost nothing: an agent that is being restarted is back within a second or two.
        if silence.failures > FREE_FAILURES:
            pause = self._settings.interval_seconds * 2 ** min(silence.failures - FREE_FAILURES, 10)
            silence.not_before = self._monotonic() + min(pause, self._settings.longest_pause_seconds)
        _LOG.debug("no metrics from %s: %s", name, str(error) or type(error).__name__)


def _drop_frames(error: BaseException | None) -> None:
    """Of an error and of what led to it: the HTTP client's frames hold the errors that hold them, a few kilobytes for each agent
    that does not answer, until the next full collection, which is minutes away (`daemon/collector.py`).
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def agent_url(address: str) -> str:
    """The base URL of the agent at a workload's address (IPv4 or IPv6)."""
    return f"http://{agent_authority(address)}"


def agent_authority(address: str) -> str:
    """HOST:PORT of the agent at a workload's address (IPv4 or IPv6, or a name)."""
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{AGENT_PORT}"
