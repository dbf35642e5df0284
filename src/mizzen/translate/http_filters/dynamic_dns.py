"""Names that the proxy resolves itself when a request comes: the filter that does (Envoy's dynamic forward proxy)."""

from mizzen.config.types.mesh import MeshConfig
from mizzen.proto.api import DynamicForwardProxy, HttpFilter
from mizzen.translate.built import pack
from mizzen.translate.dynamic_dns import dns_cache
from mizzen.translate.filter_order import DYNAMIC_DNS


def dynamic_dns_filter(mesh: MeshConfig) -> HttpFilter:
    """Resolves the host of requests whose route leads to a cluster that asks for it; all others pass."""
    config = DynamicForwardProxy(dns_cache_config=dns_cache(mesh))
    return HttpFilter(name=DYNAMIC_DNS, typed_config=pack(config))
