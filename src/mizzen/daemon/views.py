"""Views: what the proxies that share a configuration should hold, observed once and kept as a snapshot.

Views share, too: the endpoints of a namespace are one `Collection` and one mapping, however many views hold it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mizzen.incremental import Database, Failure, Observed
from mizzen.model.proxy import ProxyView
from mizzen.translate.built import ResourceRef, resource
from mizzen.translate.bundle import ResourceSet, bundle, members
from mizzen.xds.resource import NOTHING, DiscoveryResource, Snapshot


class Collection:
    """The resources of one ResourceSet, by name. `resources` is replaced, never changed.

    A resource whose query failed keeps its last good version (`failures` says why); a new one is left out. `before` is
    what the first user held until now: a failure does not take it away.
    """

    def __init__(self, db: Database, key: ResourceSet, before: Mapping[str, DiscoveryResource]) -> None:
        self.key = key
        self.users = 0
        self.refs: dict[str, ResourceRef] = {}
        self.failures: dict[str, Failure] = {}
        self.resources = before
        self._db = db
        db.observe(members, key)
        self.relist()

    def relist(self) -> tuple[set[ResourceRef], set[ResourceRef]]:
        """Take in a changed list of members. Returns those that came and those that left."""
        listed = self._db.result(members, self.key)
        if isinstance(listed, Failure):
            self.failures[""] = listed
            return set(), set()
        self.failures.pop("", None)
        before, after = set(self.refs.values()), set(listed)
        for ref in after - before:
            self._db.observe(resource, ref)
        for ref in before - after:
            self._db.unobserve(resource, ref)
        self.refs = {ref.name: ref for ref in listed}
        gone = dict.fromkeys(name for name in self.resources if name not in self.refs)
        self.take({**gone, **{ref.name: self._db.result(resource, ref) for ref in after - before}})
        return after - before, before - after

    def take(self, made: Mapping[str, DiscoveryResource | Failure | None]) -> None:
        """Take in what became of these resources; None: gone."""
        changed: dict[str, DiscoveryResource | None] = {}
        for name, found in made.items():
            self.failures.pop(name, None)
            if isinstance(found, Failure):
                self.failures[name] = found
            elif found != self.resources.get(name):
                changed[name] = found
        if changed:
            merged = {**self.resources, **changed}
            self.resources = {name: found for name, found in merged.items() if found is not None}

    def close(self) -> None:
        for ref in self.refs.values():
            self._db.unobserve(resource, ref)
        self._db.unobserve(members, self.key)


class View:
    """What the proxies of one ProxyView should hold. `snapshot` is replaced, never changed."""

    def __init__(self, key: ProxyView) -> None:
        self.key = key
        self.users = 0
        self.collections: dict[str, Collection] = {}  # by type
        self.failure: Failure | None = None  # of the bundle: the collections stay as they were
        self.snapshot = Snapshot(0, {})

    def ref(self, type_url: str, name: str) -> ResourceRef | None:
        found = self.collections.get(type_url)
        return found.refs.get(name) if found else None

    def resources(self, type_url: str) -> Mapping[str, DiscoveryResource]:
        found = self.collections.get(type_url)
        return found.resources if found else NOTHING

    def renew(self, revision: int) -> bool:
        """Make a new snapshot if anything is different. Mappings of types that are not stay the same objects."""
        held, snapshot = self.collections, self.snapshot.resources
        if len(held) == len(snapshot) and all(snapshot.get(t) is c.resources for t, c in held.items()):
            return False
        self.snapshot = Snapshot(revision, {type_url: found.resources for type_url, found in held.items()})
        return True


class Views:
    """All views that connected proxies need. A view, and a collection, lives as long as somebody uses it."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._views: dict[ProxyView, View] = {}
        self._collections: dict[ResourceSet, Collection] = {}
        self._holders: dict[ResourceRef, set[Collection]] = {}

    def __iter__(self) -> Iterator[View]:
        return iter(self._views.values())

    def failures(self) -> Iterator[tuple[str, str, Failure]]:
        """What could not be made: (type_url, name, why); without a name where a whole list is concerned."""
        for view in self._views.values():
            if view.failure is not None:
                yield "", "", view.failure
        for collection in self._collections.values():
            for name, failure in collection.failures.items():
                yield collection.key.type_url, name, failure

    def acquire(self, key: ProxyView) -> View:
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = View(key)
            self._db.observe(bundle, key)
            self._rebundle(view)
            view.renew(self._db.revision)
        view.users += 1
        return view

    def release(self, view: View) -> None:
        view.users -= 1
        if view.users == 0:
            del self._views[view.key]
            self._db.unobserve(bundle, view.key)
            for collection in view.collections.values():
                self._release(collection)

    def take_in(self, observed: Sequence[Observed]) -> set[View]:
        """What a refresh of the database found. Returns the views whose snapshot is another now."""
        for query, key in observed:
            if query is bundle and key[0] in self._views:
                self._rebundle(self._views[key[0]])
            elif query is members and key[0] in self._collections:
                self._relist(self._collections[key[0]])
        # Only now is it known who holds what: a resource that left its lists is reported, too.
        changed: dict[Collection, dict[str, DiscoveryResource | Failure | None]] = {}
        for query, key in observed:
            if query is resource and (holders := self._holders.get(key[0])):
                made = self._db.result(resource, *key)
                for collection in holders:
                    changed.setdefault(collection, {})[key[0].name] = made
        for collection, resources in changed.items():
            collection.take(resources)
        return {view for view in self._views.values() if view.renew(self._db.revision)}

    def _rebundle(self, view: View) -> None:
        made = self._db.result(bundle, view.key)
        if isinstance(made, Failure):
            view.failure = made
            return
        view.failure = None
        before = view.collections
        view.collections = {
            found.type_url: self._acquire(found, view.resources(found.type_url)) for found in made.sets
        }
        for collection in before.values():
            self._release(collection)

    def _acquire(self, key: ResourceSet, before: Mapping[str, DiscoveryResource]) -> Collection:
        collection = self._collections.get(key)
        if collection is None:
            collection = self._collections[key] = Collection(self._db, key, before)
            self._hold(collection, collection.refs.values())
        collection.users += 1
        return collection

    def _release(self, collection: Collection) -> None:
        collection.users -= 1
        if collection.users == 0:
            del self._collections[collection.key]
            self._let_go(collection, collection.refs.values())
            collection.close()

    def _relist(self, collection: Collection) -> None:
        came, left = collection.relist()
        self._hold(collection, came)
        self._let_go(collection, left)

    def _hold(self, collection: Collection, refs: Iterable[ResourceRef]) -> None:
        for ref in refs:
            self._holders.setdefault(ref, set()).add(collection)

    def _let_go(self, collection: Collection, refs: Iterable[ResourceRef]) -> None:
        for ref in refs:
            holders = self._holders[ref]
            holders.discard(collection)
            if not holders:
                del self._holders[ref]
