"""Which resources a proxy should hold: names and the queries that make them, nothing of their content.

A changed endpoint, route or policy re-runs the query of its resource and leaves the bundle alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mizzen.derive.destination_rules import rules_for
from mizzen.derive.envoy_filters import envoy_filters_for
from mizzen.derive.inbound import InboundScope, application, inbound_ports, own_address
from mizzen.derive.mesh import mesh_config
from mizzen.derive.realm import realm
from mizzen.derive.scope import outbound_scope
from mizzen.derive.telemetry import Observed, Side, observed
from mizzen.derive.visibility import visible_ports, visible_services
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope, ProxyKind, ProxyView
from mizzen.model.service import ServiceRef
from mizzen.model.workload import Family
from mizzen.translate import names
from mizzen.translate.authorization.filters import authorizers_of
from mizzen.translate.built import ResourceRef
from mizzen.translate.callers import NONE, Caller, Distinction, caller
from mizzen.translate.clusters import inbound as inbound_clusters
from mizzen.translate.clusters import passthrough
from mizzen.translate.clusters.outbound import service_clusters, service_distinction
from mizzen.translate.clusters.transport import origination_secrets
from mizzen.translate.dynamic_dns import resolves_names
from mizzen.translate.listeners import inbound
from mizzen.translate.listeners.gateway.listener import gateway_refs
from mizzen.translate.listeners.network import LOOPBACK
from mizzen.translate.listeners.outbound.captured import virtual_outbound
from mizzen.translate.listeners.outbound.http_proxy import http_proxy
from mizzen.translate.listeners.outbound.listener import outbound_listener
from mizzen.translate.listeners.outbound.plan import PlannedListener, planned_listeners
from mizzen.translate.name_table import NAME_TABLE, name_tables
from mizzen.translate.patches.resources import Patching, added_refs, is_patched, patched_refs
from mizzen.translate.patches.settings import in_force
from mizzen.translate.routes import all_ports_routes, http_proxy_routes, sidecar_routes, sniffed_routes
from mizzen.translate.secrets import gateway_client_secrets, gateway_secrets, ingress_secrets, sidecar_secrets
from mizzen.translate.telemetry.reporting import collectors
from mizzen.translate.unknown import unknown_traffic
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET


@dataclass(frozen=True, slots=True)
class ResourceSet:
    """Resources of one type that a proxy should hold: a view's own, or those of a query that it has in common with many
    others. Views that differ elsewhere have equal sets, which are kept once.
    """

    type_url: str
    own: tuple[ResourceRef, ...] = ()
    common: Any = None  # Query[..., tuple[ResourceRef, ...]]; of other types, too
    arguments: tuple[Any, ...] = ()
    patching: Patching | None = None  # what EnvoyFilters and the proxy's settings change in it


@dataclass(frozen=True, slots=True)
class Bundle:
    """The resources of one view: for a type the set of its own, which goes first, and the set that it shares."""

    sets: tuple[ResourceSet, ...]


@query
def bundle(db: Database, view: ProxyView) -> Bundle:
    """Everything that proxies of a view should hold."""
    scope = outbound_scope(db, view.kind, view.namespace, view.labels)
    if view.agent:
        return Bundle((ResourceSet(NAME_TABLE, common=name_tables, arguments=(scope,)),))
    own = [ResourceRef(CLUSTER, names.BLACK_HOLE, passthrough.black_hole_cluster, ())]
    if view.binding is None:
        own.append(ResourceRef(CLUSTER, names.PASSTHROUGH, passthrough.passthrough_cluster, ()))
    # What proxies call is made for all that call the same by the same rules, of whichever namespaces.
    shared = realm(db, scope) if view.kind is ProxyKind.SIDECAR else scope
    seen_as = callers_distinction(db, shared).of(caller(view))
    common: dict[str, tuple[Any, tuple[Any, ...]]] = dict.fromkeys(
        (CLUSTER, ENDPOINT, SECRET), (outbound_clusters, (shared, seen_as))
    )
    served = InboundScope(view.namespace, view.labels, view.ports, view.container_ports, view.instances)
    if view.kind is ProxyKind.GATEWAY:
        own += gateway_refs(db, served, view.binding, view.settings.topology)
        own += (*gateway_secrets(db, served), *gateway_client_secrets(db, served, scope))
    else:
        own += _inbound(db, view, served)
        seen = observed(db, view.namespace, view.labels, Side.CLIENT)
        own += (*ingress_secrets(db, served), *sidecar_secrets(db, scope, view.service_account))
        if view.binding is None:
            own += _captured(db, scope, view.families, seen)
            common[LISTENER] = outbound_listeners, (shared, seen)
            common[ROUTE] = outbound_routes, (shared, view.namespace)
        else:
            own += _http_proxy(db, scope, view.binding.address, view.binding.http_proxy_port, seen)
    own += _helpers(db, view, scope, seen_as)
    filters = envoy_filters_for(db, view.namespace, view.labels)
    patching = Patching(filters, view.kind, in_force(mesh_config(db), view.settings))
    return Bundle(tuple(_sets(db, own, common, patching)))


def _helpers(db: Database, view: ProxyView, scope: OutboundScope, seen_as: Caller) -> Iterator[ResourceRef]:
    """The clusters of what the proxy itself calls, whatever the workload may call: external authorizers, and collectors of
    access logs and spans.
    """
    asked = [(found.service, found.port) for found in authorizers_of(db, view.namespace, view.labels)]
    told = collectors(db, view.namespace, view.labels)
    for ref, port in dict.fromkeys((*asked, *told)):
        yield from service_clusters(db, ref, (port,), rules_for(db, scope, ref), seen_as)


def _sets(
    db: Database,
    own: Iterable[ResourceRef],
    common: Mapping[str, tuple[Any, tuple[Any, ...]]],
    patching: Patching,
) -> Iterator[ResourceSet]:
    for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET):
        refs = tuple(ref for ref in own if ref.type_url == type_url)
        patches = patching if is_patched(db, patching, type_url) else None
        if refs or patches or type_url not in common:
            yield ResourceSet(type_url, refs, patching=patches)
        if type_url in common:
            yield ResourceSet(type_url, (), *common[type_url], patches)


@query
def members(db: Database, resources: ResourceSet) -> tuple[ResourceRef, ...]:
    """The resources of a set; names are unique: the first of a name holds. What patches add is the view's own."""
    unique = {ref.name: ref for ref in reversed(resources.own)}
    for ref in resources.common(db, *resources.arguments) if resources.common else ():
        if ref.type_url == resources.type_url:
            unique.setdefault(ref.name, ref)
    refs = tuple(unique.values())
    if resources.patching is not None:
        refs = tuple(patched_refs(db, resources.patching, resources.type_url, refs))
        if resources.common is None:
            refs += tuple(added_refs(db, resources.patching, resources.type_url))
    return refs


