"""Views: what the proxies that share a configuration should hold, observed once and kept as a snapshot.

What views have in common exists once. A view names a ResourceSet for what is its own and one for what it shares; sets
with the same members, whoever listed them, are one Collection with one mapping. So a mesh in which everybody sees
everything holds its clusters once, and a change of one is one change.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from weakref import WeakValueDictionary

from mizzen.incremental import Database, Failure, Observed
from mizzen.model.proxy import ProxyView
from mizzen.translate.built import ResourceRef, resource
from mizzen.translate.bundle import ResourceSet, bundle, members
from mizzen.xds.resource import NOTHING, DiscoveryResource, Layers, Snapshot

_State = Mapping[str, DiscoveryResource]


class Collection:
    """Some resources of one type, by name. `resources` is replaced, never changed.

    A resource whose query failed keeps its last good version (`failures` says why); a new one is left out. `before` is
    what the first user held until now: a failure does not take it away.
    """

    def __init__(self, db: Database, refs: tuple[ResourceRef, ...], before: _State) -> None:
        self.key = refs
        self.users: set[Listing] = set()
        self.refs = {ref.name: ref for ref in refs}
        self.failures: dict[str, Failure] = {}
        self.resources: _State = {name: before[name] for name in self.refs if name in before}
        self._db = db
        self.take({ref.name: db.follow(resource, ref) for ref in refs})

    def take(self, made: Mapping[str, DiscoveryResource | Failure]) -> None:
        """Take in what became of these resources."""
        changed: dict[str, DiscoveryResource] = {}
        for name, found in made.items():
            self.failures.pop(name, None)
            if isinstance(found, Failure):
                self.failures[name] = found
            elif found != self.resources.get(name):
                changed[name] = found
        if changed:
            self.resources = {**self.resources, **changed}

    def close(self) -> None:
        for ref in self.key:
            self._db.unobserve(resource, ref)


class Listing:
    """The members of one ResourceSet, and the collection of these. `before` is what its first user held instead: it stays
    in force while the list cannot be made.
    """

    def __init__(self, key: ResourceSet, before: _State) -> None:
        self.key = key
        self.users: set[View] = set()
        self.collection: Collection | None = None
        self.failure: Failure | None = None  # of the list: the collection stays as it was
        self._before = before

    @property
    def is_own(self) -> bool:
        return self.key.common is None

    @property
    def resources(self) -> _State:
        return self.collection.resources if self.collection else self._before


class View:
    """What the proxies of one ProxyView should hold. `snapshot` is replaced, never changed."""

    def __init__(self, key: ProxyView) -> None:
        self.key = key
        self.users = 0
        self.listings: dict[str, tuple[Listing, ...]] = {}  # by type: its own before what it shares
        self.failure: Failure | None = None  # of the bundle: the listings stay as they were
        self.snapshot = Snapshot(0, {})

    @property
    def kinship(self) -> tuple[int, ...]:
        """The same for views that share what can be shared."""
        return tuple(id(each) for found in self.listings.values() for each in found if not each.is_own)

    def ref(self, type_url: str, name: str) -> ResourceRef | None:
        for listing in self.listings.get(type_url, ()):
            if listing.collection and name in listing.collection.refs:
                return listing.collection.refs[name]
        return None


class Views:
    """All views that connected proxies need. A view, and what it is made of, lives as long as somebody uses it."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._views: dict[ProxyView, View] = {}
        self._listings: dict[ResourceSet, Listing] = {}
        self._collections: dict[tuple[ResourceRef, ...], Collection] = {}
        self._holders: dict[ResourceRef, set[Collection]] = {}
        # By the identities of the layers, which they hold.
        self._layers: WeakValueDictionary[tuple[int, int], Layers] = WeakValueDictionary()

    def __iter__(self) -> Iterator[View]:
        return iter(self._views.values())

    def failures(self) -> Iterator[tuple[str, str, Failure]]:
        """What could not be made: (type_url, name, why); without a name where a whole list is concerned."""
        for view in self._views.values():
            if view.failure is not None:
                yield "", "", view.failure
        for listing in self._listings.values():
            if listing.failure is not None:
                yield listing.key.type_url, "", listing.failure
        for collection in self._collections.values():
            for name, failure in collection.failures.items():
                yield collection.refs[name].type_url, name, failure

    def acquire(self, key: ProxyView) -> View:
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = View(key)
            self._db.follow(bundle, key)
            self._rebundle(view)
            self._renew(view)
        view.users += 1
        return view

    def release(self, view: View) -> None:
        view.users -= 1
        if view.users == 0:
            del self._views[view.key]
            self._db.unobserve(bundle, view.key)
            for listings in view.listings.values():
                self._leave(view, listings)

    def take_in(self, observed: Sequence[Observed]) -> set[View]:
        """What a refresh of the database found. Returns the views whose snapshot is another now."""
        concerned: set[View] = set()
        for query, key in observed:
            if query is bundle and key[0] in self._views:
                self._rebundle(self._views[key[0]])
                concerned.add(self._views[key[0]])
        for query, key in observed:
            if query is members and key[0] in self._listings:
                concerned |= self._relist(self._listings[key[0]]).users
        # Only now is it known who holds what.
        changed: dict[Collection, dict[str, DiscoveryResource | Failure]] = {}
        for query, key in observed:
            if query is resource and (holders := self._holders.get(key[0])):
                made = self._db.result(resource, *key)
                for collection in holders:
                    changed.setdefault(collection, {})[key[0].name] = made
        for collection, resources in changed.items():
            collection.take(resources)
            concerned.update(*(listing.users for listing in collection.users))
        return {view for view in concerned if self._renew(view)}

    def _renew(self, view: View) -> bool:
        """Make a new snapshot if anything is different. States of types that are not stay the same objects."""
        states = {type_url: self._state(listings) for type_url, listings in view.listings.items()}
        held = view.snapshot.resources
        if len(held) == len(states) and all(
            held.get(type_url) is state for type_url, state in states.items()
        ):
            return False
        view.snapshot = Snapshot(self._db.revision, states)
        return True

    def _state(self, listings: tuple[Listing, ...]) -> _State:
        """Of what a view holds of a type. Equal layers are the same object, so that what changed is computed once."""
        filled = [listing.resources for listing in listings if listing.resources]
        if len(filled) < 2:
            return filled[0] if filled else NOTHING
        own, common = filled
        key = id(own), id(common)
        layers = self._layers.get(key)
        if layers is None:
            layers = self._layers[key] = Layers(own, common)
        return layers

    def _rebundle(self, view: View) -> None:
        made = self._db.result(bundle, view.key)
        if isinstance(made, Failure):
            view.failure = made
            return
        view.failure = None
        before, view.listings = view.listings, {}
        held = {(type_url, each.is_own): each.resources for type_url in before for each in before[type_url]}
        for key in made.sets:
            entered = self._enter(view, key, held.get((key.type_url, key.common is None), NOTHING))
            view.listings[key.type_url] = (*view.listings.get(key.type_url, ()), entered)
        kept = {listing for listings in view.listings.values() for listing in listings}
        for listings in before.values():
            self._leave(view, [listing for listing in listings if listing not in kept])

    def _enter(self, view: View, key: ResourceSet, before: _State) -> Listing:
        listing = self._listings.get(key)
        if listing is None:
            listing = self._listings[key] = Listing(key, before)
            self._db.follow(members, key)
            self._relist(listing)
        listing.users.add(view)
        return listing

    def _leave(self, view: View, listings: Iterable[Listing]) -> None:
        for listing in listings:
            listing.users.discard(view)
            if not listing.users:
                del self._listings[listing.key]
                self._db.unobserve(members, listing.key)
                self._drop(listing)

    def _relist(self, listing: Listing) -> Listing:
        """Take in what the list names now."""
        listed = self._db.result(members, listing.key)
        if isinstance(listed, Failure):
            listing.failure = listed
            return listing
        listing.failure = None
        old = listing.collection
        if old is not None and old.key == listed:
            return listing
        collection = self._collections.get(listed)
        if collection is None:
            collection = self._collections[listed] = Collection(self._db, listed, listing.resources)
            for ref in listed:
                self._holders.setdefault(ref, set()).add(collection)
        collection.users.add(listing)
        self._drop(listing)
        listing.collection = collection
        return listing

    def _drop(self, listing: Listing) -> None:
        """The listing no longer uses its collection."""
        collection, listing.collection = listing.collection, None
        if collection is None:
            return
        collection.users.discard(listing)
        if collection.users:
            return
        del self._collections[collection.key]
        for ref in collection.key:
            holders = self._holders[ref]
            holders.discard(collection)
            if not holders:
                del self._holders[ref]
        collection.close()
