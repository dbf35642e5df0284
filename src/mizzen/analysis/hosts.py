"""Which services and which rules a host name stands for, by indexes: a changed service concerns only who names its host."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.core import ServiceSpec
from mizzen.config.types.networking import DestinationRule, ServiceEntry
from mizzen.derive.hosts import matches, qualified, service_host
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.mesh import exported, mesh_config
from mizzen.derive.services import EXPORT_TO_ANNOTATION
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, Index, query

_WILDCARDS = "*"  # the bucket of all patterns


def _bucket(host: str) -> str:
    return _WILDCARDS if host.startswith("*") else host.lower()


def _service_hosts(key: ResourceKey, resource: Resource[Any]) -> tuple[str, ...]:
    if isinstance(resource.spec, ServiceSpec):
        return (service_host(key.name, key.namespace),)
    return resource.spec.hosts if isinstance(resource.spec, ServiceEntry) else ()


def _service_buckets(key: ResourceKey, resource: Resource[Any]) -> Iterable[str]:
    return map(_bucket, _service_hosts(key, resource))


def _rule_buckets(key: ResourceKey, resource: Resource[Any]) -> Iterable[str]:
    if isinstance(resource.spec, DestinationRule):
        yield _bucket(qualified(resource.spec.host, key.namespace))


SERVICES_BY_HOST = Index("service_by_host", RESOURCES, _service_buckets)
RULES_BY_HOST = Index("destination_rule_by_host", RESOURCES, _rule_buckets)


@dataclass(frozen=True, slots=True)
class Destination:
    """What analysis asks of a service: a change of anything else of it re-runs no reader."""

    key: ResourceKey
    hosts: tuple[str, ...]
    ports: tuple[int, ...]
    selector: FrozenMap[str, str]  # of its workloads
    export_to: tuple[str, ...]


@query
def declared(db: Database, key: ResourceKey) -> Destination | None:
    """The service that an object declares."""
    resource = RESOURCES(db, key)
    if resource is None:
        return None
    spec, hosts = resource.spec, _service_hosts(key, resource)
    if isinstance(spec, ServiceSpec):
        annotation = resource.annotations.get(EXPORT_TO_ANNOTATION, "")
        export_to = tuple(part.strip() for part in annotation.split(",") if part.strip())
        return Destination(key, hosts, tuple(port.port for port in spec.ports), spec.selector, export_to)
    if isinstance(spec, ServiceEntry):
        selector = spec.workload_selector.labels if spec.workload_selector else EMPTY
        return Destination(key, hosts, tuple(port.number for port in spec.ports), selector, spec.export_to)
    return None


@query
def destination(db: Database, host: str, namespaces: tuple[str, ...]) -> Destination | None:
    """The service of a full host name that one of the namespaces can see: of that very host first, then by pattern."""
    default = mesh_config(db).default_service_export_to
    for found in _candidates(db, host):
        owner = found.key.namespace
        if any(exported(found.export_to, default, owner, namespace) for namespace in namespaces):
            return found
    return None


def _candidates(db: Database, host: str) -> Iterator[Destination]:
    if not host.startswith("*"):
        for key in SERVICES_BY_HOST(db, host.lower()):
            if (found := declared(db, key)) is not None:
                yield found
    for key in SERVICES_BY_HOST(db, _WILDCARDS):
        found = declared(db, key)
        if found is not None and any(_covers(pattern, host) for pattern in found.hosts):
            yield found


def _covers(pattern: str, host: str) -> bool:
    return pattern.startswith("*") and host.removeprefix("*").endswith(pattern[1:])


def readers(namespace: str, export_to: tuple[str, ...]) -> tuple[str, ...]:
    """The namespaces in whose eyes an object's hosts are looked up: its own, and those to which it is exported."""
    named = (namespace if name == "." else name for name in export_to if name != "*")
    return tuple(dict.fromkeys((namespace, *named)))


@query
def subset_names(db: Database, key: ResourceKey) -> tuple[str, tuple[str, ...]]:
    """The full host of a DestinationRule, and the names of its subsets."""
    resource = RESOURCES(db, key)
    if resource is None or not isinstance(resource.spec, DestinationRule):
        return "", ()
    names = tuple(subset.name for subset in resource.spec.subsets)
    return qualified(resource.spec.host, key.namespace), names


@query
def subsets_of(db: Database, host: str) -> frozenset[str]:
    """All subsets that any DestinationRule defines for a full host name."""
    rules = [*RULES_BY_HOST(db, _bucket(host)), *(RULES_BY_HOST(db, _WILDCARDS) if host[:1] != "*" else ())]
    found = (subset_names(db, key) for key in rules)
    return frozenset(name for pattern, names in found if matches(pattern, host) for name in names)


def overlap(one: str, other: str) -> bool:
    """Whether some host is covered by both: exact names and patterns, either way."""
    return one == other or matches(one, other) or matches(other, one)
