"""HTTP at gateways: the connection manager of a port's plain servers, or of one HTTPS server."""

from dataclasses import dataclass

from mizzen.config.types.proxy import ForwardClientCertDetails, Topology
from mizzen.derive.inbound import InboundScope
from mizzen.derive.mesh import mesh_config
from mizzen.derive.scope import outbound_scope
from mizzen.derive.telemetry import Side, observed
from mizzen.incremental import Database
from mizzen.model.proxy import ProxyKind
from mizzen.proto.api import NetworkFilter
from mizzen.translate.audit import audit_logs
from mizzen.translate.dynamic_dns import resolves_names
from mizzen.translate.gateway_routes import RouteTable, route_name
from mizzen.translate.listeners.network import ads_routes, http_connection_manager, outbound_http_filters
from mizzen.translate.security import http_security
from mizzen.translate.telemetry.metrics import denied_metrics
from mizzen.translate.telemetry.reporting import Reporting, client_reporting


@dataclass(frozen=True, slots=True)
class Front:
    """What all chains of a listener have in common: its name in statistics, and what stands before the gateway."""

    stat_prefix: str
    topology: Topology

    @property
    def client_certificate(self) -> str:
        """Envoy's forward_client_cert_details. Istio's default for gateways: what callers wrote there is replaced."""
        given = self.topology.forward_client_cert_details
        return "SANITIZE_SET" if given is ForwardClientCertDetails.UNDEFINED else given.value


def gateway_reporting(db: Database, scope: InboundScope) -> Reporting:
    """What a gateway tells: it is a client (Istio's rule)."""
    return client_reporting(db, observed(db, scope.namespace, scope.labels, Side.CLIENT))


def http_manager(
    db: Database, scope: InboundScope, table: RouteTable, front: Front, *, http3: bool = False
) -> NetworkFilter:
    """Routes by discovery; the gateway's own AuthorizationPolicies hold for what comes through."""
    policies = http_security(db, scope.namespace, scope.labels, edge=True)
    mesh = mesh_config(db)
    dynamic_dns = resolves_names(db, outbound_scope(db, ProxyKind.GATEWAY, scope.namespace, scope.labels))
    return http_connection_manager(
        mesh,
        front.stat_prefix,
        ads_routes(route_name(db, scope, table)),
        [*policies, *outbound_http_filters(grpc_web=True, dynamic_dns=mesh if dynamic_dns else None)],
        gateway_reporting(db, scope),
        logs=[
            *([denied_metrics()] if policies else []),
            *audit_logs(db, scope.namespace, scope.labels, http=True),
        ],
        edge=True,
        client_certificate=front.client_certificate,
        trusted_hops=front.topology.num_trusted_proxies,
        http3=http3,
    )
