"""A mesh in memory for tests: YAML in, Envoy resources out, without a daemon."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from mizzen.config.decode import decode
from mizzen.config.resource import Resource, ResourceKey
from mizzen.derive.inputs import RESOURCES, SETTINGS, MeshSettings
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import Binding, ProxyKind, ProxyView
from mizzen.proto import api
from mizzen.translate.built import ResourceRef, origins, resource
from mizzen.translate.bundle import bundle, members
from mizzen.translate.name_table import NAME_TABLE
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, DiscoveryResource

CLASSES = {
    CLUSTER: api.Cluster,
    ENDPOINT: api.ClusterLoadAssignment,
    LISTENER: api.Listener,
    NAME_TABLE: api.NameTable,
    ROUTE: api.RouteConfiguration,
    SECRET: api.Secret,
}


@query
def references(db: Database, view: ProxyView) -> tuple[ResourceRef, ...]:
    """All resources of a view: what its bundle names."""
    return tuple(ref for found in bundle(db, view).sets for ref in members(db, found))


class Mesh:
    """A database filled from YAML. `apply` adds or replaces objects and fails on any error in the text."""

    def __init__(self, *texts: str, trust_domain: str = "cluster.local") -> None:
        self.db = Database()
        self.db.set(SETTINGS, "mesh", MeshSettings(trust_domain))
        self.apply(*texts)

    def apply(self, *texts: str) -> None:
        with self.db.batch():
            for text in texts:
                decoded = decode(text, "test.yaml")
                errors = [found for found in decoded.diagnostics if found.severity.value == "error"]
                assert not errors, errors
                for located in decoded.located:
                    self.db.set(RESOURCES, located.resource.key, located.resource)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        self.db.remove(RESOURCES, ResourceKey(kind, namespace, name))

    def object(self, kind: str, namespace: str, name: str) -> Resource[Any]:
        found = RESOURCES(self.db, ResourceKey(kind, namespace, name))
        assert found is not None
        return found

    def refs(self, view: ProxyView) -> Mapping[tuple[str, str], ResourceRef]:
        return {(ref.type_url, ref.name): ref for ref in references(self.db, view)}

    def resources(self, view: ProxyView) -> list[DiscoveryResource]:
        return [resource(self.db, ref) for ref in references(self.db, view)]

    def messages(self, view: ProxyView, type_url: str) -> dict[str, Message]:
        found = (item for item in self.resources(view) if item.type_url == type_url)
        return {item.name: CLASSES[type_url].FromString(item.body) for item in found}

    def message(self, view: ProxyView, type_url: str, name: str) -> Any:
        ref = self.refs(view)[type_url, name]
        return CLASSES[type_url].FromString(resource(self.db, ref).body)

    def origins(
        self, view: ProxyView, type_url: str, name: str
    ) -> list[tuple[str, str, tuple[str | int, ...]]]:
        found = origins(self.db, self.refs(view)[type_url, name])
        return [(origin.part, str(origin.key), origin.path) for origin in found]


def sidecar(namespace: str, *, binding: Binding | None = None, **labels: str) -> ProxyView:
    return ProxyView(ProxyKind.SIDECAR, namespace, FrozenMap(labels), binding=binding)


def agent(namespace: str, **labels: str) -> ProxyView:
    """Of the agent beside a sidecar."""
    return ProxyView(ProxyKind.SIDECAR, namespace, FrozenMap(labels), agent=True)


def gateway(namespace: str, **labels: str) -> ProxyView:
    return ProxyView(ProxyKind.GATEWAY, namespace, FrozenMap(labels))
