"""Meshes of a size and a seed, written as a folder of YAML, and changes of them.

A change is a file that is replaced as a whole. Each says which proxies it concerns, and with resources of which types, by
the layout of the mesh: what the daemon should do, known without asking it. `number` makes a change another one: with each
number the file differs, also from what was written first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from benchmarks.load import objects
from benchmarks.load.layout import HTTP, Endpoint, MeshShape, Service, plan
from benchmarks.load.objects import Document
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE

__all__ = ["Concern", "Mesh", "MeshShape"]

_FIRST_NEW_PLACE = 1 << 22
"""Addresses of endpoints that come later begin here, far from those of the layout."""

_NEW_PLACES = 1 << 12
"""How many of them a service may get."""


@dataclass(frozen=True, slots=True)
class Concern:
    """Whom a change concerns, as (namespace, name) of workloads with a proxy, and the types of the resources that are
    other ones then, new or gone.
    """

    workloads: frozenset[tuple[str, str]]
    type_urls: frozenset[str]

    @property
    def proxies(self) -> int:
        return len(self.workloads)


class Mesh:
    """A mesh of a shape in a folder. A file holds one object; a folder below, a namespace."""

    def __init__(self, folder: Path, shape: MeshShape) -> None:
        self.folder = folder
        self.shape = shape
        self.layout = plan(shape)
        self._ruled = frozenset(self.layout.ruled)
        self._http_endpoints = [each for each in self.layout.endpoints if each.service.protocol == HTTP]

    def workloads(self) -> Sequence[tuple[str, str]]:
        """(namespace, name) of those with a proxy."""
        return self.layout.workloads

    def write(self) -> None:
        for namespace in (objects.ROOT, *self.layout.namespaces):
            (self.folder / namespace).mkdir(parents=True)
        for document in self._documents():
            self._write(document)

    def _documents(self) -> Iterator[Document]:
        layout = self.layout
        yield objects.mesh_config()
        yield objects.peer_authentication()
        yield from map(objects.namespace_policy, layout.namespaces)
        yield from map(objects.service, layout.services)
        yield from map(objects.workload_entry, layout.endpoints)
        yield from map(objects.destination_rule, layout.ruled)
        yield from map(self._virtual_service, layout.routed)
        yield from (objects.app_policy(layout, service) for service in layout.guarded)
        yield from (objects.service_entry(layout, number) for number in range(layout.externals))
        if self.shape.scoped:
            yield from (objects.sidecar(name, imports) for name, imports in layout.imports.items())

    def _virtual_service(self, of: Service, timeout_seconds: int = 5) -> Document:
        return objects.virtual_service(of, has_subsets=of in self._ruled, timeout_seconds=timeout_seconds)

    def _path(self, document: Document) -> Path:
        metadata = document["metadata"]
        name = f"{document['kind'].lower()}-{metadata['name']}.yaml"
        return self.folder / str(metadata["namespace"]) / name

    def _write(self, document: Document) -> None:
        """At once, for whoever reads: hidden files are not configuration."""
        path = self._path(document)
        hidden = path.with_name(f".{path.name}")
        hidden.write_text(yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False))
        hidden.rename(path)

    # --- changes ------------------------------------------------------------------------------------------------

    def change_endpoint(self, number: int) -> Concern:
        """The weight of one endpoint of an HTTP service, with each number of another."""
        endpoint = self._http_endpoints[number % len(self._http_endpoints)]
        return self._reweigh([endpoint], weight=2 + 2 * number)

    def replicated_workload(self) -> tuple[tuple[str, str], Concern]:
        """One of several replicas of an HTTP service, with a proxy; and what a change of its health concerns."""
        endpoint = next(
            each
            for each in self._http_endpoints
            if each.service.replicas > 1 and each.workload in self.layout.everybody
        )
        return endpoint.workload, self._concern({endpoint.service}, ENDPOINT)

    def churn(self, count: int, number: int) -> Concern:
        """The weights of `count` different endpoints; the next number goes on where this one ends."""
        every = self.layout.endpoints
        chosen = [every[(number * count + place) % len(every)] for place in range(min(count, len(every)))]
        return self._reweigh(chosen, weight=3 + 2 * number)  # what change_endpoint never gives

    def _reweigh(self, endpoints: Sequence[Endpoint], weight: int) -> Concern:
        for endpoint in endpoints:
            self._write(objects.workload_entry(endpoint, weight))
        services = {endpoint.service for endpoint in endpoints}
        return self._concern(services, ENDPOINT)

    def _concern(self, services: set[Service], *type_urls: str) -> Concern:
        importers = frozenset().union(*map(self.layout.importers, services))
        return Concern(importers, frozenset(type_urls))

    def scale_up(self, number: int, count: int) -> Concern:
        """`count` more endpoints, without proxies, for the service of a number."""
        service = self.layout.services[number]
        for endpoint in self._later_endpoints(service, count):
            self._write(objects.workload_entry(endpoint))
        return self._concern({service}, ENDPOINT)

    def scale_down(self, number: int, count: int) -> Concern:
        """What `scale_up` did, undone."""
        service = self.layout.services[number]
        for endpoint in self._later_endpoints(service, count):
            self._path(objects.workload_entry(endpoint)).unlink()
        return self._concern({service}, ENDPOINT)

    def _later_endpoints(self, service: Service, count: int) -> Iterator[Endpoint]:
        first = _FIRST_NEW_PLACE + service.number * _NEW_PLACES
        later = replace(service, first_endpoint=first)
        return (Endpoint(later, service.replicas + place) for place in range(count))

    def change_virtual_service(self, number: int) -> Concern:
        """The timeout of one VirtualService."""
        service = self.layout.routed[number % len(self.layout.routed)]
        self._write(self._virtual_service(service, timeout_seconds=6 + number))
        return self._concern({service}, ROUTE)

    def change_policy(self, number: int) -> Concern:
        """What may be asked of one application."""
        service = self.layout.guarded[number % len(self.layout.guarded)]
        self._write(objects.app_policy(self.layout, service, closed_path=f"/internal-{number}"))
        replicas = frozenset(endpoint.workload for endpoint in service.endpoints)
        return Concern(replicas & self.layout.everybody, frozenset({LISTENER}))

    def new_service(self, number: int) -> Concern:
        """A service of one endpoint, with a port that the callers know from other services."""
        service = self._new_service(number)
        self._write(objects.workload_entry(next(service.endpoints)))
        self._write(objects.service(service))
        return self._concern({service}, CLUSTER, ENDPOINT, ROUTE)

    def remove_new_service(self, number: int) -> Concern:
        """What `new_service` did, undone. A proxy that gave up the endpoints with the cluster is not told of them."""
        service = self._new_service(number)
        self._path(objects.service(service)).unlink()
        self._path(objects.workload_entry(next(service.endpoints))).unlink()
        return self._concern({service}, CLUSTER, ENDPOINT, ROUTE)

    def _new_service(self, number: int) -> Service:
        model = self._http_endpoints[number % len(self._http_endpoints)].service
        own_number = self.shape.services + number
        place = _FIRST_NEW_PLACE + own_number * _NEW_PLACES
        return replace(model, number=own_number, replicas=1, first_endpoint=place)

    def change_mesh_setting(self, number: int) -> Concern:
        """The connectTimeout of MeshConfig, which is in every cluster of every proxy."""
        self._write(objects.mesh_config(connect_timeout_seconds=11 + number))
        return Concern(self.layout.everybody, frozenset({CLUSTER}))