@query
def outbound_clusters(db: Database, scope: OutboundScope, caller: Caller) -> tuple[ResourceRef, ...]:
    """A cluster, and its endpoints, for every port and subset of every service visible in a scope."""
    refs: list[ResourceRef] = []
    for ref in visible_services(db, scope):
        ports, rules = _called_ports(db, scope, ref), rules_for(db, scope, ref)
        seen_as = service_distinction(db, ref, ports, rules).of(caller)
        refs += service_clusters(db, ref, ports, rules, seen_as)
    return tuple(refs)


def _called_ports(db: Database, scope: OutboundScope, ref: ServiceRef) -> tuple[int, ...]:
    return tuple(port.number for port in visible_ports(db, scope, ref) if port.protocol.is_stream)


@query
def callers_distinction(db: Database, scope: OutboundScope) -> Distinction:
    """What of the callers of a scope changes any of their clusters: those that nothing tells apart share the whole set."""
    found = NONE
    for ref in visible_services(db, scope):
        found |= service_distinction(db, ref, _called_ports(db, scope, ref), rules_for(db, scope, ref))
    return found


def _inbound(db: Database, view: ProxyView, scope: InboundScope) -> Iterator[ResourceRef]:
    transparent = view.transparent
    for port in inbound_ports(db, scope):
        if view.binding is not None and application(db, port).port not in view.binding.app_ports:
            continue  # the application has no port behind it: the proxy would call itself
        name = names.inbound_cluster(port.number)
        key = inbound_clusters.inbound_key(db, scope, port, view.binding, transparent=transparent)
        yield ResourceRef(CLUSTER, name, inbound_clusters.inbound_cluster, (key,), inbound=True)
        address = view.binding.address if view.binding else own_address(db, port)
        if address:
            name = names.listener(address, port.number)
            yield ResourceRef(LISTENER, name, inbound.bound_inbound, (scope, port.number, address))
    if view.binding is None:
        yield ResourceRef(
            CLUSTER,
            names.INBOUND_PASSTHROUGH,
            inbound_clusters.inbound_passthrough_cluster,
            (transparent,),
            inbound=True,
        )
        captured = (scope, view.families, transparent)
        yield ResourceRef(LISTENER, names.VIRTUAL_INBOUND, inbound.virtual_inbound, captured)


