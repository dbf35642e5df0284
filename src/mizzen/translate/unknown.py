"""What becomes of traffic to what the mesh does not know: outboundTrafficPolicy of MeshConfig and Sidecar."""

from dataclasses import dataclass
from typing import Any

from mizzen.config.types.mesh import OutboundTrafficMode
from mizzen.derive.hosts import qualified
from mizzen.derive.sidecars import outbound_traffic_policy
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope
from mizzen.proto.api import Route, VirtualHost
from mizzen.translate import names


@dataclass(frozen=True, slots=True)
class UnknownTraffic:
    """The clusters for it: of connections, and of requests ("": they are refused, with 502)."""

    stream: str = names.PASSTHROUGH
    request: str = names.PASSTHROUGH

    @property
    def resolves_names(self) -> bool:
        """Whether the proxy looks up the host of a request by itself."""
        return self.request == names.DYNAMIC_DNS


REFUSED = UnknownTraffic(names.BLACK_HOLE, "")


@query
def unknown_traffic(db: Database, scope: OutboundScope) -> UnknownTraffic:
    """The policy for a scope. Where the proxy resolves names by itself (ALLOW_ANY_DYNAMIC_DNS), that is for requests
    alone: a connection has no name.
    """
    policy = outbound_traffic_policy(db, scope)
    if policy.mode is OutboundTrafficMode.REGISTRY_ONLY:
        return REFUSED
    if policy.mode is OutboundTrafficMode.ALLOW_ANY_DYNAMIC_DNS:
        return UnknownTraffic(request=names.DYNAMIC_DNS)
    if policy.egress_proxy is not None:
        proxy = policy.egress_proxy
        host = qualified(proxy.host, scope.namespace)
        cluster = names.outbound_cluster(proxy.port.number if proxy.port else 0, proxy.subset, host)
        return UnknownTraffic(cluster, cluster)
    return UnknownTraffic()


def unknown_hosts(unknown: UnknownTraffic) -> VirtualHost:
    """Requests to hosts that the mesh does not know: through, or 502 (Istio's allow_any and block_all)."""
    name = "block_all"
    action: dict[str, Any] = {"direct_response": {"status": 502}}
    if unknown.request:
        name, action = "allow_any", {"route": {"cluster": unknown.request, "timeout": {}}}
    route = Route(name=name, match={"prefix": "/"}, **action)
    return VirtualHost(name=name, domains=["*"], routes=[route], include_request_attempt_count=True)
