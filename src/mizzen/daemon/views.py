"""Views: the resources of all proxies that share them, observed once and kept as a snapshot."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from mizzen.incremental import Database, Failure, Observed
from mizzen.model.proxy import ProxyView
from mizzen.translate.built import ResourceRef, resource
from mizzen.translate.bundle import bundle
from mizzen.xds.resource import DiscoveryResource, Snapshot

_Resources = dict[str, dict[str, DiscoveryResource]]


class View:
    """What the proxies of one ProxyView should hold. `snapshot` is replaced, never changed.

    A resource whose query failed keeps its last good version (`failures` says why); a new one is left out.
    """

    def __init__(self, db: Database, key: ProxyView) -> None:
        self.key = key
        self.users = 0
        self.refs: dict[tuple[str, str], ResourceRef] = {}
        self.failures: dict[tuple[str, str], Failure] = {}
        self._db = db
        db.observe(bundle, key)
        self.snapshot = Snapshot(db.revision, MappingProxyType({}))
        self.rebundle()

    def rebundle(self) -> tuple[set[ResourceRef], set[ResourceRef]]:
        """Take in a changed bundle. Returns the resources that came and those that left."""
        made = self._db.result(bundle, self.key)
        if isinstance(made, Failure):
            self.failures["", "bundle"] = made
            return set(), set()
        self.failures.pop(("", "bundle"), None)
        before, after = set(self.refs.values()), set(made.refs)
        for ref in after - before:
            self._db.observe(resource, ref)
        for ref in before - after:
            self._db.unobserve(resource, ref)
        self.refs = {(ref.type_url, ref.name): ref for ref in made.refs}
        self._replace({(ref.type_url, ref.name) for ref in before ^ after})
        return after - before, before - after

    def refresh(self, changed: Iterable[ResourceRef]) -> None:
        """Take in changed resources."""
        self._replace({(ref.type_url, ref.name) for ref in changed})

    def _replace(self, slots: Iterable[tuple[str, str]]) -> None:
        """A new snapshot that differs in these slots; the mappings of other types stay the same objects."""
        maps: dict[str, Mapping[str, DiscoveryResource]] = dict(self.snapshot.resources)
        copied: _Resources = {}
        for type_url, name in slots:
            target = copied.setdefault(type_url, dict(maps.get(type_url, {})))
            ref = self.refs.get((type_url, name))
            made: Any = None if ref is None else self._db.result(resource, ref)
            self.failures.pop((type_url, name), None)
            if isinstance(made, Failure):
                self.failures[type_url, name] = made
            elif made is None:
                target.pop(name, None)
            else:
                target[name] = made
        differing = {t: m for t, m in copied.items() if m != maps.get(t)}
        if differing:
            self.snapshot = Snapshot(self._db.revision, MappingProxyType({**maps, **differing}))

    def close(self) -> None:
        for ref in self.refs.values():
            self._db.unobserve(resource, ref)
        self._db.unobserve(bundle, self.key)


class Views:
    """All views that connected proxies need. A view lives as long as somebody uses it."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._views: dict[ProxyView, View] = {}
        self._holders: dict[ResourceRef, set[View]] = {}

    def __iter__(self) -> Iterator[View]:
        return iter(self._views.values())

    def acquire(self, key: ProxyView) -> View:
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = View(self._db, key)
            self._hold(view, view.refs.values())
        view.users += 1
        return view

    def release(self, view: View) -> None:
        view.users -= 1
        if view.users == 0:
            del self._views[view.key]
            self._let_go(view, view.refs.values())
            view.close()

    def take_in(self, observed: Iterable[Observed]) -> set[View]:
        """What a refresh of the database found. Returns the views whose snapshot is another now."""
        before = {view: view.snapshot for view in self._views.values()}
        changed: dict[View, list[ResourceRef]] = {}
        for query, key in observed:
            if query is bundle and key[0] in self._views:
                view = self._views[key[0]]
                came, left = view.rebundle()
                self._hold(view, came)
                self._let_go(view, left)
            elif query is resource:
                for view in self._holders.get(key[0], ()):
                    changed.setdefault(view, []).append(key[0])
        for view, refs in changed.items():
            view.refresh(refs)
        return {view for view, snapshot in before.items() if view.snapshot is not snapshot}

    def _hold(self, view: View, refs: Iterable[ResourceRef]) -> None:
        for ref in refs:
            self._holders.setdefault(ref, set()).add(view)

    def _let_go(self, view: View, refs: Iterable[ResourceRef]) -> None:
        for ref in refs:
            holders = self._holders[ref]
            holders.discard(view)
            if not holders:
                del self._holders[ref]
