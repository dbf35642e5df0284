"""From sources into the database: what changed is collected, and becomes one revision when somebody commits it."""

from dataclasses import dataclass, field
from typing import Any

from mizzen.config.resource import Resource, ResourceKey
from mizzen.derive.inputs import KEY_SETS, RESOURCES, UNHEALTHY, KeySource
from mizzen.derive.workloads import KINDS
from mizzen.incremental import Database
from mizzen.incremental.definitions import Input
from mizzen.sources.change import Change

HEALTH_CHECKED = (
    "proxy.istio.io/health-checks-enabled"  # Istio's annotation of a WorkloadEntry; of a Pod, here
)
NOT_REPORTED = "its agent has not reported yet"

_Slot = tuple[Input[Any, Any], Any]


@dataclass(slots=True)
class Store:
    """Collects changes of the inputs: the last of each entry, so that a storm takes no more room than the mesh.

    Nothing reaches the database before `commit`. So a refresh takes in exactly the revision that it began with, and
    what the log of changes says of it is true.
    """

    db: Database
    _pending: dict[_Slot, Any] = field(default_factory=dict)

    def apply(self, change: Change, *, at_start: bool = False) -> bool:
        """Take in what a source found. False where there is nothing to commit: positions alone change nothing.

        A workload whose health is checked gets traffic when it is reported well, not before. Those that are there when
        the daemon starts are taken to be well: their agents have not heard of this daemon yet.
        """
        for located in change.upserts:
            resource = located.resource
            if not at_start and _is_checked(resource) and RESOURCES(self.db, resource.key) is None:
                self._set(UNHEALTHY, resource.key, NOT_REPORTED)
            self._set(RESOURCES, resource.key, resource)
        for key in change.removals:
            self._set(RESOURCES, key, None)
            self._set(UNHEALTHY, key, None)
        return bool(self._pending)

    def report_health(self, workload: ResourceKey, reason: str) -> bool:
        """A workload that must get no traffic, by reason; "" where it is well again. True where that is news."""
        known = self._pending.get((UNHEALTHY, workload), UNHEALTHY(self.db, workload))
        self._set(UNHEALTHY, workload, reason or None)
        return (known or "") != reason

    def publish_keys(self, source: KeySource, keys: str) -> None:
        """The key set that was fetched from a source; "" where it is not known any more."""
        self._set(KEY_SETS, source, keys or None)

    def _set(self, source: Input[Any, Any], key: Any, value: Any) -> None:
        if source(self.db, key) == value:
            self._pending.pop((source, key), None)
        else:
            self._pending[source, key] = value

    @property
    def waiting(self) -> int:
        """How many entries wait to be committed."""
        return len(self._pending)

    def commit(self) -> tuple[ResourceKey, ...]:
        """Make one revision of what was collected. Returns the objects that it changes."""
        pending, self._pending = self._pending, {}
        with self.db.batch():
            for (source, key), value in pending.items():
                self.db.set(source, key, value)
        return tuple(dict.fromkeys(key for source, key in pending if source is not KEY_SETS))


def _is_checked(resource: Resource[Any]) -> bool:
    return resource.key.kind in KINDS and resource.annotations.get(HEALTH_CHECKED) == "true"
