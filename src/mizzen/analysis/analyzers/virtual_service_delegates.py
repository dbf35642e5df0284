"""Do delegations of a VirtualService end, and where they should?

Istio's rule: a VirtualService delegates to one without hosts, and that one delegates no further.
"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import VirtualService
from mizzen.derive.inputs import RESOURCES
from mizzen.incremental import Database, query

_MOST_STEPS = 32  # of a chain of delegations: what is longer is as wrong as a circle


@query
def delegates(db: Database, key: ResourceKey) -> tuple[ResourceKey, ...] | None:
    """Where the routes of a VirtualService delegate to; None: there is no such VirtualService."""
    resource = RESOURCES(db, key)
    if resource is None or not isinstance(resource.spec, VirtualService):
        return None
    found = (http.delegate for http in resource.spec.http if http.delegate is not None)
    return tuple(
        ResourceKey("VirtualService", delegate.namespace or key.namespace, delegate.name)
        for delegate in found
    )


@analyzer("VirtualService", codes="IST0101 MZ0201 MZ0202")
def virtual_service_delegates(db: Database, resource: Resource[VirtualService]) -> Findings:
    for index, http in enumerate(resource.spec.http):
        if http.delegate is None:
            continue
        path = ("spec", "http", index, "delegate")
        namespace = http.delegate.namespace or resource.key.namespace
        key = ResourceKey("VirtualService", namespace, http.delegate.name)
        further = delegates(db, key)
        if further is None:
            yield Finding("IST0101", path, f"there is no {key}", "create it or correct the name")
        elif (circle := _circle(db, resource.key, key)) is not None:
            message = f"the delegation goes in a circle: {' -> '.join(map(str, circle))}"
            yield Finding("MZ0201", path, message, "end it: a delegate must not delegate")
        elif further:
            message = f"{key} delegates further, and Istio follows one step only"
            yield Finding("MZ0202", path, message, "move its routes into the delegate")


def _circle(db: Database, start: ResourceKey, first: ResourceKey) -> tuple[ResourceKey, ...] | None:
    """The way from `start` over `first` back to `start`, if there is one.

    A search of what is reachable, each object once: bounded, and never a cycle of queries.
    """
    came_from: dict[ResourceKey, ResourceKey] = {first: start}
    queue = [first]
    while queue:
        key = queue.pop(0)
        for following in (start,) if key == start else delegates(db, key) or ():
            if following == start:
                return _way(came_from, start, key)
            if following not in came_from and len(came_from) < _MOST_STEPS:
                came_from[following] = key
                queue.append(following)
    return None


def _way(
    came_from: dict[ResourceKey, ResourceKey], start: ResourceKey, end: ResourceKey
) -> tuple[ResourceKey, ...]:
    way = [start]
    key = end
    while key != start:
        way.append(key)
        key = came_from[key]
    return (start, *reversed(way[1:]), start)
