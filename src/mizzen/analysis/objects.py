"""How analyzers read objects: by key, by kind, by namespace."""

from typing import Any, TypeVar

from mizzen.config.resource import Resource, ResourceKey
from mizzen.derive.inputs import BY_KIND, BY_NAMESPACE, RESOURCES
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, query

T = TypeVar("T")


def spec_of(db: Database, key: ResourceKey, wanted: type[T]) -> T | None:
    """The object's spec, if it is there and of that type."""
    resource = RESOURCES(db, key)
    return resource.spec if resource is not None and isinstance(resource.spec, wanted) else None


def resources(db: Database, kind: str, namespace: str | None = None) -> tuple[Resource[Any], ...]:
    """All objects of a kind, of one namespace or of all. The reader runs again when any of them changes."""
    keys = BY_KIND(db, kind) if namespace is None else BY_NAMESPACE(db, (kind, namespace))
    found = (RESOURCES(db, key) for key in keys)
    return tuple(resource for resource in found if resource is not None)


def exists(db: Database, kind: str, namespace: str, name: str) -> bool:
    """Whether there is such an object. The reader runs again when it comes or goes, not when it changes."""
    return _exists(db, ResourceKey(kind, namespace, name))


@query
def _exists(db: Database, key: ResourceKey) -> bool:
    return RESOURCES(db, key) is not None


@query
def namespace_labels(db: Database, namespace: str) -> FrozenMap[str, str] | None:
    """The labels of a Namespace object; None where there is no such object."""
    resource = RESOURCES(db, ResourceKey("Namespace", "", namespace))
    return None if resource is None else resource.labels


@query
def labels_of(db: Database, key: ResourceKey) -> FrozenMap[str, str]:
    """An object's own labels: a reader does not run again when anything else of the object changes."""
    resource = RESOURCES(db, key)
    return EMPTY if resource is None else resource.labels
