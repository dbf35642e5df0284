"""Istio's "oldest first": which of several objects for the same holds."""

from typing import Any

from mizzen.config.resource import Resource, ResourceKey
from mizzen.derive.inputs import BY_NAMESPACE, RESOURCES
from mizzen.incremental import Database, query


def age(resource: Resource[object]) -> tuple[bool, str, ResourceKey]:
    """Sort key of Istio's "oldest first": creation time where known, then name and namespace."""
    return (not resource.created, resource.created, resource.key)


@query
def oldest_first(db: Database, kind: str, namespace: str) -> tuple[Resource[Any], ...]:
    """The objects of a kind in a namespace."""
    found = (RESOURCES(db, key) for key in BY_NAMESPACE(db, (kind, namespace)))
    return tuple(sorted((one for one in found if one is not None), key=age))
