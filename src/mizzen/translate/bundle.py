"""Which resources a proxy should hold: names and the queries that make them, nothing of their content.

A changed endpoint, route or policy re-runs the query of its resource and leaves the bundle alone.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from mizzen.derive.addresses import virtual_addresses
from mizzen.derive.destination_rules import rules_for, subset_names
from mizzen.derive.envoy_filters import envoy_filters_for
from mizzen.derive.gateways import bind_port
from mizzen.derive.inbound import InboundScope, inbound_ports
from mizzen.derive.scope import outbound_scope
from mizzen.derive.services import service
from mizzen.derive.sidecars import egress_listeners
from mizzen.derive.visibility import visible_ports, visible_services
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import Binding, OutboundScope, ProxyKind, ProxyView
from mizzen.model.service import Resolution, ServiceRef
from mizzen.translate import names
from mizzen.translate.built import ResourceRef
from mizzen.translate.clusters import inbound as inbound_clusters
from mizzen.translate.clusters import passthrough
from mizzen.translate.clusters.outbound import ClusterKey, outbound_cluster
from mizzen.translate.endpoints import load_assignment
from mizzen.translate.listeners import gateway, inbound, outbound
from mizzen.translate.patches.resources import Patching, is_patched, patched_refs
from mizzen.translate.routes import http_ports, http_proxy_routes, sidecar_routes
from mizzen.translate.secrets import client_secrets, gateway_secrets, sidecar_secrets
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET


@dataclass(frozen=True, slots=True)
class ResourceSet:
    """All resources of one type that a proxy should hold: some of its own, and those of a query that it has in common
    with many others. Views that differ elsewhere have equal sets, which are kept once.
    """

    type_url: str
    own: tuple[ResourceRef, ...]
    common: Any = None  # Query[..., tuple[ResourceRef, ...]]; of other types, too
    arguments: tuple[Any, ...] = ()
    patching: Patching | None = None  # the EnvoyFilters that hold for what is in it


@dataclass(frozen=True, slots=True)
class Bundle:
    """The resources of one view, a set for each type."""

    sets: tuple[ResourceSet, ...]


@query
def bundle(db: Database, view: ProxyView) -> Bundle:
    """Everything that proxies of a view should hold."""
    scope = outbound_scope(db, view.kind, view.namespace, view.labels)
    own = [ResourceRef(CLUSTER, names.BLACK_HOLE, passthrough.black_hole_cluster, ())]
    if view.binding is None:
        own.append(ResourceRef(CLUSTER, names.PASSTHROUGH, passthrough.passthrough_cluster, ()))
    common: dict[str, tuple[Any, tuple[Any, ...]]] = dict.fromkeys(
        (CLUSTER, ENDPOINT), (outbound_clusters, (scope,))
    )
    if view.kind is ProxyKind.GATEWAY:
        own += _gateway(db, view)
        own += (*gateway_secrets(db, view.namespace, view.labels), *client_secrets(db, scope))
    else:
        own += _inbound(db, view)
        own += sidecar_secrets(db, scope, view.service_account)
        if view.binding is None:
            own.append(ResourceRef(LISTENER, names.VIRTUAL_OUTBOUND, outbound.virtual_outbound, ()))
            common |= dict.fromkeys((LISTENER, ROUTE), (outbound_listeners, (scope,)))
        else:
            own += _explicit_proxy(scope, view.binding)
    patching = Patching(envoy_filters_for(db, view.namespace, view.labels), view.kind)
    return Bundle(
        tuple(
            ResourceSet(
                type_url,
                tuple(ref for ref in own if ref.type_url == type_url),
                *common.get(type_url, (None, ())),
                patching if is_patched(db, patching, type_url) else None,
            )
            for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET)
        )
    )


@query
def members(db: Database, resources: ResourceSet) -> tuple[ResourceRef, ...]:
    """The resources of a set; names are unique: the first of a name holds."""
    unique = {ref.name: ref for ref in reversed(resources.own)}
    for ref in resources.common(db, *resources.arguments) if resources.common else ():
        if ref.type_url == resources.type_url:
            unique.setdefault(ref.name, ref)
    refs = tuple(unique.values())
    if resources.patching is not None:
        refs = tuple(patched_refs(db, resources.patching, resources.type_url, refs))
    return refs


@query
def outbound_clusters(db: Database, scope: OutboundScope) -> tuple[ResourceRef, ...]:
    """A cluster, and its endpoints, for every port and subset of every service visible in a scope."""
    return tuple(ref for found in visible_services(db, scope) for ref in _service_clusters(db, scope, found))


@query
def _service_clusters(db: Database, scope: OutboundScope, ref: ServiceRef) -> tuple[ResourceRef, ...]:
    found = service(db, ref)
    if found is None:
        return ()
    rules = rules_for(db, scope, ref)
    refs = []
    for port in visible_ports(db, scope, ref):
        if not port.protocol.is_stream:
            continue
        for subset in ("", *subset_names(db, rules)):
            name = names.outbound_cluster(port.number, subset, ref.host)
            key = ClusterKey(ref, port.number, subset, rules)
            refs.append(ResourceRef(CLUSTER, name, outbound_cluster, (key,)))
            if found.resolution is Resolution.STATIC:
                arguments = (ref, port.number, subset, rules)
                refs.append(ResourceRef(ENDPOINT, name, load_assignment, arguments))
    return tuple(refs)


def _inbound(db: Database, view: ProxyView) -> Iterator[ResourceRef]:
    scope = InboundScope(view.namespace, view.labels, view.ports, view.instances)
    for port in inbound_ports(db, scope):
        if view.binding is not None and port.number not in view.binding.app_ports:
            continue  # the application has no port behind it: the proxy would call itself
        pool = inbound_clusters.inbound_pool(db, view.namespace, port)
        arguments = (port.number, port.protocol, view.binding, pool)
        name = names.inbound_cluster(port.number)
        yield ResourceRef(CLUSTER, name, inbound_clusters.inbound_cluster, arguments, inbound=True)
        if view.binding is not None:
            name = names.listener(view.binding.address, port.number)
            yield ResourceRef(LISTENER, name, inbound.bound_inbound, (scope, port, view.binding))
    if view.binding is None:
        yield ResourceRef(
            CLUSTER,
            names.INBOUND_PASSTHROUGH,
            inbound_clusters.inbound_passthrough_cluster,
            (),
            inbound=True,
        )
        yield ResourceRef(LISTENER, names.VIRTUAL_INBOUND, inbound.virtual_inbound, (scope,))


def _explicit_proxy(scope: OutboundScope, binding: Binding) -> Iterator[ResourceRef]:
    name = names.listener(binding.address, binding.http_proxy_port)
    yield ResourceRef(LISTENER, name, outbound.http_proxy, (binding,))
    yield ResourceRef(ROUTE, names.HTTP_PROXY, http_proxy_routes, (scope,))


@query
def outbound_listeners(db: Database, scope: OutboundScope) -> tuple[ResourceRef, ...]:
    """One listener per HTTP port, one per address and port of a TCP service."""
    listeners = egress_listeners(db, scope)
    of_their_own = {listener.port for listener in listeners if listener.port}
    return tuple(
        ref
        for listener in listeners
        for ref in _listener_refs(db, listener.scope, frozenset() if listener.port else of_their_own)
    )


def _listener_refs(db: Database, scope: OutboundScope, taken: AbstractSet[int]) -> Iterator[ResourceRef]:
    """The listeners behind one egress listener of a Sidecar. Those that name a port have it to themselves."""
    for port in http_ports(db, scope):
        if port not in taken:
            name = names.listener(outbound.ANY_ADDRESS, port)
            yield ResourceRef(LISTENER, name, outbound.outbound_http, (port,))
            yield ResourceRef(ROUTE, names.route(port), sidecar_routes, (scope, port), port=port)
    for ref in visible_services(db, scope):
        for found in visible_ports(db, scope, ref):
            if found.protocol.is_tcp and found.number not in taken:
                for address in virtual_addresses(db, ref):
                    arguments = (scope, ref, found.number, address)
                    name = names.listener(address, found.number)
                    yield ResourceRef(LISTENER, name, outbound.outbound_tcp, arguments)


def _gateway(db: Database, view: ProxyView) -> Iterator[ResourceRef]:
    labels: FrozenMap[str, str] = view.labels
    for port in gateway.http_gateway_ports(db, labels):
        address = view.binding.address if view.binding else outbound.ANY_ADDRESS
        name = names.listener(address, bind_port(db, view.namespace, labels, port))
        arguments = (view.namespace, labels, port, view.binding)
        yield ResourceRef(LISTENER, name, gateway.gateway_listener, arguments)
        yield ResourceRef(
            ROUTE,
            names.gateway_route(port),
            gateway.gateway_routes,
            (view.namespace, labels, port),
            port=port,
        )
