"""Workloads (something that runs, with an address and an identity) and endpoints (a workload behind a service port)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address

from mizzen.config.resource import ResourceKey
from mizzen.frozen import EMPTY, FrozenMap

NO_PORTS: FrozenMap[str, int] = FrozenMap()

# Istio's label for a workload whose proxy accepts mutual TLS (set at injection, or on a WorkloadEntry by hand).
TLS_MODE_LABEL = "security.istio.io/tlsMode"
CANONICAL_NAME_LABEL = "service.istio.io/canonical-name"
CANONICAL_REVISION_LABEL = "service.istio.io/canonical-revision"


class Family(Enum):
    """A family of IP addresses. `any_address` is where one listens for all addresses of the family."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"

    @property
    def any_address(self) -> str:
        return "0.0.0.0" if self is Family.IPV4 else "::"  # noqa: S104  # whoever binds it says why


def families_of(addresses: Iterable[str]) -> tuple[Family, ...]:
    """The families of addresses, in their order; IPv4 where none is an IP address (a host name, a socket)."""
    found = [family for address in addresses if (family := family_of(address)) is not None]
    return tuple(dict.fromkeys(found)) or (Family.IPV4,)


def family_of(address: str) -> Family | None:
    """None where the text is no IP address."""
    try:
        return Family.IPV4 if ip_address(address).version == 4 else Family.IPV6
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Workload:
    """A registered workload: a WorkloadEntry or a Pod.

    `ports` maps names of services' ports to numbers, `container_ports` those of a Pod's containers, by which a service's
    target may be named. `weight` is its share of the load (0: as others).
    """

    key: ResourceKey
    addresses: tuple[str, ...]  # one an IP family
    labels: FrozenMap[str, str] = EMPTY
    ports: FrozenMap[str, int] = NO_PORTS
    container_ports: FrozenMap[str, int] = NO_PORTS
    service_account: str = "default"
    network: str = ""
    locality: str = ""
    weight: int = 0
    proxy_config: str = ""  # its annotation proxy.istio.io/config
    controller: str = ""  # the Deployment, or its kin, that made it; "": nothing did
    hostname: str = ""  # its name below that of the headless service `subdomain`; "" there: of any
    subdomain: str = ""
    node: str = ""  # of Kubernetes, where it runs
    ready: bool = True  # whether Kubernetes lets it have traffic

    @property
    def namespace(self) -> str:
        return self.key.namespace

    @property
    def name(self) -> str:
        return self.key.name

    @property
    def address(self) -> str:
        """The first: "" where it has none yet."""
        return self.addresses[0] if self.addresses else ""

    @property
    def owner(self) -> str:
        """What people call the workload: its replicas have this name in common."""
        return self.controller or self.name

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
            or self.owner
        )

    @property
    def canonical_revision(self) -> str:
        """Istio's canonical revision: its label, else `version`, else "latest"."""
        labels = self.labels
        revision = labels.get(CANONICAL_REVISION_LABEL) or labels.get("app.kubernetes.io/version")
        return revision or labels.get("version") or "latest"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint behind one service port: an address, or several (`more`) of other IP families."""

    address: str
    port: int
    more: tuple[str, ...] = ()
    labels: FrozenMap[str, str] = EMPTY
    mutual_tls: bool = False
    weight: int = 1
    locality: str = ""
    network: str = ""
    node: str = ""  # of Kubernetes, where it runs
    workload: str = ""  # name, "" where no registered workload stands behind the address
    hostname: str = ""  # its DNS name below a headless service's, "" for none
    namespace: str = ""
    canonical_name: str = ""
    canonical_revision: str = ""
    service_account: str = ""
