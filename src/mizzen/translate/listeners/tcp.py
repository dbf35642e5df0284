"""The network filters that carry connections to services: one cluster or several by weight, as DestinationRules say."""

from collections.abc import Sequence
from typing import Any

from mizzen.config.types.networking import Destination, RouteDestination
from mizzen.derive.destination_rules import RuleKeys, rules_for
from mizzen.derive.mesh import mesh_config
from mizzen.derive.services import service
from mizzen.derive.visibility import target_host, visible_host
from mizzen.incremental import Database
from mizzen.model.proxy import OutboundScope
from mizzen.model.service import Protocol, Resolution, ServiceRef
from mizzen.proto.api import NetworkFilter, SetFilterState, SniDynamicForwardProxy
from mizzen.translate import names
from mizzen.translate.built import pack
from mizzen.translate.clusters.transport import ORIGINATED
from mizzen.translate.dynamic_dns import dns_cache
from mizzen.translate.listeners.network import tcp_proxy
from mizzen.translate.routes import cluster_name, port_number
from mizzen.translate.telemetry.reporting import Reporting
from mizzen.translate.tls import MESH_TCP_ALPN
from mizzen.translate.traffic_policy import effective_policy, tunnel


def direct_filters(
    db: Database, rules: RuleKeys, ref: ServiceRef, port: int, reporting: Reporting
) -> list[NetworkFilter]:
    """To one service's port."""
    cluster = names.outbound_cluster(port, "", ref.host)
    settings = stream_settings(db, rules, "", port)
    proxy = tcp_proxy(reporting, cluster, cluster, settings=settings)
    return [*_resolved(db, ref, port), *_as_stream(db, rules, ref, "", port), proxy]


def stream_filters(
    db: Database,
    scope: OutboundScope,
    destinations: Sequence[RouteDestination],
    port: int,
    reporting: Reporting,
) -> list[NetworkFilter]:
    """To the destinations of a route, by full host. The settings are those of the first destination (Istio's rule)."""
    if not destinations:
        return [tcp_proxy(reporting, names.BLACK_HOLE, names.BLACK_HOLE)]
    targets = [(cluster_name(db, scope, item.destination, port), item.weight or 1) for item in destinations]
    first = destinations[0].destination
    ref, rules, number = _found(db, scope, first, port)
    settings = stream_settings(db, rules, first.subset, number)
    preparing = (
        [*_resolved(db, ref, number), *_as_stream(db, rules, ref, first.subset, number)] if ref else []
    )
    return [*preparing, tcp_proxy(reporting, targets[0][0], targets[0][0], targets, settings)]


def _found(
    db: Database, scope: OutboundScope, destination: Destination, port: int
) -> tuple[ServiceRef | None, RuleKeys, int]:
    ref = visible_host(db, scope, target_host(db, scope, destination.host))
    rules = rules_for(db, scope, ref) if ref else ()
    return ref, rules, port_number(db, scope, destination, port)


def _as_stream(db: Database, rules: RuleKeys, ref: ServiceRef, subset: str, port: int) -> list[NetworkFilter]:
    """Tells the other sidecar that this is no HTTP, where the cluster itself would tell it that it may be."""
    found = service(db, ref)
    declared = found.port(port) if found else None
    if declared is None or not (declared.protocol.is_http or declared.protocol is Protocol.AUTO):
        return []
    tls = effective_policy(db, rules, subset, port).tls
    if tls is not None and tls.mode in ORIGINATED:
        return []  # what the proxy offers to servers outside of the mesh is the rule's business
    state = {
        "object_key": "envoy.network.application_protocols",
        "shared_with_upstream": "ONCE",
        "format_string": {"text_format_source": {"inline_string": MESH_TCP_ALPN}},
    }
    return [
        NetworkFilter(
            name="envoy.filters.network.set_filter_state",
            typed_config=pack(SetFilterState(on_new_connection=[state])),
        )
    ]


def _resolved(db: Database, ref: ServiceRef, port: int) -> list[NetworkFilter]:
    """Resolves the server name of a TLS connection, for a service whose names are resolved as they come."""
    found = service(db, ref)
    declared = found.port(port) if found else None
    if (
        found is None
        or found.resolution is not Resolution.DYNAMIC_DNS
        or not (declared and declared.protocol.is_tls)
    ):
        return []
    number = declared.target if isinstance(declared.target, int) else port
    config = SniDynamicForwardProxy(dns_cache_config=dns_cache(mesh_config(db)), port_value=number)
    return [NetworkFilter(name="envoy.filters.network.sni_dynamic_forward_proxy", typed_config=pack(config))]


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
