"""virtualOutbound: where captured connections arrive, and what becomes of those that no other listener takes."""

from mizzen.config.types.mesh import MeshConfig
from mizzen.derive.mesh import mesh_config
from mizzen.derive.telemetry import Observed
from mizzen.incremental import Database, query
from mizzen.model.workload import Family
from mizzen.proto.api import Listener, RouteConfiguration
from mizzen.translate import names
from mizzen.translate.built import Built, built
from mizzen.translate.listeners.network import (
    CLEAR_TEXT_HTTP,
    http_connection_manager,
    inline_routes,
    inspect,
    outbound_http_filters,
    socket_address,
    tcp_proxy,
)
from mizzen.translate.telemetry.reporting import Reporting, client_reporting
from mizzen.translate.unknown import UnknownTraffic, unknown_hosts
from mizzen.xds.resource import LISTENER

CAPTURE_PORT = 15001  # where the agent's rules send what the application sends


@query
def virtual_outbound(
    db: Database, unknown: UnknownTraffic, families: tuple[Family, ...], seen: Observed
) -> Built:
    """virtualOutbound: takes every captured connection and hands it to the listener of its original destination.

    What no listener takes goes on as the outboundTrafficPolicy says. Outbound traffic is captured by REDIRECT, whatever
    the interception mode.
    """
    reporting = client_reporting(db, seen)
    address, *more = (socket_address(family.any_address, CAPTURE_PORT) for family in families)
    listener = Listener(
        name=names.VIRTUAL_OUTBOUND,
        address=address,
        additional_addresses=[{"address": each} for each in more],
        traffic_direction="OUTBOUND",
        use_original_dst={"value": True},
        filter_chains=[
            {
                # Somebody who connects to the capture port itself would make Envoy call itself for ever.
                "name": "virtualOutbound-trap",
                "filter_chain_match": {"destination_port": {"value": CAPTURE_PORT}},
                "filters": [tcp_proxy(reporting, names.BLACK_HOLE, names.BLACK_HOLE)],
            },
            {
                "name": "virtualOutbound-catchall-tcp",
                "filters": [tcp_proxy(reporting, unknown.stream, unknown.stream)],
            },
        ],
    )
    if unknown.resolves_names:
        _add_http(mesh_config(db), listener, unknown, reporting)
    return built(LISTENER, listener)


def _add_http(mesh: MeshConfig, listener: Listener, unknown: UnknownTraffic, reporting: Reporting) -> None:
    """Requests on ports of which the mesh knows nothing have a host, too, which can be resolved."""
    config = RouteConfiguration(name="virtualOutbound-http", validate_clusters={"value": False})
    config.virtual_hosts.append(unknown_hosts(unknown))
    manager = http_connection_manager(
        mesh,
        "outbound_virtualOutbound-http",
        inline_routes(config),
        outbound_http_filters(dynamic_dns=mesh),
        reporting,
    )
    match = {"application_protocols": CLEAR_TEXT_HTTP, "transport_protocol": "raw_buffer"}
    # What began to match the chain of HTTP falls back to the default alone.
    listener.default_filter_chain.CopyFrom(listener.filter_chains.pop())
    listener.filter_chains.add(name="virtualOutbound-http", filter_chain_match=match, filters=[manager])
    inspect(mesh, listener, sniffs=True, unnamed=True)
