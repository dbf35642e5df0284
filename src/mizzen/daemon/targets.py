"""What the scraper of traffic asks about the mesh."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mizzen.admin.scrape import agent_url
from mizzen.daemon.admission import registered
from mizzen.daemon.catalog import MeshCatalog
from mizzen.derive.authorization import policies_for
from mizzen.derive.workloads import workload
from mizzen.incremental import Database


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

    def allow_policies(self, name: str) -> Sequence[str]:
        """The ALLOW policies that hold for a workload, for the words of a denial that none of them matched."""
        namespace, _, workload_name = name.partition("/")
        found = registered(self.db, namespace, workload_name)
        if found is None:
            return ()
        keys = self.db.value(policies_for, namespace, found.labels).get("ALLOW", ())
        return [f"{key.namespace}/{key.name}" for key in keys]
