"""How a cluster finds its endpoints: by discovery, by DNS, or as the caller chose.

Source: Istio's mapping of a service's resolution to Envoy's cluster types.
"""

from datetime import timedelta
from typing import Any

from mizzen.config.types.mesh import MeshConfig
from mizzen.model.service import Resolution, Service, ServicePort
from mizzen.model.workload import Endpoint
from mizzen.proto.api import Cluster, ConfigSource, DynamicForwardProxyCluster, HttpProtocolOptions
from mizzen.translate.built import pack
from mizzen.translate.dynamic_dns import dns_cache

# A name that could not be resolved is asked for again soon: Envoy would wait as long as after an answer.
FAILURE_REFRESH = {"base_interval": timedelta(seconds=1), "max_interval": timedelta(seconds=10)}
# So that proxies which started together do not ask together (Istio's).
_JITTER = timedelta(milliseconds=100)

BY_DNS = frozenset({Resolution.DNS, Resolution.DNS_ROUND_ROBIN})
"""Whose endpoints stand in the cluster."""


def by_discovery(cluster: Cluster) -> None:
    """EDS: an endpoint comes and goes without a change of the cluster."""
    cluster.type = Cluster.DiscoveryType.EDS
    cluster.eds_cluster_config.service_name = cluster.name
    # 0: wait for ever.
    source = ConfigSource(ads={}, resource_api_version="V3", initial_fetch_timeout={"seconds": 0})
    cluster.eds_cluster_config.eds_config.CopyFrom(source)


def as_called(cluster: Cluster, override: int) -> None:
    """To the address that the caller chose, at the port that it chose or at the service's targetPort."""
    cluster.type = Cluster.DiscoveryType.ORIGINAL_DST
    cluster.lb_policy = Cluster.LbPolicy.CLUSTER_PROVIDED
    if override:
        cluster.original_dst_lb_config.upstream_port_override.value = override


def by_dns(
    cluster: Cluster, mesh: MeshConfig, resolution: Resolution, localities: list[dict[str, Any]]
) -> None:
    """STRICT_DNS: every address of every name; LOGICAL_DNS: the first address of one name, for new connections."""
    cluster.load_assignment.cluster_name = cluster.name
    if resolution is Resolution.DNS_ROUND_ROBIN:
        localities = _one(localities)
        if not localities:  # a subset without endpoints: Envoy takes no such cluster with none
            cluster.type = Cluster.DiscoveryType.STATIC
            return
    for locality in localities:
        cluster.load_assignment.endpoints.add(**locality)
    logical = resolution is Resolution.DNS_ROUND_ROBIN
    cluster.type = Cluster.DiscoveryType.LOGICAL_DNS if logical else Cluster.DiscoveryType.STRICT_DNS
    # Both families, IPv4 first: the cluster is the same for proxies of either.
    cluster.dns_lookup_family = Cluster.DnsLookupFamily.V4_PREFERRED
    cluster.respect_dns_ttl = True
    cluster.dns_refresh_rate.FromTimedelta(mesh.dns_refresh_rate)
    cluster.dns_failure_refresh_rate.base_interval.FromTimedelta(FAILURE_REFRESH["base_interval"])
    cluster.dns_failure_refresh_rate.max_interval.FromTimedelta(FAILURE_REFRESH["max_interval"])
    cluster.dns_jitter.FromTimedelta(_JITTER)


def _one(localities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first endpoint: what Envoy's LOGICAL_DNS takes is one."""
    for locality in localities:
        if locality["lb_endpoints"]:
            return [{**locality, "lb_endpoints": locality["lb_endpoints"][:1]}]
    return []


def by_request(cluster: Cluster, options: HttpProtocolOptions, mesh: MeshConfig, *, insecure: bool) -> None:
    """DYNAMIC_DNS: the name in each request (in SNI, for TLS) is resolved when the request comes.

    Envoy insists that a server which is found so proves the name, should TLS be spoken to it; `insecure` is the user's word
    that it need not.
    """
    cluster.lb_policy = Cluster.LbPolicy.CLUSTER_PROVIDED
    cluster.cluster_type.name = "envoy.clusters.dynamic_forward_proxy"
    config = DynamicForwardProxyCluster(
        dns_cache_config=dns_cache(mesh), allow_insecure_cluster_options=insecure
    )
    cluster.cluster_type.typed_config.CopyFrom(pack(config))
    if not insecure:
        options.upstream_http_protocol_options.auto_sni = True
        options.upstream_http_protocol_options.auto_san_validation = True


def host_as_endpoint(found: Service, port: ServicePort) -> Endpoint:
    """What a DNS service without endpoints has: its own host."""
    return Endpoint(address=found.host, port=port.target if isinstance(port.target, int) else port.number)
