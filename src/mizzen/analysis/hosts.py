"""Which services and which rules a host name stands for, by indexes: a changed service concerns only who names its host."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.core import ServiceSpec, ServiceType
from mizzen.config.types.networking import DestinationRule, ServiceEntry
from mizzen.derive.hosts import matches, qualified, service_host
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.mesh import exported, mesh_config
from mizzen.derive.services import EXPORT_TO_ANNOTATION
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, Index, query

_MOST_LABELS = 32  # of a host that is looked up by pattern; real ones have a handful


def patterns_above(host: str) -> tuple[str, ...]:
    """The patterns that cover a host, the narrowest first: of a.b.c and of *.b.c "*.c" and "*"; of a.b.c "*.b.c" as well."""
    labels = host.removeprefix("*").strip(".").split(".")[-_MOST_LABELS:]
    rest = labels if host.startswith("*.") else labels[1:] if not host.startswith("*") else []
    above = [f"*.{'.'.join(rest[index:])}" for index in range(len(rest))]
    return (*(pattern for pattern in above if pattern != host), *(("*",) if host != "*" else ()))


def _service_hosts(key: ResourceKey, resource: Resource[Any]) -> tuple[str, ...]:
    if isinstance(resource.spec, ServiceSpec):
        return (service_host(key.name, key.namespace),)
    return resource.spec.hosts if isinstance(resource.spec, ServiceEntry) else ()


def _service_buckets(key: ResourceKey, resource: Resource[Any]) -> Iterable[str]:
    return (host.lower() for host in _service_hosts(key, resource))


def _rule_buckets(key: ResourceKey, resource: Resource[Any]) -> Iterable[str]:
    if isinstance(resource.spec, DestinationRule):
        yield qualified(resource.spec.host, key.namespace).lower()


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
    external_name: str = ""  # it is another name of this host, whose ports count


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
        stands_for = spec.external_name if spec.type is ServiceType.EXTERNAL_NAME else ""
        numbers = tuple(port.port for port in spec.ports)
        return Destination(key, hosts, numbers, spec.selector, export_to, stands_for)
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
    for name in (host.lower(), *patterns_above(host.lower())):
        for key in SERVICES_BY_HOST(db, name):
            if (found := declared(db, key)) is not None:
                yield found


def readers(namespace: str, export_to: tuple[str, ...]) -> tuple[str, ...]:
    """The namespaces in whose eyes an object's hosts are looked up: its own, and those to which it is exported."""
    named = (namespace if name == "." else name for name in export_to if name != "*")
    return tuple(dict.fromkeys((namespace, *named)))


@query
def subset_names(db: Database, key: ResourceKey) -> tuple[str, ...]:
    """The names of a DestinationRule's subsets."""
    resource = RESOURCES(db, key)
    if resource is None or not isinstance(resource.spec, DestinationRule):
        return ()
    return tuple(subset.name for subset in resource.spec.subsets)


@query
def subsets_of(db: Database, host: str) -> frozenset[str]:
    """All subsets that any DestinationRule defines for a full host name."""
    names = (host.lower(), *patterns_above(host.lower()))
    rules = (key for name in names for key in RULES_BY_HOST(db, name))
    return frozenset(subset for key in rules for subset in subset_names(db, key))


def overlap(one: str, other: str) -> bool:
    """Whether some host is covered by both: exact names and patterns, either way."""
    return one == other or matches(one, other) or matches(other, one)
