"""What the scraper of traffic asks about the mesh, and whom Prometheus is to scrape."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mizzen.admin.schema import ScrapeTarget
from mizzen.admin.scrape import agent_authority, agent_url
from mizzen.config.resource import ResourceKey
from mizzen.daemon.admission import registered
from mizzen.daemon.catalog import MeshCatalog
from mizzen.derive.authorization import policies_for
from mizzen.derive.inputs import BY_KIND
from mizzen.derive.workloads import KINDS, workload
from mizzen.incremental import Database
from mizzen.model.workload import Workload

METRICS_PATH: Final = "/stats/prometheus"


@dataclass(frozen=True, slots=True)
class ScrapeTargets:
    db: Database
    catalog: MeshCatalog

    def agents(self) -> Mapping[str, str]:
        """Where the agents of connected proxies serve their metrics, by workload."""
        found: dict[str, str] = {}
        for session in self.catalog.sessions:
            entry = self.db.value(workload, session.proxy.key)
            if entry is not None:
                found[session.name] = agent_url(entry.address)
        return found

    def prometheus(self) -> Sequence[ScrapeTarget]:
        """The agents of workloads whose proxies are connected or should be, by name: one that is down is a target that is
        down, and none that vanishes; nor does any when a daemon begins anew.
        """
        connected = {session.proxy.key for session in self.catalog.sessions}
        return tuple(
            _target(found)
            for key in sorted(self._registered(), key=str)
            if (found := self.db.value(workload, key)) is not None
            and (key in connected or found.has_proxy)
            and _has_agent(found.address)
        )

    def _registered(self) -> Iterable[ResourceKey]:
        return (key for kind in KINDS for key in BY_KIND(self.db, kind))

    def allow_policies(self, name: str) -> Sequence[str]:
        """The ALLOW policies that hold for a workload, for the words of a denial that none of them matched."""
        namespace, _, workload_name = name.partition("/")
        found = registered(self.db, namespace, workload_name)
        if found is None:
            return ()
        keys = self.db.value(policies_for, namespace, found.labels).get("ALLOW", ())
        return [f"{key.namespace}/{key.name}" for key in keys]


def _has_agent(address: str) -> bool:
    """Not where a WorkloadEntry names a unix socket, nor where a Pod has no address yet."""
    return bool(address) and "/" not in address


def _target(found: Workload) -> ScrapeTarget:
    """`pod` is the instance, as in Kubernetes; `workload` what its replicas are called together."""
    labels = {
        "__metrics_path__": METRICS_PATH,
        "namespace": found.namespace,
        "pod": found.name,
        "workload": found.owner,
        "app": found.canonical_name,
        "version": found.canonical_revision,
    }
    return ScrapeTarget(targets=(agent_authority(found.address),), labels=labels)
