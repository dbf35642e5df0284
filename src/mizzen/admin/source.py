"""What the admin server shows: the daemon's side of the JSON API."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mizzen.admin.schema import (
    MeshName,
    MeshStatus,
    MutualTlsReport,
    ProxyStart,
    ScrapeTarget,
    ServiceAddress,
)


class AdminSource(Protocol):
    """Answers from memory: each call is made for a request, on the event loop, and must not block."""

    def status(self) -> MeshStatus: ...

    def mutual_tls(self) -> MutualTlsReport:
        """Who reaches the mesh's workloads in plaintext."""
        ...

    def names(self) -> Mapping[str, MeshName]:
        """All that DNS knows, whoever may see it."""
        ...

    def service_addresses(self) -> Sequence[ServiceAddress]:
        """Where each Service is called, and what answers there."""
        ...

    def scrape_targets(self) -> Sequence[ScrapeTarget]:
        """Whom Prometheus is to scrape."""
        ...

    def proxy_start(self, workload: str) -> ProxyStart | None:
        """What the proxy of the workload "namespace/name" is to be started with; None for an unknown workload."""
        ...

    async def config_dump(self, proxy: str) -> Any | None:
        """What the proxy "namespace/name" should run, as values that JSON knows; None for an unknown proxy.

        Secrets are left out. It is made in a thread: a large proxy's takes a second.
        """
        ...
