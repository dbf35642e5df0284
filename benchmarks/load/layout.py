"""What is in a generated mesh and who calls whom: planned from its shape alone, before anything is written."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from random import Random

CONCERNED_AT_MOST = 200
"""Proxies that an endpoint of a scoped mesh concerns, if its own namespace has no more."""

SERVICES_A_NAMESPACE = 10
IMPORTS_A_NAMESPACE = 10

HTTP, GRPC, TCP = "http", "grpc", "tcp"
PORTS: Mapping[str, Sequence[tuple[str, int]]] = {
    HTTP: (("http", 8080), ("http-api", 9080), ("http-web", 80), ("http-admin", 8888)),
    GRPC: (("grpc", 9090),),
    TCP: (("tcp-sql", 5432), ("tcp-cache", 6379), ("tcp-queue", 5672)),
}
PROTOCOLS = ((HTTP, 0.75), (GRPC, 0.15), (TCP, 0.10))

BIG_SERVICES = 0.02
BIG_REPLICAS = 8  # times the average
RULED, ROUTED, GUARDED, EXTERNAL = 0.30, 0.20, 0.20, 0.02

_TRIES = 40  # per import: popular services fill up, and then others are taken


@dataclass(frozen=True, slots=True)
class MeshShape:
    """How large a mesh is. `namespaces` 0: one for every ten services. `scoped`: a Sidecar in each namespace imports its
    own services and about ten others; else everybody imports everything.
    """

    services: int = 1000
    proxies: int = 2000
    scoped: bool = True
    namespaces: int = 0
    seed: int = 1

    @property
    def namespace_count(self) -> int:
        return self.namespaces or max(2, self.services // SERVICES_A_NAMESPACE)


@dataclass(frozen=True, slots=True)
class Service:
    """`first_endpoint` numbers its endpoints through the whole mesh, which gives them their addresses."""

    number: int
    namespace: str
    protocol: str
    port_name: str
    port: int
    replicas: int
    first_endpoint: int

    @property
    def name(self) -> str:
        return f"app-{self.number}"

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}.svc.cluster.local"

    @property
    def is_http(self) -> bool:
        return self.protocol != TCP

    @property
    def endpoints(self) -> "Iterator[Endpoint]":
        return (Endpoint(self, replica) for replica in range(self.replicas))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One replica of a service: a WorkloadEntry."""

    service: Service
    replica: int

    @property
    def name(self) -> str:
        return f"{self.service.name}-{self.replica}"

    @property
    def workload(self) -> tuple[str, str]:
        return self.service.namespace, self.name

    @property
    def version(self) -> str:
        return f"v{1 + self.replica % 2}"

    @property
    def place(self) -> int:
        """Unique in the mesh."""
        return self.service.first_endpoint + self.replica


@dataclass(frozen=True)
class Layout:
    """`imports`: namespace -> the services of others that it calls. `ruled` have a DestinationRule, `routed` a
    VirtualService, `guarded` an AuthorizationPolicy; `externals` counts ServiceEntries.
    """

    shape: MeshShape
    namespaces: Sequence[str]
    services: Sequence[Service]
    imports: Mapping[str, Sequence[Service]]
    ruled: Sequence[Service]
    routed: Sequence[Service]
    guarded: Sequence[Service]
    externals: int
    workloads: Sequence[tuple[str, str]] = field(repr=False)

    @cached_property
    def endpoints(self) -> Sequence[Endpoint]:
        return tuple(endpoint for service in self.services for endpoint in service.endpoints)

    @cached_property
    def proxies_of(self) -> Mapping[str, frozenset[tuple[str, str]]]:
        """Namespace -> its workloads that have a proxy."""
        return by_namespace(self.namespaces, self.workloads)

    @cached_property
    def everybody(self) -> frozenset[tuple[str, str]]:
        return frozenset(self.workloads)

    @cached_property
    def callers(self) -> Mapping[int, Sequence[str]]:
        """Number of a service -> the other namespaces that import it by name, in a scoped mesh."""
        found: dict[int, list[str]] = {}
        for namespace, services in self.imports.items():
            for service in services:
                found.setdefault(service.number, []).append(namespace)
        return found

    def importers(self, service: Service) -> frozenset[tuple[str, str]]:
        """The workloads whose proxies have a cluster of the service."""
        if not self.shape.scoped:
            return self.everybody
        namespaces = (service.namespace, *self.callers.get(service.number, ()))
        return frozenset().union(*(self.proxies_of[namespace] for namespace in namespaces))


