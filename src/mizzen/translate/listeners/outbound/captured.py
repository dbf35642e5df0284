"""virtualOutbound: where captured connections arrive, and what becomes of those that no other listener takes."""

from mizzen.derive.mesh import mesh_config
from mizzen.incremental import Database, query
from mizzen.model.workload import Family
from mizzen.proto.api import Listener
from mizzen.translate import names
from mizzen.translate.built import Built, built
from mizzen.translate.listeners.network import socket_address, tcp_proxy
from mizzen.translate.unknown import UnknownTraffic
from mizzen.xds.resource import LISTENER


@query
def virtual_outbound(db: Database, unknown: UnknownTraffic, families: tuple[Family, ...]) -> Built:
    """virtualOutbound: takes every captured connection and hands it to the listener of its original destination.

    What no listener takes goes on as the outboundTrafficPolicy says. Outbound traffic is captured by REDIRECT, whatever
    the interception mode.
    """
    mesh = mesh_config(db)
    address, *more = (socket_address(family.any_address, mesh.proxy_listen_port) for family in families)
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
                "filter_chain_match": {"destination_port": {"value": mesh.proxy_listen_port}},
                "filters": [tcp_proxy(mesh, names.BLACK_HOLE, names.BLACK_HOLE)],
            },
            {
                "name": "virtualOutbound-catchall-tcp",
                "filters": [tcp_proxy(mesh, unknown.stream, unknown.stream)],
            },
        ],
    )
    return built(LISTENER, listener)
