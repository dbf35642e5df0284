"""The namespaces in which something runs or is declared."""

from collections.abc import Iterable

from mizzen.derive.inputs import BY_KIND
from mizzen.derive.mesh import root_namespace
from mizzen.incremental import Database

_SERVED = ("Service", "ServiceEntry", "WorkloadEntry", "Pod", "Deployment")
_MOST_NAMED = 5


def used_namespaces(db: Database) -> frozenset[str]:
    """Without the root namespace: what runs there is the mesh's own."""
    return frozenset(key.namespace for kind in _SERVED for key in BY_KIND(db, kind)) - {root_namespace(db)}


def listed(namespaces: Iterable[str]) -> str:
    """Some of the names, for a message."""
    names = sorted(namespaces)
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
