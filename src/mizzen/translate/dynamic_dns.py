"""The dynamic forward proxy: names that are resolved when a request brings them (resolution DYNAMIC_DNS)."""

from typing import Any

from mizzen.config.types.mesh import MeshConfig
from mizzen.derive.services import service
from mizzen.derive.visibility import visible_services
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope
from mizzen.model.service import Resolution
from mizzen.translate.unknown import unknown_traffic


def dns_cache(mesh: MeshConfig) -> dict[str, Any]:
    """The cache of resolved names, which all users of one proxy share: Envoy tells caches apart by name, and refuses two of
    one name that differ.
    """
    refresh = mesh.dns_refresh_rate
    return {
        "name": f"dynamic_dns_{int(refresh.total_seconds() * 1000)}ms",
        "dns_lookup_family": "V4_PREFERRED",
        "dns_refresh_rate": refresh,
    }


@query
def resolves_names(db: Database, scope: OutboundScope) -> bool:
    """Whether some requests of a scope go where the name in them leads: to unknown hosts, if the policy says so, or to a
    service without endpoints. A route on any port may lead to such a service.
    """
    if unknown_traffic(db, scope).resolves_names:
        return True
    found = (service(db, ref) for ref in visible_services(db, scope.whole))
    return any(each is not None and each.resolution is Resolution.DYNAMIC_DNS for each in found)
