"""Workloads (something that runs, with an address and an identity) and endpoints (a workload behind a service port)."""

from dataclasses import dataclass

from mizzen.config.resource import ResourceKey
from mizzen.frozen import EMPTY, FrozenMap

NO_PORTS: FrozenMap[str, int] = FrozenMap()

# Istio's label for a workload whose proxy accepts mutual TLS (set at injection, or on a WorkloadEntry by hand).
TLS_MODE_LABEL = "security.istio.io/tlsMode"
CANONICAL_NAME_LABEL = "service.istio.io/canonical-name"
CANONICAL_REVISION_LABEL = "service.istio.io/canonical-revision"


@dataclass(frozen=True, slots=True)
class Workload:
    """A registered workload. `ports` maps port names to numbers; `weight` is its share of the load (0: as others)."""

    key: ResourceKey
    address: str
    labels: FrozenMap[str, str] = EMPTY
    ports: FrozenMap[str, int] = NO_PORTS
    service_account: str = "default"
    network: str = ""
    locality: str = ""
    weight: int = 0
    proxy_config: str = ""  # its annotation proxy.istio.io/config

    @property
    def namespace(self) -> str:
        return self.key.namespace

    @property
    def name(self) -> str:
        return self.key.name

    @property
    def has_proxy(self) -> bool:
        return self.labels.get(TLS_MODE_LABEL) == "istio"

    @property
    def canonical_name(self) -> str:
        """Istio's canonical service: its label, else `app`, else the workload's name."""
        labels = self.labels
        return (
            labels.get(CANONICAL_NAME_LABEL)
            or labels.get("app.kubernetes.io/name")
            or labels.get("app")
            or self.name
        )

    @property
    def canonical_revision(self) -> str:
        """Istio's canonical revision: its label, else `version`, else "latest"."""
        labels = self.labels
        revision = labels.get(CANONICAL_REVISION_LABEL) or labels.get("app.kubernetes.io/version")
        return revision or labels.get("version") or "latest"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address behind one service port."""

    address: str
    port: int
    labels: FrozenMap[str, str] = EMPTY
    mutual_tls: bool = False
    weight: int = 1
    locality: str = ""
    workload: str = ""  # name, "" where no registered workload stands behind the address
    hostname: str = ""  # its DNS name below a headless service's, "" for none
    namespace: str = ""
    canonical_name: str = ""
    canonical_revision: str = ""
    service_account: str = ""
