"""Inbound clusters: the workload's own application."""

from mizzen.config.types.networking import ConnectionPoolSettings
from mizzen.derive.destination_rules import rules_for
from mizzen.derive.inbound import InboundPort
from mizzen.derive.mesh import mesh_config
from mizzen.incremental import Database, query
from mizzen.model.proxy import Binding, OutboundScope
from mizzen.model.service import Protocol
from mizzen.proto.api import Cluster
from mizzen.translate import names
from mizzen.translate.built import Built, built, pack
from mizzen.translate.clusters.connection_pool import HTTP_OPTIONS, apply_connection_pool, http_options
from mizzen.translate.clusters.passthrough import original_destination
from mizzen.translate.traffic_policy import effective_policy
from mizzen.xds.resource import CLUSTER

# Envoy's source address for connections to its own application: the capture rules let it pass (Istio's 127.0.0.6).
INBOUND_SOURCE = "127.0.0.6"


@query
def inbound_cluster(
    db: Database,
    port: int,
    protocol: Protocol,
    binding: Binding | None,
    pool: ConnectionPoolSettings | None,
) -> Built:
    """inbound|<port>||: the workload's own application.

    With capture the application is where the caller meant to go (original destination); without, it listens on a
    private port beside the proxy. `pool`: limits for the callers together, as the service's DestinationRule has them.
    """
    mesh = mesh_config(db)
    cluster = Cluster(name=names.inbound_cluster(port))
    apply_connection_pool(cluster, mesh, pool)
    options = http_options(protocol, mesh, pool, upgrades=False)
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(pack(options))
    if binding is None:
        cluster.type = Cluster.DiscoveryType.ORIGINAL_DST
        cluster.lb_policy = Cluster.LbPolicy.CLUSTER_PROVIDED
        _bind_to_inbound_source(cluster)
    else:
        cluster.type = Cluster.DiscoveryType.STATIC
        cluster.load_assignment.cluster_name = cluster.name
        endpoint = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint
        endpoint.address.socket_address.address = binding.address
        endpoint.address.socket_address.port_value = binding.app_ports[port]
    return built(CLUSTER, cluster)


def inbound_pool(db: Database, namespace: str, port: InboundPort) -> ConnectionPoolSettings | None:
    """The limits that the service's DestinationRule sets, as its own namespace sees it: they hold for its callers one by
    one, and at the service for all of them together (Istio's rule). A rule for selected callers says nothing here.
    """
    rules = rules_for(db, OutboundScope(namespace), port.service)
    return effective_policy(db, rules, "", port.service_port).connection_pool


@query
def inbound_passthrough_cluster(db: Database) -> Built:
    """The application's ports that no service declares."""
    cluster = original_destination(db, names.INBOUND_PASSTHROUGH)
    _bind_to_inbound_source(cluster)
    return built(CLUSTER, cluster)


def _bind_to_inbound_source(cluster: Cluster) -> None:
    cluster.upstream_bind_config.source_address.address = INBOUND_SOURCE
    cluster.upstream_bind_config.source_address.port_value = 0  # any; Envoy wants it said
