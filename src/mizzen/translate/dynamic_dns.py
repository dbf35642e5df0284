"""The dynamic forward proxy: names that are resolved when a request brings them (resolution DYNAMIC_DNS)."""

from typing import Any

from mizzen.config.types.mesh import MeshConfig


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
