"""What discovery moves: a resource that was encoded once, and the set of them that one kind of proxy should hold."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from mizzen.xds import encoding

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
    # What stands before `body` on the wire: encoded here, once, for all proxies that will ever get this resource.
    head: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        head = encoding.resource_head(self.type_url, self.name, self.version, len(self.body))
        object.__setattr__(self, "head", head)


def discovery_resource(
    type_url: str, name: str, body: bytes, warms: tuple[tuple[str, str], ...] = ()
) -> DiscoveryResource:
    """A resource whose version is the hash of its bytes."""
    version = blake2b(body, digest_size=8).hexdigest()
    return DiscoveryResource(type_url, name, version, body, warms)


# Types whose absent resources are answered by an empty one of that name. Without its routes Envoy stays INITIALIZING;
# endpoints that it is told are removed it goes on using.
STAND_IN_TYPES = frozenset({ENDPOINT, ROUTE})
ABSENT = "absent"
"""The version of every stand-in."""


def stand_in(type_url: str, name: str) -> DiscoveryResource:
    """The empty resource for a name that does not exist: field 1 of either message is its name."""
    assert type_url in STAND_IN_TYPES
    return DiscoveryResource(type_url, name, ABSENT, encoding.string_field(1, name))


class Layers(Mapping[str, DiscoveryResource]):
    """Resources of one type in two layers: what is a view's own lies over what it shares with others, and hides what has
    the same name there. Never changed; compared by identity, as all states are.
    """

    __slots__ = ("__weakref__", "_size", "common", "own")

    def __init__(self, own: Mapping[str, DiscoveryResource], common: Mapping[str, DiscoveryResource]) -> None:
        self.own = own
        self.common = common
        self._size = len(common) + sum(name not in common for name in own)

    def __getitem__(self, name: str) -> DiscoveryResource:
        return self.own[name] if name in self.own else self.common[name]

    def get(self, name: str, default: Any = None) -> Any:
        found = self.own.get(name)
        return self.common.get(name, default) if found is None else found

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self.common

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from (name for name in self.common if name not in self.own)

    def __len__(self) -> int:
        return self._size

    __eq__ = object.__eq__
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Everything that the proxies of one view should hold, at one revision: type_url -> name -> resource.

    Immutable and shared: all proxies of a view hold the same object. Mappings of types that did not change are
    the same objects as in the snapshot before, so `is` tells what changed.
    """

    revision: int
    resources: Mapping[str, Mapping[str, DiscoveryResource]]

    def of(self, type_url: str) -> Mapping[str, DiscoveryResource]:
        return self.resources.get(type_url, NOTHING)


NOTHING: Mapping[str, DiscoveryResource] = MappingProxyType({})
"""The one empty mapping: it is compared by identity, as all mappings of a snapshot are."""