def plan(shape: MeshShape) -> Layout:
    """The same for the same shape."""
    random = Random(shape.seed)  # a mesh is no secret, and the same seed has to give the same bytes
    namespaces = tuple(f"team-{number}" for number in range(shape.namespace_count))
    services = _services(shape, namespaces, random)
    workloads = _workloads(services, shape.proxies)
    of_http = [service for service in services if service.is_http]
    ruled = _share(services, RULED, shape, random)
    return Layout(
        shape,
        namespaces,
        services,
        imports=_imports(services, by_namespace(namespaces, workloads), random),
        ruled=ruled,
        routed=_share(of_http, ROUTED, shape, random),
        guarded=_share(of_http, GUARDED, shape, random),
        externals=math.ceil(shape.services * EXTERNAL),
        workloads=workloads,
    )


def by_namespace(
    namespaces: Sequence[str], workloads: Sequence[tuple[str, str]]
) -> Mapping[str, frozenset[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {namespace: set() for namespace in namespaces}
    for namespace, name in workloads:
        found[namespace].add((namespace, name))
    return {namespace: frozenset(names) for namespace, names in found.items()}


def _services(shape: MeshShape, namespaces: Sequence[str], random: Random) -> tuple[Service, ...]:
    replicas = _replicas(shape, random)
    first = itertools.accumulate(replicas, initial=0)
    found = []
    for number, (protocol, count, place) in enumerate(
        zip(_protocols(shape.services, random), replicas, first, strict=False)
    ):
        port_name, port = random.choice(PORTS[protocol])
        namespace = namespaces[number % len(namespaces)]
        found.append(Service(number, namespace, protocol, port_name, port, count, place))
    return tuple(found)


def _protocols(count: int, random: Random) -> list[str]:
    """Exact proportions, in a random order; the first service speaks HTTP, so that the smallest mesh has one."""
    found = [protocol for protocol, share in PROTOCOLS[1:] for _ in range(int(count * share))]
    found += [HTTP] * (count - 1 - len(found))
    random.shuffle(found)
    return [HTTP, *found]


def _replicas(shape: MeshShape, random: Random) -> list[int]:
    """How many endpoints each service has: at least one, in all as many as there are proxies. One in fifty has many, in
    no namespace more than one of these; the others share the rest evenly.
    """
    total = max(shape.proxies, shape.services)
    extra = BIG_REPLICAS * total // shape.services - 1
    places = range(min(shape.services, shape.namespace_count))
    wanted = min(int(shape.services * BIG_SERVICES), len(places), (total - shape.services) // max(extra, 1))
    big = random.sample(places, wanted)
    rest = total - shape.services - extra * len(big)
    small = [number for number in range(shape.services) if number not in set(big)]
    random.shuffle(small)
    found = [1] * shape.services
    for number in big:
        found[number] += extra
    share, left = divmod(rest, len(small))
    for place, number in enumerate(small):
        found[number] += share + (place < left)
    return found


def _workloads(services: Sequence[Service], count: int) -> tuple[tuple[str, str], ...]:
    """First of each service its first replica: few proxies are spread over many services."""
    most = max(service.replicas for service in services)
    ordered = (
        Endpoint(service, replica).workload
        for replica in range(most)
        for service in services
        if replica < service.replicas
    )
    return tuple(itertools.islice(ordered, count))


def _share(
    services: Sequence[Service], share: float, shape: MeshShape, random: Random
) -> tuple[Service, ...]:
    """`share` of all services of the mesh, at least one, among some."""
    count = min(len(services), max(1, round(shape.services * share)))
    return tuple(sorted(random.sample(services, count), key=lambda service: service.number))


def _imports(
    services: Sequence[Service], proxies_of: Mapping[str, frozenset[tuple[str, str]]], random: Random
) -> Mapping[str, Sequence[Service]]:
    """A few services are called by many namespaces, most by one or none; none by more proxies than allowed."""
    ranked = random.sample(services, len(services))
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(ranked) + 1)))
    room = {service.number: CONCERNED_AT_MOST - len(proxies_of[service.namespace]) for service in services}
    found: dict[str, Sequence[Service]] = {}
    for namespace, proxies in proxies_of.items():
        chosen: dict[int, Service] = {}
        for service in random.choices(ranked, cum_weights=weights, k=_TRIES * IMPORTS_A_NAMESPACE):
            is_other = service.namespace != namespace and service.number not in chosen
            if is_other and len(proxies) <= room[service.number]:
                chosen[service.number] = service
                room[service.number] -= len(proxies)
            if len(chosen) == IMPORTS_A_NAMESPACE:
                break
        found[namespace] = tuple(chosen.values())
    return found
