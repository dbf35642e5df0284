"""Virtual addresses: those by which callers reach a service, its own or one that the mesh allocates."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from mizzen.config.types.core import ServiceSpec as KubernetesService
from mizzen.config.types.networking import ServiceEntry
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.services import all_services, service
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.name import IPV4_POOL, IPV6_POOL
from mizzen.model.service import Resolution, ServiceRef

_POOLS: Final[Mapping[str, IPv4Network | IPv6Network]] = {"IPv4": IPV4_POOL, "IPv6": IPV6_POOL}
NO_ALLOCATION_LABEL: Final = "networking.istio.io/enable-autoallocate-ip"

HostKey = tuple[str, str]
"""(namespace, host): what an address is allocated to. ServiceEntries of one namespace share a host's address."""


@query
def virtual_addresses(db: Database, ref: ServiceRef) -> tuple[str, ...]:
    """The addresses that callers use for a service: its own, else those allocated; none for a headless service."""
    found = service(db, ref)
    if found is None or found.addresses:
        return found.addresses if found else ()
    return allocated_addresses(db).get((ref.namespace, ref.host), ())


@query
def allocated_addresses(db: Database) -> FrozenMap[HostKey, tuple[str, ...]]:
    """Addresses for services that declare none, so that their names resolve and TCP ports do not collide."""
    wanted: dict[str, set[HostKey]] = {family: set() for family in _POOLS}
    for ref, _ in all_services(db):
        for family in _lacking_families(db, ref):
            wanted[family].add((ref.namespace, ref.host))
    found: dict[HostKey, tuple[str, ...]] = {}
    for family, pool in _POOLS.items():
        for key, address in allocate(wanted[family], pool).items():
            found[key] = (*found.get(key, ()), address)
    return FrozenMap(found)


@query
def _lacking_families(db: Database, ref: ServiceRef) -> tuple[str, ...]:
    """The IP families of which a service needs an address allocated.

    As Istio: none for wildcards, nor where the proxy keeps the address that the caller chose (resolution NONE), nor
    beside addresses of its own, nor where the label says no. What Kubernetes would do for a Service, we do where
    there is no cluster.
    """
    found, resource = service(db, ref), RESOURCES(db, ref.source)
    if found is None or resource is None or "*" in ref.host:
        return ()
    if isinstance(resource.spec, ServiceEntry):
        opted_out = resource.labels.get(NO_ALLOCATION_LABEL, "").lower() == "false"
        kept = found.resolution is Resolution.NONE or resource.spec.addresses or opted_out
        return () if kept else tuple(_POOLS)
    if isinstance(resource.spec, KubernetesService):
        return () if found.headless or found.addresses or found.external_name else _families(resource.spec)
    return ()


def _families(spec: KubernetesService) -> tuple[str, ...]:
    """The IP families of a Service, as Kubernetes chooses them: one, unless the policy asks for both."""
    families = tuple(family for family in spec.ip_families if family in _POOLS) or ("IPv4",)
    if spec.ip_family_policy in {"PreferDualStack", "RequireDualStack"}:
        return tuple(dict.fromkeys((*families, *_POOLS)))
    return families[:1]


def allocate(keys: Iterable[HostKey], pool: IPv4Network | IPv6Network) -> Mapping[HostKey, str]:
    """An address of the pool for each key, no two alike, by the keys alone: the same in every daemon.

    Each key has a place in the pool, by its hash. Of several with the same place the first by name keeps it, and the
    others take the next that is free once everybody has had a place. So what comes and goes moves an address only
    where two hosts have one place: with 250 hosts in the IPv4 pool about one pair in two meshes, in the IPv6 pool none.
    Keys beyond the size of the pool get nothing.
    """
    size = pool.num_addresses - 2  # neither the network's own address nor the last

    def preferred(key: HostKey) -> int:
        digest = blake2b("/".join(key).encode(), digest_size=pool.max_prefixlen // 8)
        return int.from_bytes(digest.digest()) % size

    places: dict[int, HostKey] = {}
    displaced = [key for key in sorted(keys) if places.setdefault(preferred(key), key) != key]
    for key in displaced[: max(size - len(places), 0)]:
        place = preferred(key)
        while place in places:
            place = (place + 1) % size
        places[place] = key
    first = int(pool.network_address) + 1
    return {key: str(ip_address(first + place)) for place, key in places.items()}
