"""Outbound listeners: what the application sends, captured and handed on by where it meant to go."""

from mizzen.config.types.networking import Destination, PortSelector, RouteDestination
from mizzen.derive.hosts import qualified
from mizzen.derive.mesh import mesh_config
from mizzen.derive.services import service
from mizzen.derive.virtual_services import MESH_GATEWAY, gateway_name, mesh_virtual_service, virtual_service
from mizzen.derive.workloads import covers
from mizzen.incremental import Database, query
from mizzen.model.proxy import Binding, OutboundScope
from mizzen.model.service import ServiceRef
from mizzen.proto.api import HttpFilter, Listener, NetworkFilter
from mizzen.translate import names
from mizzen.translate.built import Built, Origin, built
from mizzen.translate.http_filters.cors import cors_filter
from mizzen.translate.http_filters.fault import fault_filter
from mizzen.translate.listeners.network import ads_routes, http_connection_manager, tcp_proxy
from mizzen.translate.routes import cluster_name
from mizzen.translate.telemetry import source_metrics
from mizzen.xds.resource import LISTENER

CAPTURE_PORT = 15001
ANY_ADDRESS = "0.0.0.0"  # noqa: S104  # what the application sends may be meant for any address


@query
def virtual_outbound(db: Database) -> Built:
    """virtualOutbound: takes every captured connection and hands it to the listener of its original destination.

    What no listener takes goes on as the mesh's outboundTrafficPolicy says.
    """
    mesh = mesh_config(db)
    registry_only = mesh.outbound_traffic_policy.mode.value == "REGISTRY_ONLY"
    rest = names.BLACK_HOLE if registry_only else names.PASSTHROUGH
    listener = Listener(
        name=names.VIRTUAL_OUTBOUND,
        address=_address(ANY_ADDRESS, CAPTURE_PORT),
        traffic_direction="OUTBOUND",
        use_original_dst={"value": True},
        filter_chains=[
            {
                # Somebody who connects to the capture port itself would make Envoy call itself for ever.
                "name": "virtualOutbound-trap",
                "filter_chain_match": {"destination_port": {"value": CAPTURE_PORT}},
                "filters": [tcp_proxy(mesh, names.BLACK_HOLE, names.BLACK_HOLE)],
            },
            {"name": "virtualOutbound-catchall-tcp", "filters": [tcp_proxy(mesh, rest, rest)]},
        ],
    )
    return built(LISTENER, listener)


def _address(address: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": address, "port_value": port}}


def outbound_http_filters() -> list[HttpFilter]:
    return [cors_filter(), fault_filter()]


@query
def outbound_http(db: Database, port: int) -> Built:
    """0.0.0.0_<port>: HTTP to any service of that port. The same for every proxy: who may call what stands in routes."""
    manager = http_connection_manager(
        mesh_config(db),
        f"outbound_{names.listener(ANY_ADDRESS, port)}",
        ads_routes(names.route(port)),
        outbound_http_filters(),
        metrics=[source_metrics("http")],
    )
    listener = Listener(
        name=names.listener(ANY_ADDRESS, port),
        address=_address(ANY_ADDRESS, port),
        traffic_direction="OUTBOUND",
        bind_to_port={"value": False},
        filter_chains=[{"filters": [manager]}],
    )
    return built(LISTENER, listener)


@query
def http_proxy(db: Database, binding: Binding) -> Built:
    """<address>_<port>: the explicit HTTP proxy of a workload whose traffic is not captured (Istio's proxyHttpPort)."""
    manager = http_connection_manager(
        mesh_config(db),
        f"outbound_{names.HTTP_PROXY}",
        ads_routes(names.HTTP_PROXY),
        outbound_http_filters(),
        metrics=[source_metrics("http")],
    )
    listener = Listener(
        name=names.listener(binding.address, binding.http_proxy_port),
        address=_address(binding.address, binding.http_proxy_port),
        traffic_direction="OUTBOUND",
        filter_chains=[{"filters": [manager]}],
    )
    return built(LISTENER, listener)


@query
def outbound_tcp(db: Database, scope: OutboundScope, ref: ServiceRef, port: int, address: str) -> Built:
    """<address>_<port>: TCP to one service, by its address."""
    found = service(db, ref)
    origins = [Origin("", found.ref.source)] if found else []
    listener = Listener(
        name=names.listener(address, port),
        address=_address(address, port),
        traffic_direction="OUTBOUND",
        bind_to_port={"value": False},
        filter_chains=[{"filters": [_tcp_route(db, scope, ref, port, origins)]}],
    )
    return built(LISTENER, listener, tuple(origins))


def _tcp_route(
    db: Database, scope: OutboundScope, ref: ServiceRef, port: int, origins: list[Origin]
) -> NetworkFilter:
    """The TCP route that a VirtualService gives a service's port, else one straight to it."""
    mesh = mesh_config(db)
    key = mesh_virtual_service(db, scope, ref.host)
    spec = virtual_service(db, key) if key else None
    for index, route in enumerate(spec.tcp if spec and key else ()):
        assert key is not None
        matched = not route.match or any(
            (not match.port or match.port == port)
            and match.source_namespace in {"", scope.namespace}
            and covers(match.source_labels, scope.labels)
            and (
                not match.gateways
                or MESH_GATEWAY in (gateway_name(name, key.namespace) for name in match.gateways)
            )
            for match in route.match
        )
        if matched and route.route:
            origins.append(Origin("filter_chains[0]", key, ("spec", "tcp", index)))
            # A weight of 0 gets nothing; where none is given, there is one destination.
            weighted = [item for item in route.route if item.weight > 0] or route.route[:1]
            targets = [_target(db, scope, key.namespace, item, port) for item in weighted]
            return tcp_proxy(mesh, targets[0][0], targets[0][0], targets)
    destination = Destination(host=ref.host, port=PortSelector(number=port))
    direct = cluster_name(db, scope, destination, port)
    return tcp_proxy(mesh, direct, direct)


def _target(
    db: Database, scope: OutboundScope, namespace: str, item: RouteDestination, port: int
) -> tuple[str, int]:
    destination = item.destination
    full = Destination(
        host=qualified(destination.host, namespace), subset=destination.subset, port=destination.port
    )
    return cluster_name(db, scope, full, port), item.weight or 1
