"""What a generator makes: the encoded resource, and the origins of its parts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message

from mizzen.config.resource import ResourceKey
from mizzen.incremental import Database, query
from mizzen.proto import api
from mizzen.xds.resource import DiscoveryResource, discovery_resource


@dataclass(frozen=True, slots=True)
class Origin:
    """Which field of which object made a part of an Envoy resource.

    `part` is a path inside the Envoy resource ("virtual_hosts[0].routes[2]", "" for all of it), `path` one inside the
    object. Lines are looked up when somebody asks: they take no part in derivation.
    """

    part: str
    key: ResourceKey
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """`parts`: origins of parts that other resources have, too, below their place in this one ("virtual_hosts[0]")."""

    resource: DiscoveryResource
    origins: tuple[Origin, ...] = ()
    parts: tuple[tuple[str, tuple[Origin, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class ResourceRef:
    """A resource that some proxies should hold: its name, and the query call that makes it."""

    type_url: str
    name: str
    build: Any  # Query[..., Built]
    arguments: tuple[Any, ...]
    # What an EnvoyFilter may ask of it, and its name must not be parsed for.
    inbound: bool = False  # made for what arrives at the workload
    port: int = 0  # of the services behind a route configuration; 0: of several, or of none


def built(
    type_url: str,
    message: Message,
    origins: tuple[Origin, ...] = (),
    warms: tuple[tuple[str, str], ...] = (),
) -> Built:
    """Encode a message, once. Clusters' endpoints are named by cluster_name, all else by name."""
    name: str = getattr(message, "cluster_name", "") or getattr(message, "name", "")
    return Built(discovery_resource(type_url, name, encode(message), warms), origins)


@query
def resource(db: Database, ref: ResourceRef) -> DiscoveryResource:
    """The encoded resource: unchanged where only its origins changed."""
    made: Built = ref.build(db, *ref.arguments)
    return made.resource


def origins(db: Database, ref: ResourceRef) -> tuple[Origin, ...]:
    """The companion of `resource`: where its parts come from."""
    made: Built = ref.build(db, *ref.arguments)
    return all_origins(made)


def all_origins(made: Built) -> tuple[Origin, ...]:
    below = (
        replace(origin, part=".".join(filter(None, (place, origin.part))))
        for place, found in made.parts
        for origin in found
    )
    return (*below, *made.origins)


def encode(message: Message) -> bytes:
    """Serialise with map entries in a fixed order, so that equal content is equal bytes in every daemon."""
    return message.SerializeToString(deterministic=True)


def struct(values: Mapping[str, str]) -> "api.Struct":
    """A Struct of strings, for metadata."""
    made = api.Struct()
    for name, value in values.items():
        made.fields[name].string_value = value
    return made


def pack(message: Message) -> "api.AnyMessage":
    """An Any whose content is serialised deterministically too (Any.Pack would not be)."""
    return api.AnyMessage(
        type_url=f"type.googleapis.com/{message.DESCRIPTOR.full_name}", value=encode(message)
    )
