"""When the workload may get traffic: it has its certificate, Envoy its configuration and the DNS its names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from mizzen.agent.envoy_admin import AdminError, EnvoyAdmin

_STATS: Final = "^(server.state|listener_manager.workers_started|listener_manager.lds.update_success|cluster_manager.cds.update_success)$"
_LIVE: Final = 0  # server.state


@dataclass(frozen=True, slots=True)
class Readiness:
    """`has_certificate` and `has_names` tell whether the agent has been given them."""

    admin: EnvoyAdmin
    has_certificate: Callable[[], bool]
    has_names: Callable[[], bool]

    async def missing(self) -> str:
        """What is missing, in words; empty when the workload is ready."""
        if not self.has_certificate():
            return "no certificate from the daemon yet"
        if not self.has_names():
            return "no names from the daemon yet"
        try:
            return missing_in(await self.admin.stats(_STATS))
        except AdminError as error:
            return str(error)


def missing_in(stats: Mapping[str, int]) -> str:
    if not stats.get("cluster_manager.cds.update_success"):
        return "Envoy has no clusters from the daemon yet"
    if not stats.get("listener_manager.lds.update_success"):
        return "Envoy has no listeners from the daemon yet"
    if not stats.get("listener_manager.workers_started") or stats.get("server.state") != _LIVE:
        return "Envoy is starting its listeners"
    return ""
