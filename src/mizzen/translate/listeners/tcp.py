"""The TCP proxies that carry connections to services: one cluster or several by weight, with a DestinationRule's settings."""

from collections.abc import Sequence
from typing import Any

from mizzen.config.types.networking import RouteDestination
from mizzen.derive.destination_rules import RuleKeys, rules_for
from mizzen.derive.mesh import mesh_config
from mizzen.derive.visibility import visible_hosts
from mizzen.incremental import Database
from mizzen.model.proxy import OutboundScope
from mizzen.proto.api import NetworkFilter
from mizzen.translate import names
from mizzen.translate.listeners.network import tcp_proxy
from mizzen.translate.routes import cluster_name, port_number
from mizzen.translate.traffic_policy import effective_policy, tunnel


def direct_proxy(db: Database, rules: RuleKeys, host: str, port: int) -> NetworkFilter:
    """To one service's port."""
    cluster = names.outbound_cluster(port, "", host)
    return tcp_proxy(mesh_config(db), cluster, cluster, settings=stream_settings(db, rules, "", port))


def stream_proxy(
    db: Database, scope: OutboundScope, destinations: Sequence[RouteDestination], port: int
) -> NetworkFilter:
    """To the destinations of a route, by full host. The settings are those of the first destination (Istio's rule)."""
    targets = [(cluster_name(db, scope, item.destination, port), item.weight or 1) for item in destinations]
    if not targets:
        return tcp_proxy(mesh_config(db), names.BLACK_HOLE, names.BLACK_HOLE)
    first = destinations[0].destination
    ref = visible_hosts(db, scope.whole).get(first.host)
    rules = rules_for(db, scope, ref) if ref else ()
    settings = stream_settings(db, rules, first.subset, port_number(db, scope, first, port))
    return tcp_proxy(mesh_config(db), targets[0][0], targets[0][0], targets, settings)


def stream_settings(db: Database, rules: RuleKeys, subset: str, port: int) -> dict[str, Any]:
    """What a DestinationRule says about connections that are carried as streams, as fields of Envoy's TCP proxy."""
    policy = effective_policy(db, rules, subset, port)
    settings: dict[str, Any] = {}
    tcp = policy.connection_pool.tcp if policy.connection_pool else None
    if tcp is not None and tcp.idle_timeout is not None:
        settings["idle_timeout"] = tcp.idle_timeout
    if tcp is not None and tcp.max_connection_duration is not None:
        settings["max_downstream_connection_duration"] = tcp.max_connection_duration
    hashing = policy.load_balancer.consistent_hash if policy.load_balancer else None
    if hashing is not None and hashing.use_source_ip:
        settings["hash_policy"] = [{"source_ip": {}}]
    through = tunnel(db, rules, subset)
    if through is not None:
        host = f"[{through.target_host}]" if ":" in through.target_host else through.target_host
        settings["tunneling_config"] = {
            "hostname": f"{host}:{through.target_port}",
            "use_post": through.protocol.upper() == "POST",
        }
    return settings
