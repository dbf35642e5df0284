"""AUTO_PASSTHROUGH: mutual TLS of the mesh goes on by its server name, which is the name of a cluster.

Source: Istio. A chain takes only callers that offer the mesh's own protocols, and its cluster only has endpoints that accept
mutual TLS: so whoever comes through is met by a proxy that asks for a certificate of the mesh.
"""

from collections.abc import Iterator

from mizzen.derive.gateways import GatewayServer
from mizzen.incremental import Database
from mizzen.model.proxy import OutboundScope
from mizzen.proto.api import NetworkFilter
from mizzen.translate.built import Origin
from mizzen.translate.clusters.sni_dnat import passages
from mizzen.translate.listeners.network import tcp_proxy
from mizzen.translate.telemetry.reporting import Reporting


def passthrough_services(
    db: Database, scope: OutboundScope, found: GatewayServer, reporting: Reporting
) -> Iterator[tuple[str, NetworkFilter, Origin]]:
    """The server names that a server passes on, each with its TCP proxy and the service that has it."""
    for passage in passages(db, scope, found.hosts):
        yield (
            passage.name,
            tcp_proxy(reporting, passage.name, passage.name),
            Origin("", passage.service.source),
        )
