"""The daemon's computation for all proxies of a generated mesh, without a daemon around it."""

from dataclasses import dataclass

from benchmarks.load.meshes import Mesh
from mizzen.daemon.store import Store
from mizzen.daemon.views import View, Views
from mizzen.derive.workloads import workload, workload_key
from mizzen.incremental import Database
from mizzen.model.proxy import ProxyKind, ProxyView
from mizzen.sources.files import FileSource


@dataclass(frozen=True)
class Effect:
    """Whom a change concerned, the types of what is another now, and how many queries ran for it."""

    workloads: frozenset[tuple[str, str]]
    type_urls: frozenset[str]
    views: frozenset[View]
    query_runs: int


class OfflineMesh:
    """All proxies of the mesh are connected, as far as computation goes."""

    def __init__(self, mesh: Mesh) -> None:
        self._source, self._db = FileSource([mesh.folder]), Database()
        self._store, self.views = Store(self._db), Views(self._db)
        self.view_of: dict[tuple[str, str], View] = {}
        self.take_in()
        self.view_of = {key: self._view(*key) for key in mesh.workloads()}

    def _view(self, namespace: str, name: str) -> View:
        found = self._db.value(workload, workload_key(namespace, name))
        assert found is not None
        return self.views.acquire(ProxyView(ProxyKind.SIDECAR, namespace, found.labels, found.ports))

    def take_in(self) -> Effect:
        """Read what changed, and compute."""
        before = {view: view.snapshot.resources for view in self.views}
        with self._db.recording() as log:
            self._store.apply(self._source.load())
            self._store.commit()
            changed = self.views.take_in(self._db.refresh())
        types = {
            type_url
            for view in changed
            for type_url, found in view.snapshot.resources.items()
            if found != before[view].get(type_url)
        }
        workloads = frozenset(key for key, view in self.view_of.items() if view in changed)
        return Effect(workloads, frozenset(types), frozenset(changed), len(log.ran))
