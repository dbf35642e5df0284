"""The sidecar as an explicit HTTP proxy (Istio's proxyHttpPort)."""

from mizzen.derive.mesh import mesh_config
from mizzen.derive.telemetry import Observed
from mizzen.incremental import Database, query
from mizzen.proto.api import Listener
from mizzen.translate import names
from mizzen.translate.built import Built, built
from mizzen.translate.listeners.network import (
    ads_routes,
    http_connection_manager,
    outbound_http_filters,
    socket_address,
)
from mizzen.translate.telemetry.reporting import client_reporting
from mizzen.xds.resource import LISTENER


@query
def http_proxy(
    db: Database,
    address: str,
    port: int,
    seen: Observed,
    dynamic_dns: bool,  # part of the key
) -> Built:
    """<address>_<port>: takes requests in absolute form, to any HTTP service, from applications that know the proxy. `dynamic_dns`: it
    resolves the hosts of some.
    """
    mesh = mesh_config(db)
    manager = http_connection_manager(
        mesh,
        f"outbound_{names.HTTP_PROXY}",
        ads_routes(names.HTTP_PROXY),
        outbound_http_filters(dynamic_dns=mesh if dynamic_dns else None),
        client_reporting(db, seen),
    )
    listener = Listener(
        name=names.listener(address, port),
        address=socket_address(address, port),
        traffic_direction="OUTBOUND",
        filter_chains=[{"filters": [manager]}],
    )
    return built(LISTENER, listener)
