"""VirtualServices: which one decides for a host, seen from a namespace or through a gateway."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import (
    HTTPMatchRequest,
    L4MatchAttributes,
    TLSMatchAttributes,
    VirtualService,
)
from mizzen.derive import http_routes, ingress
from mizzen.derive.age import age
from mizzen.derive.hosts import matches, most_specific, qualified
from mizzen.derive.inputs import BY_KIND, BY_NAMESPACE, RESOURCES
from mizzen.derive.mesh import exported, mesh_config
from mizzen.derive.namespaces import is_discovered
from mizzen.derive.sidecars import ANY_NAMESPACE, egress_listeners, imported, imports, overlap
from mizzen.derive.workloads import covers
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope

KINDS = ("VirtualService", http_routes.KIND, ingress.KIND)
MESH_GATEWAY = "mesh"  # Istio's reserved gateway name: all sidecars


class Header(NamedTuple):
    """What the choice depends on. A changed route re-runs no choice."""

    hosts: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    export_to: tuple[str, ...] = ()
    age: tuple[bool, str] = (True, "")


@query
def header(db: Database, key: ResourceKey) -> Header:
    resource, spec = RESOURCES(db, key), virtual_service(db, key)
    if resource is None or spec is None or not is_discovered(db, key.namespace):
        return Header()
    hosts = tuple(qualified(host, key.namespace) for host in spec.hosts)
    gateways = tuple(gateway_name(name, key.namespace) for name in spec.gateways) or (MESH_GATEWAY,)
    return Header(hosts, gateways, spec.export_to, age(resource)[:2])


def gateway_name(name: str, namespace: str) -> str:
    """A gateway as a VirtualService of `namespace` means it: "namespace/name", or "mesh"."""
    return name if name == MESH_GATEWAY or "/" in name else f"{namespace}/{name}"


def can_match(
    match: HTTPMatchRequest | TLSMatchAttributes | L4MatchAttributes,
    key: ResourceKey,
    gateway: str,
    scope: OutboundScope,
    port: int,
) -> bool:
    """Whether a match of a VirtualService can hold at all for these callers, at this gateway, on this port."""
    named = [gateway_name(name, key.namespace) for name in match.gateways]
    return (
        (not named or gateway in named)
        and match.port in {0, port}
        and match.source_namespace in {"", scope.namespace}
        and covers(match.source_labels, scope.labels)
    )


@query
def _oldest_first(db: Database) -> tuple[ResourceKey, ...]:
    """All routes. Those of a consumer, for its own namespace alone, go before the others (the Gateway API's rule)."""
    keys = [key for kind in KINDS for key in BY_KIND(db, kind)]
    return tuple(sorted(keys, key=lambda key: _order(db, key)))


def _order(db: Database, key: ResourceKey) -> tuple[bool, tuple[bool, str], ResourceKey]:
    _, _, export_to, age_of = header(db, key)
    is_consumer = key.kind == http_routes.KIND and export_to == (".",)
    return not is_consumer, age_of, key


@query
def _visible(db: Database, namespace: str, gateway: str) -> tuple[tuple[ResourceKey, tuple[str, ...]], ...]:
    """The VirtualServices bound to a gateway and visible in a namespace, with their hosts."""
    return tuple(_bound(db, _oldest_first(db), namespace, gateway))


@query
def _visible_of(
    db: Database, owner: str, namespace: str, gateway: str
) -> tuple[tuple[ResourceKey, tuple[str, ...]], ...]:
    """Those of namespace `owner` alone."""
    keys = (key for kind in KINDS for key in BY_NAMESPACE(db, (kind, owner)))
    return tuple(_bound(db, keys, namespace, gateway))


def _bound(
    db: Database, keys: Iterable[ResourceKey], namespace: str, gateway: str
) -> Iterator[tuple[ResourceKey, tuple[str, ...]]]:
    default = mesh_config(db).default_virtual_service_export_to
    for key in keys:
        hosts, gateways, export_to, _ = header(db, key)
        if gateway in gateways and exported(export_to, default, key.namespace, namespace):
            yield key, hosts


@query
def mesh_virtual_services(
    db: Database, scope: OutboundScope
) -> tuple[tuple[ResourceKey, tuple[str, ...]], ...]:
    """The VirtualServices that hold for sidecars of a scope, with their hosts, oldest first. A Sidecar narrows them to
    those that share a host with what it imports.
    """
    if scope.sidecar is None:
        return _visible(db, scope.namespace, MESH_GATEWAY)
    if scope.listener is None:
        found = (mesh_virtual_services(db, listener.scope) for listener in egress_listeners(db, scope))
        return tuple(dict.fromkeys(entry for entries in found for entry in entries))
    patterns = imports(db, scope)
    return tuple(
        (key, hosts)
        for key, hosts in _candidates(db, scope, patterns)
        if any(overlap(p, host) for p in imported(patterns, key.namespace) for host in hosts)
    )


def _candidates(
    db: Database, scope: OutboundScope, patterns: FrozenMap[str, tuple[str, ...]]
) -> Iterable[tuple[ResourceKey, tuple[str, ...]]]:
    """Where a listener names its namespaces, only theirs are looked at."""
    if ANY_NAMESPACE in patterns:
        return _visible(db, scope.namespace, MESH_GATEWAY)
    found = (entry for owner in patterns for entry in _visible_of(db, owner, scope.namespace, MESH_GATEWAY))
    return sorted(found, key=lambda entry: _order(db, entry[0]))


@query
def destination_hosts(db: Database, key: ResourceKey) -> tuple[str, ...]:
    """The hosts to which a VirtualService and its delegates can send, in full."""
    spec = virtual_service(db, key)
    delegates = [http.delegate for http in spec.http if http.delegate] if spec else []
    keys = [key, *(ResourceKey("VirtualService", d.namespace or key.namespace, d.name) for d in delegates)]
    return tuple(dict.fromkeys(host for each in keys for host in _own_destination_hosts(db, each)))


@query
def _own_destination_hosts(db: Database, key: ResourceKey) -> tuple[str, ...]:
    spec = virtual_service(db, key)
    if spec is None:
        return ()
    found = [
        *(item.destination for http in spec.http for item in http.route),
        *(item.destination for http in spec.http for item in http.mirrors),
        *(http.mirror for http in spec.http if http.mirror),
        *(item.destination for tcp in spec.tcp for item in tcp.route),
        *(item.destination for tls in spec.tls for item in tls.route),
    ]
    return tuple(dict.fromkeys(qualified(each.host, key.namespace) for each in found))


@query
def mesh_hosts(db: Database, scope: OutboundScope) -> FrozenMap[str, ResourceKey]:
    """For sidecars of a scope: host pattern -> the VirtualService that decides. The oldest wins: Istio does
    not merge VirtualServices of sidecars.
    """
    table: dict[str, ResourceKey] = {}
    for key, hosts in mesh_virtual_services(db, scope):
        for host in hosts:
            table.setdefault(host, key)
    return FrozenMap(table)


@query
def _wildcards(db: Database, scope: OutboundScope) -> tuple[str, ...]:
    """The patterns among the hosts of a scope's VirtualServices."""
    return tuple(pattern for pattern in mesh_hosts(db, scope) if pattern.startswith("*"))


def mesh_virtual_service(db: Database, scope: OutboundScope, host: str) -> ResourceKey | None:
    """The VirtualService that decides for calls from a scope to a host: the most specific host pattern."""
    table = mesh_hosts(db, scope)
    if host in table:
        return table[host]
    pattern = most_specific(_wildcards(db, scope), host)
    return table[pattern] if pattern else None


@query
def _carries_streams(db: Database, key: ResourceKey) -> bool:
    spec = virtual_service(db, key)
    return spec is not None and bool(spec.tcp or spec.tls)


@query
def _stream_hosts(db: Database, scope: OutboundScope) -> tuple[tuple[ResourceKey, tuple[str, ...]], ...]:
    """The VirtualServices for sidecars of a scope that have TCP or TLS routes, with their hosts, oldest first."""
    return tuple(entry for entry in mesh_virtual_services(db, scope) if _carries_streams(db, entry[0]))


def stream_virtual_services(db: Database, scope: OutboundScope, host: str) -> tuple[ResourceKey, ...]:
    """The VirtualServices whose TCP and TLS routes hold for calls from a scope to a host: all that cover it, the
    oldest first. Source: Istio, which for streams, unlike for HTTP, asks one after the other.
    """
    return tuple(
        key for key, hosts in _stream_hosts(db, scope) if any(matches(pattern, host) for pattern in hosts)
    )


@query
def gateway_virtual_services(
    db: Database, namespace: str, gateway: str
) -> tuple[tuple[ResourceKey, tuple[str, ...]], ...]:
    """The VirtualServices bound to a gateway ("namespace/name"), oldest first, with their hosts."""
    return _visible(db, namespace, gateway)


@query
def virtual_service(db: Database, key: ResourceKey) -> VirtualService | None:
    """A VirtualService, or what another kind of route says in its terms."""
    if key.kind == ingress.KIND:
        return ingress.ingress_routes(db, key)
    if key.kind == http_routes.KIND:
        return http_routes.mesh_route(db, key)
    resource: Resource[object] | None = RESOURCES(db, key)
    return resource.spec if resource is not None and isinstance(resource.spec, VirtualService) else None


@query
def source_label_names(db: Database, scope: OutboundScope) -> tuple[str, ...]:
    """The label names by which routes tell callers apart (sourceLabels). Only these take part in a route's key, so
    that workloads which no route tells apart share their routes.
    """
    found: set[str] = set()
    for key, _ in mesh_virtual_services(db, scope):
        found.update(_source_label_names(db, key))
    return tuple(sorted(found))


@query
def _source_label_names(db: Database, key: ResourceKey) -> frozenset[str]:
    return frozenset(name for match in _matches(db, key) for name in match.source_labels)


@query
def source_namespaces(db: Database, key: ResourceKey) -> frozenset[str]:
    """The namespaces of callers for which a VirtualService asks."""
    return frozenset(match.source_namespace for match in _matches(db, key) if match.source_namespace)


def _matches(
    db: Database, key: ResourceKey
) -> Iterator[HTTPMatchRequest | TLSMatchAttributes | L4MatchAttributes]:
    spec = virtual_service(db, key)
    for routes in (spec.http, spec.tcp, spec.tls) if spec else ():
        for route in routes:
            yield from route.match
