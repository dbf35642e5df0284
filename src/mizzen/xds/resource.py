"""What discovery moves: a resource that was encoded once, and the set of them that one kind of proxy should hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

_TYPE = "type.googleapis.com/envoy."
CLUSTER = _TYPE + "config.cluster.v3.Cluster"
ENDPOINT = _TYPE + "config.endpoint.v3.ClusterLoadAssignment"
LISTENER = _TYPE + "config.listener.v3.Listener"
ROUTE = _TYPE + "config.route.v3.RouteConfiguration"
SECRET = _TYPE + "extensions.transport_sockets.tls.v3.Secret"

# Envoy's own order for make-before-break (see "Eventual consistency considerations" in its xDS documentation).
PUSH_ORDER = (CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET)


@dataclass(frozen=True, slots=True)
class DiscoveryResource:
    """One Envoy resource, serialised deterministically.

    `body` is the serialised message itself (not wrapped in Any). `version` is a hash of `body`, so that it is the
    same in every daemon. `warms` names resources as (type_url, name) that must be sent again with this one, even
    unchanged: the endpoints of an EDS cluster, without which Envoy withholds the ACK of the cluster.
    """

    type_url: str
    name: str
    version: str
    body: bytes = field(repr=False)
    warms: tuple[tuple[str, str], ...] = ()


def discovery_resource(
    type_url: str, name: str, body: bytes, warms: tuple[tuple[str, str], ...] = ()
) -> DiscoveryResource:
    """A resource whose version is the hash of its bytes."""
    version = blake2b(body, digest_size=8).hexdigest()
    return DiscoveryResource(type_url, name, version, body, warms)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Everything that the proxies of one view should hold, at one revision: type_url -> name -> resource.

    Immutable and shared: all proxies of a view hold the same object. Mappings of types that did not change are
    the same objects as in the snapshot before, so `is` tells what changed.
    """

    revision: int
    resources: Mapping[str, Mapping[str, DiscoveryResource]]

    def of(self, type_url: str) -> Mapping[str, DiscoveryResource]:
        return self.resources.get(type_url, {})
