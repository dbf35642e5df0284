"""Views that are observed as the daemon observes them: the list of their resources, and each of these."""

from collections.abc import Iterable, Mapping

from mizzen.incremental import Database
from mizzen.model.proxy import ProxyView
from mizzen.translate.built import ResourceRef, resource
from mizzen.xds.resource import DiscoveryResource
from tests.support.mesh import references

Slot = tuple[str, str]
"""A resource of a view: (type_url, name)."""


class Watched:
    """Some views of a database, kept up to date by `refresh` alone: nothing is asked for twice."""

    def __init__(self, db: Database, *views: ProxyView) -> None:
        self.db = db
        self.views: dict[ProxyView, dict[Slot, ResourceRef]] = {view: {} for view in views}
        self.held: dict[ResourceRef, DiscoveryResource] = {}
        for view in views:
            db.observe(references, view)
        self.refresh()

    def refresh(self) -> list[DiscoveryResource]:
        """Take in what changed, as a daemon would: changed lists first, then the resources that they now name.
        Returns the resources that are new or other than before.
        """
        changed: dict[ResourceRef, None] = {}
        for _ in range(2):  # observing what a changed list names takes a second round
            for query, key in self.db.refresh():
                if query is references:
                    self._relist(key[0])
                else:
                    changed[key[0]] = None
        # What no list names any more may have failed: the service that it was made of is gone.
        wanted = {ref for refs in self.views.values() for ref in refs.values()}
        fresh = {ref: self.db.value(resource, ref) for ref in changed if ref in wanted}
        self.held = {ref: made for ref, made in {**self.held, **fresh}.items() if ref in wanted}
        return list(fresh.values())

    def _relist(self, view: ProxyView) -> None:
        before = self.views[view]
        after = {(ref.type_url, ref.name): ref for ref in self.db.value(references, view)}
        for ref in after.values():
            self.db.observe(resource, ref)
        for ref in before.values():
            self.db.unobserve(resource, ref)
        self.views[view] = after

    def resources(self, view: ProxyView) -> Mapping[Slot, DiscoveryResource]:
        """What the proxies of a view hold."""
        return {slot: self.held[ref] for slot, ref in self.views[view].items()}


def from_scratch(db: Database, view: ProxyView) -> Mapping[Slot, DiscoveryResource]:
    """What the proxies of a view should hold, asked for directly."""
    return {(ref.type_url, ref.name): resource(db, ref) for ref in db.value(references, view)}


def names(resources: Iterable[DiscoveryResource]) -> list[str]:
    """Names of resources, for assertions: "ClusterLoadAssignment outbound|..."."""
    return sorted(f"{item.type_url.rpartition('.')[2]} {item.name}" for item in resources)
