"""From sources into the database: a Change becomes one revision."""

from dataclasses import dataclass, field
from typing import Any

from mizzen.config.resource import Resource, ResourceKey
from mizzen.derive.inputs import RESOURCES, UNHEALTHY
from mizzen.incremental import Database
from mizzen.sources.change import Change


@dataclass(slots=True)
class Store:
    """Sets the inputs, and remembers which objects changed since somebody last asked (for the log of changes)."""

    db: Database
    _changed: dict[ResourceKey, None] = field(default_factory=dict)

    def apply(self, change: Change) -> bool:
        """Take in what a source found. False where nothing is different: positions alone change nothing."""
        with self.db.batch():
            for located in change.upserts:
                self._set(located.resource.key, located.resource)
            for key in change.removals:
                self._set(key, None)
        return bool(self._changed)

    def _set(self, key: ResourceKey, resource: Resource[Any] | None) -> None:
        if RESOURCES(self.db, key) == resource:
            return
        self._changed[key] = None
        if resource is None:
            self.db.remove(RESOURCES, key)
        else:
            self.db.set(RESOURCES, key, resource)

    def report_health(self, workload: ResourceKey, reason: str) -> bool:
        """A workload that must get no traffic, by reason; "" where it is well again. True where that is news."""
        if (UNHEALTHY(self.db, workload) or "") == reason:
            return False
        self._changed[workload] = None
        if reason:
            self.db.set(UNHEALTHY, workload, reason)
        else:
            self.db.remove(UNHEALTHY, workload)
        return True

    def take_changed(self) -> tuple[ResourceKey, ...]:
        changed, self._changed = tuple(self._changed), {}
        return changed
