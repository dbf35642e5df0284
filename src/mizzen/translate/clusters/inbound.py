"""Inbound clusters: the workload's own application."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mizzen.config.types.networking import ConnectionPoolSettings
from mizzen.derive.destination_rules import rules_for
from mizzen.derive.inbound import (
    Application,
    InboundPort,
    InboundScope,
    application,
    sidecar_pool,
)
from mizzen.derive.mesh import mesh_config
from mizzen.derive.services import service
from mizzen.incremental import Database, query
from mizzen.model.proxy import Binding, OutboundScope
from mizzen.model.service import Protocol
from mizzen.proto.api import Cluster
from mizzen.translate import names
from mizzen.translate.built import Built, built, pack
from mizzen.translate.clusters.connection_pool import HTTP_OPTIONS, apply_connection_pool, http_options
from mizzen.translate.clusters.passthrough import original_destination
from mizzen.translate.listeners.network import socket_address
from mizzen.translate.traffic_policy import effective_policy
from mizzen.xds.resource import CLUSTER

# Envoy's source address for connections to its own application: the capture rules let it pass (Istio's 127.0.0.6,
# and ::6 towards addresses of IPv6).
INBOUND_SOURCE = "127.0.0.6"
INBOUND_SOURCE_IPV6 = "::6"
_FOR_EVER = timedelta(days=36_500)
TPROXY_MARK = 1337  # on connections to the application: the capture rules bring its answers back by it
_SOL_SOCKET, _SO_MARK = 1, 36


@dataclass(frozen=True, slots=True)
class InboundKey:
    """The whole input of an inbound cluster: all workloads that serve a port alike share it."""

    port: int
    protocol: Protocol
    application: Application
    pool: ConnectionPoolSettings | None
    stat_name: str  # in statistics; "": its own
    transparent: bool  # the application is called from the caller's address


def inbound_key(
    db: Database, scope: InboundScope, port: InboundPort, binding: Binding | None, *, transparent: bool
) -> InboundKey:
    """The key for a workload's port. Without capture the application listens on a private port beside the proxy."""
    found = application(db, port)
    if binding is not None:
        found = Application(binding.address, binding.app_ports[found.port])
    pool, stat_name = _pool(db, scope, port), _stat_name(db, port)
    return InboundKey(port.number, port.protocol, found, pool, stat_name, transparent)


@query
def inbound_cluster(db: Database, key: InboundKey) -> Built:
    """inbound|<port>||: the workload's own application."""
    mesh = mesh_config(db)
    cluster = Cluster(name=names.inbound_cluster(key.port), alt_stat_name=key.stat_name)
    apply_connection_pool(cluster, mesh, key.pool)
    options = http_options(key.protocol, mesh, key.pool, upgrades=False)
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(pack(options))
    found = key.application
    if found.address:
        _apply_address(cluster, socket_address(found.address, found.port))
    else:
        _apply_original_destination(cluster, found.port if found.port != key.port else None)
    if key.transparent:
        _mark(cluster)
    return built(CLUSTER, cluster)


def _pool(db: Database, scope: InboundScope, port: InboundPort) -> ConnectionPoolSettings | None:
    """The Sidecar's limits; else those that the service's DestinationRule sets, as its own namespace sees it: they hold for
    its callers one by one, and at the service for all of them together (Istio's rule). A rule for selected callers says
    nothing here.
    """
    of_sidecar = sidecar_pool(db, scope, port.number)
    if of_sidecar is not None or port.service is None:
        return of_sidecar
    rules = rules_for(db, OutboundScope(scope.namespace), port.service)
    return effective_policy(db, rules, "", port.service_port).connection_pool


def _stat_name(db: Database, port: InboundPort) -> str:
    """By MeshConfig's inboundClusterStatName; "" where it has none, or no service has the port."""
    found = service(db, port.service) if port.service else None
    served = found.port(port.service_port) if found else None
    if found is None or served is None:
        return ""
    return names.stat_name(mesh_config(db).inbound_cluster_stat_name, found, served)


def _apply_address(cluster: Cluster, address: dict[str, Any]) -> None:
    cluster.type = Cluster.DiscoveryType.STATIC
    cluster.load_assignment.cluster_name = cluster.name
    cluster.load_assignment.endpoints.add(lb_endpoints=[{"endpoint": {"address": address}}])


def _apply_original_destination(cluster: Cluster, port: int | None) -> None:
    cluster.type = Cluster.DiscoveryType.ORIGINAL_DST
    cluster.lb_policy = Cluster.LbPolicy.CLUSTER_PROVIDED
    if port is not None:
        cluster.original_dst_lb_config.upstream_port_override.value = port
    # The one host there is must not be forgotten while nobody calls: with it would go its idle connections.
    cluster.cleanup_interval.FromTimedelta(_FOR_EVER)
    _bind_to_inbound_source(cluster)


@query
def inbound_passthrough_cluster(db: Database, transparent: bool) -> Built:
    """The application's ports that no service declares."""
    cluster = original_destination(db, names.INBOUND_PASSTHROUGH)
    _bind_to_inbound_source(cluster)
    if transparent:
        _mark(cluster)
    return built(CLUSTER, cluster)


def _bind_to_inbound_source(cluster: Cluster) -> None:
    cluster.upstream_bind_config.source_address.address = INBOUND_SOURCE
    cluster.upstream_bind_config.source_address.port_value = 0  # any; Envoy wants it said
    ipv6 = cluster.upstream_bind_config.extra_source_addresses.add().address
    ipv6.address, ipv6.port_value = INBOUND_SOURCE_IPV6, 0


def _mark(cluster: Cluster) -> None:
    """Under TPROXY. The listener's original_src does it, too (and puts the caller's address in the place of the source); but
    where the proxy's own traffic is told by a mark, that would take its place.
    """
    option = cluster.upstream_bind_config.socket_options.add()
    option.level, option.name, option.int_value = _SOL_SOCKET, _SO_MARK, TPROXY_MARK
