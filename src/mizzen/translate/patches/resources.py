"""Patched resources: what the mesh made, and what EnvoyFilters make of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.resource import ResourceKey
from mizzen.config.types.envoy_filter import (
    ApplyTo,
    EnvoyConfigObjectPatch,
    ListenerMatch,
    Operation,
    PatchContext,
)
from mizzen.derive.envoy_filters import FilterKeys, patches
from mizzen.derive.inputs import BY_KIND
from mizzen.incremental import Database, query
from mizzen.model.proxy import AS_THE_MESH, ProxyKind, ProxySettings
from mizzen.proto.api import (
    Cluster,
    FilterChain,
    HttpFilter,
    Listener,
    ListenerFilter,
    NetworkFilter,
    Route,
    RouteConfiguration,
    VirtualHost,
)
from mizzen.translate.built import Built, Origin, ResourceRef, all_origins, built
from mizzen.translate.patches.clusters import cluster_matches, patch_cluster
from mizzen.translate.patches.listeners import INBOUND, LISTENER_PARTS, listener_matches, patch_listener
from mizzen.translate.patches.routes import ROUTE_PARTS, patch_routes
from mizzen.translate.patches.settings import concern_clusters, settle_cluster, settle_listener, settle_routes
from mizzen.translate.patches.values import UnusableError, operation, value
from mizzen.xds.resource import CLUSTER, LISTENER, ROUTE

# What of a patch concerns a type of resource, and the message of the whole resource.
_PARTS: dict[str, tuple[frozenset[ApplyTo], type[Any]]] = {
    CLUSTER: (frozenset({ApplyTo.CLUSTER}), Cluster),
    LISTENER: (LISTENER_PARTS, Listener),
    ROUTE: (ROUTE_PARTS, RouteConfiguration),
}
# The message that a value must be.
_LIKE: dict[ApplyTo, type[Any]] = {
    ApplyTo.CLUSTER: Cluster,
    ApplyTo.LISTENER: Listener,
    ApplyTo.LISTENER_FILTER: ListenerFilter,
    ApplyTo.FILTER_CHAIN: FilterChain,
    ApplyTo.NETWORK_FILTER: NetworkFilter,
    ApplyTo.HTTP_FILTER: HttpFilter,
    ApplyTo.ROUTE_CONFIGURATION: RouteConfiguration,
    ApplyTo.VIRTUAL_HOST: VirtualHost,
    ApplyTo.HTTP_ROUTE: Route,
}
_WHOLE = {CLUSTER: frozenset({ApplyTo.CLUSTER}), LISTENER: frozenset({ApplyTo.LISTENER})}


@dataclass(frozen=True, slots=True)
class Patching:
    """Which EnvoyFilters hold for a proxy, what kind of proxy it is, and what its settings are."""

    filters: FilterKeys
    kind: ProxyKind
    settings: ProxySettings = AS_THE_MESH


def is_patched(db: Database, patching: Patching, type_url: str) -> bool:
    """Whether anything at all is said about a type of resource."""
    if type_url in {LISTENER, ROUTE} and patching.settings != AS_THE_MESH:
        return True
    if type_url == CLUSTER and concern_clusters(patching.settings):
        return True
    return type_url in _PARTS and bool(patches(db, patching.filters, _PARTS[type_url][0]))


def patched_refs(
    db: Database, patching: Patching, type_url: str, refs: tuple[ResourceRef, ...]
) -> Iterator[ResourceRef]:
    """The resources of a type, each to be patched, without those that a patch removes."""
    whole = patches(db, patching.filters, _WHOLE.get(type_url, frozenset()))
    removing = [patch for _, _, patch in whole if operation(patch) is Operation.REMOVE]
    for ref in refs:
        if not any(_removes(db, patch, patching, ref) for patch in removing):
            yield replace(ref, build=patched, arguments=(ref, patching))


def added_refs(db: Database, patching: Patching, type_url: str) -> Iterator[ResourceRef]:
    """The resources of a type that patches bring."""
    for key, index, patch in patches(db, patching.filters, _WHOLE.get(type_url, frozenset())):
        if operation(patch) is Operation.ADD and _is_for(patch, patching.kind):
            name = addition(db, key, index)
            if name:
                yield ResourceRef(type_url, name, added, (type_url, key, index))


def _is_for(patch: EnvoyConfigObjectPatch, kind: ProxyKind) -> bool:
    context = _context_of(patch)
    return context is PatchContext.ANY or (context is PatchContext.GATEWAY) == (kind is ProxyKind.GATEWAY)


def _context_of(patch: EnvoyConfigObjectPatch) -> PatchContext:
    return patch.match.context if patch.match else PatchContext.ANY


def _removes(db: Database, patch: EnvoyConfigObjectPatch, patching: Patching, ref: ResourceRef) -> bool:
    message = _message(ref.build(db, *ref.arguments), ref.type_url)
    if not _context_matches(patch, patching.kind, ref, message):
        return False
    if isinstance(message, Listener):
        return listener_matches(message, (patch.match.listener if patch.match else None) or ListenerMatch())
    return cluster_matches(ref, message, patch)


@query
def addition(db: Database, key: ResourceKey, index: int) -> str:
    """The name of what a patch adds; "" where it has none or is no such thing (`problems` tells)."""
    for _, number, patch in patches(db, (key,), frozenset(_LIKE)):
        if number == index:
            try:
                return str(getattr(value(patch, _LIKE[patch.apply_to]), "name", ""))
            except UnusableError:
                break
    return ""


@query
def added(db: Database, type_url: str, key: ResourceKey, index: int) -> Built:
    """A resource that a patch brings whole."""
    found = next(patch for _, number, patch in patches(db, (key,), _WHOLE[type_url]) if number == index)
    return built(type_url, value(found, _PARTS[type_url][1]), (_origin(key, index),))


@query
def patched(db: Database, ref: ResourceRef, patching: Patching) -> Built:
    """A resource as the EnvoyFilters leave it. A patch whose value does not fit Envoy's API is left out; `problems`
    tells of it.
    """
    made: Built = ref.build(db, *ref.arguments)
    message = _message(made, ref.type_url)
    _settle(message, patching)
    origins: list[Origin] = []
    for key, index, patch in patches(db, patching.filters, _PARTS[ref.type_url][0]):
        if not _context_matches(patch, patching.kind, ref, message):
            continue
        try:
            changed = _apply(message, ref, patch)
        except UnusableError:
            continue
        if changed:
            origins.append(_origin(key, index))
    if not origins and patching.settings == AS_THE_MESH:
        return made
    return built(ref.type_url, message, (*all_origins(made), *origins), made.resource.warms)


def _settle(message: Any, patching: Patching) -> None:
    if isinstance(message, Listener):
        settle_listener(message, patching.settings, edge=patching.kind is ProxyKind.GATEWAY)
    elif isinstance(message, RouteConfiguration):
        settle_routes(message, patching.settings)
    elif isinstance(message, Cluster):
        settle_cluster(message, patching.settings)


def _message(made: Built, type_url: str) -> Any:
    return _PARTS[type_url][1].FromString(made.resource.body)


def _origin(key: ResourceKey, index: int) -> Origin:
    return Origin("", key, ("spec", "configPatches", index))


def _context_matches(
    patch: EnvoyConfigObjectPatch, kind: ProxyKind, ref: ResourceRef, message: Message
) -> bool:
    context = _context_of(patch)
    if kind is ProxyKind.GATEWAY:
        return context in {PatchContext.ANY, PatchContext.GATEWAY}
    inbound = ref.inbound or (isinstance(message, Listener) and message.traffic_direction == INBOUND)
    own = PatchContext.SIDECAR_INBOUND if inbound else PatchContext.SIDECAR_OUTBOUND
    return context in {PatchContext.ANY, own}


def _apply(message: Any, ref: ResourceRef, patch: EnvoyConfigObjectPatch) -> bool:
    if ref.type_url == LISTENER:
        return patch_listener(message, patch)
    if ref.type_url == ROUTE:
        return patch_routes(message, patch, ref.port)
    return cluster_matches(ref, message, patch) and patch_cluster(message, patch)


@query
def problems(db: Database) -> tuple[Diagnostic, ...]:
    """Patches whose value is not what Envoy's API has in that place: they are left out."""
    found = []
    for key in BY_KIND(db, "EnvoyFilter"):
        for _, index, patch in patches(db, (key,), frozenset(_LIKE)):
            try:
                value(patch, _LIKE[patch.apply_to])
            except UnusableError as error:
                path = ("spec", "configPatches", index, "patch", "value")
                message = f"is no {patch.apply_to.value} of Envoy's API: {error}"
                found.append(Diagnostic("MZ0401", message, key, path))
    return tuple(found)