def _captured(
    db: Database, scope: OutboundScope, families: tuple[Family, ...], seen: Observed
) -> Iterator[ResourceRef]:
    """What takes the traffic that no listener of the scope takes, and, where the mesh has a port for it, what is sent to
    the sidecar as an HTTP proxy.
    """
    mesh = mesh_config(db)
    unknown = unknown_traffic(db, scope)
    yield ResourceRef(LISTENER, names.VIRTUAL_OUTBOUND, virtual_outbound, (unknown, families, seen))
    if mesh.proxy_http_port > 0:
        yield from _http_proxy(db, scope, LOOPBACK, mesh.proxy_http_port, seen)
    if unknown.resolves_names:
        yield ResourceRef(CLUSTER, names.DYNAMIC_DNS, passthrough.dynamic_dns_cluster, ())
        if mesh.outbound_traffic_policy.tls is not None:
            yield from origination_secrets(mesh, mesh.outbound_traffic_policy.tls)


def _http_proxy(
    db: Database, scope: OutboundScope, address: str, port: int, seen: Observed
) -> Iterator[ResourceRef]:
    arguments = (address, port, seen, resolves_names(db, scope))
    yield ResourceRef(LISTENER, names.listener(address, port), http_proxy, arguments)
    yield ResourceRef(ROUTE, names.HTTP_PROXY, http_proxy_routes, (scope,))


@query
def outbound_listeners(db: Database, scope: OutboundScope, seen: Observed) -> tuple[ResourceRef, ...]:
    """The listeners of a scope, for callers of whose traffic the same is told."""
    keys = (planned.key for planned in planned_listeners(db, scope))
    return tuple(
        ResourceRef(LISTENER, names.listener(key.address, key.port), outbound_listener, (key, seen))
        for key in keys
    )


@query
def outbound_routes(db: Database, scope: OutboundScope, namespace: str) -> tuple[ResourceRef, ...]:
    """The routes of those listeners of a scope that take HTTP, for callers in a namespace."""
    return tuple(
        _outbound_routes(planned, namespace) for planned in planned_listeners(db, scope) if planned.key.route
    )


def _outbound_routes(planned: PlannedListener, namespace: str) -> ResourceRef:
    name, port = planned.key.route, planned.key.port
    if planned.all_ports:
        return ResourceRef(ROUTE, name, all_ports_routes, (name, (planned.scope,)))
    if planned.sniffed is not None:
        return ResourceRef(ROUTE, name, sniffed_routes, (planned.scope, planned.sniffed, port), port=port)
    return ResourceRef(ROUTE, name, sidecar_routes, (planned.scope, port, namespace), port=port)
