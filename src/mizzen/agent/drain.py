"""Leaves without losing a request: callers stop coming, those that are there finish, then Envoy may end.

The order was measured (ENVOY-FACTS.md, 10): SIGTERM alone failed thousands of requests under load, this fails none.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from mizzen.agent import ports
from mizzen.agent.envoy_admin import AdminError, EnvoyAdmin
from mizzen.agent.settings import Kind, Settings

_POLL_SECONDS: Final = 0.05
_REPORT_SECONDS: Final = 2.0
_ACTIVE: Final = re.compile(r"listener\.(?P<host>[^_]+)_(?P<port>\d+)\.downstream_cx_active")

_log = logging.getLogger("mizzen.agent")


@dataclass(frozen=True, slots=True)
class Drain:
    """`report` tells the daemon, which takes this workload's endpoint away from its callers."""

    settings: Settings
    admin: EnvoyAdmin
    report: Callable[[], Awaitable[None]]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic

    async def run(self) -> None:
        """Return once the callers have gone, or after the limit. Never raises: whatever fails, the end must come."""
        began = self.monotonic()
        await asyncio.gather(self._tell_daemon(), self._tell_callers())
        while True:
            elapsed = self.monotonic() - began
            left = await self._connections()
            if left == 0 and elapsed >= self.settings.drain_min_seconds:
                _log.info("drained in %.1f s", elapsed)
                return
            if elapsed >= self.settings.drain_seconds:
                _log.warning("%d connections did not end within %.1f s, they are cut", left, elapsed)
                return
            await self.sleep(_POLL_SECONDS)

    async def _tell_daemon(self) -> None:
        try:
            async with asyncio.timeout(_REPORT_SECONDS):
                await self.report()
        except Exception as error:  # noqa: BLE001  # callers are told by Envoy all the same
            _log.warning("draining without the daemon: %s", str(error) or "it does not answer")

    async def _tell_callers(self) -> None:
        """Envoy goes on to serve, but asks its callers to close: with the response, or by GOAWAY."""
        inbound = "&inboundonly" if self.settings.kind is Kind.SIDECAR else ""
        try:
            await self.admin.post(f"/drain_listeners?graceful&skip_exit{inbound}")
        except AdminError as error:
            _log.warning("Envoy cannot drain: %s", error)

    async def _connections(self) -> int:
        try:
            return inbound_connections(await self.admin.stats("downstream_cx_active$"), self.settings)
        except AdminError:
            return 0  # no Envoy, no connections


def inbound_connections(stats: Mapping[str, int], settings: Settings) -> int:
    """How many connections callers hold: of a gateway all, of a sidecar those that are not the application's own."""
    total = 0
    for name, value in stats.items():
        found = _ACTIVE.fullmatch(name)
        if found is not None and _is_inbound(found["host"], int(found["port"]), settings):
            total += value
    return total


def _is_inbound(host: str, port: int, settings: Settings) -> bool:
    if settings.kind is Kind.GATEWAY:
        return True
    if settings.captures:
        return port == settings.capture.inbound_port
    # Without capture each inbound listener has the workload's address; so has the outbound proxy.
    return host == settings.address and port not in {settings.http_proxy_port, ports.OUTBOUND}
