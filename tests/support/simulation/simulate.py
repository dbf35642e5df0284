"""A connection through a proxy's configuration, step by step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mizzen.proto.api import (
    DownstreamTlsContext,
    FilterChain,
    HttpConnectionManager,
    Listener,
    Route,
    RouteConfiguration,
    TcpProxy,
    VirtualHost,
)
from tests.support.simulation.call import Call, Refusal, Security, Verdict
from tests.support.simulation.filter_chains import matching_chains
from tests.support.simulation.listeners import inspected, listener_for
from tests.support.simulation.routes import route_for, virtual_host_for

HTTP = "envoy.filters.network.http_connection_manager"
TCP = "envoy.filters.network.tcp_proxy"


@dataclass(frozen=True)
class Configuration:
    """What a proxy holds, as far as it decides where a connection goes."""

    listeners: Sequence[Listener]
    routes: Mapping[str, RouteConfiguration]


def simulate(configuration: Configuration, call: Call) -> Verdict:
    listener = listener_for(configuration.listeners, call)
    if listener is None:
        return Verdict(Refusal.NO_LISTENER)
    verdict = Verdict(listener=listener.name)
    chains = matching_chains(listener, inspected(listener, call))
    if len(chains) != 1:
        several = Refusal.MULTIPLE_FILTER_CHAINS if chains else Refusal.NO_FILTER_CHAIN
        return replace(verdict, refusal=several)
    verdict = replace(verdict, filter_chain=chains[0].name)
    refusal = _handshake(chains[0], call)
    if refusal:
        return replace(verdict, refusal=refusal)
    for found in chains[0].filters:
        if found.name == HTTP:
            manager = HttpConnectionManager.FromString(found.typed_config.value)
            return _http(configuration, manager, chains[0], call, verdict)
        if found.name == TCP:
            proxy = TcpProxy.FromString(found.typed_config.value)
            return replace(verdict, cluster=proxy.cluster)
    return verdict


def _handshake(chain: FilterChain, call: Call) -> Refusal | None:
    """What goes wrong where the chain terminates TLS."""
    if not chain.HasField("transport_socket"):
        return None
    if call.is_plaintext:
        return Refusal.TLS
    context = DownstreamTlsContext.FromString(chain.transport_socket.typed_config.value)
    names = [found.name for found in context.common_tls_context.tls_certificate_sds_secret_configs]
    mutual = context.require_client_certificate.value and names[:1] == [call.secret]
    return None if mutual == (call.security is Security.MTLS) else Refusal.MTLS


def _http(
    configuration: Configuration,
    manager: HttpConnectionManager,
    chain: FilterChain,
    call: Call,
    verdict: Verdict,
) -> Verdict:
    encrypted = not call.is_plaintext and not chain.HasField("transport_socket")
    if encrypted or not call.is_http:
        return replace(verdict, refusal=Refusal.PROTOCOL)
    config = manager.route_config
    if manager.HasField("rds"):
        name = manager.rds.route_config_name
        verdict = replace(verdict, route_config=name)
        config = configuration.routes.get(name, RouteConfiguration())
    virtual_host = virtual_host_for(config, call.host)
    if virtual_host is None:
        return replace(verdict, refusal=Refusal.NO_VIRTUAL_HOST)
    verdict = replace(verdict, virtual_host=virtual_host.name)
    if virtual_host.require_tls == VirtualHost.TlsRequirementType.ALL and call.is_plaintext:
        return replace(verdict, refusal=Refusal.TLS_REDIRECT)
    route = route_for(virtual_host, call)
    if route is None:
        return replace(verdict, refusal=Refusal.NO_ROUTE)
    return replace(verdict, route=route.name, cluster=_cluster(route))


def _cluster(route: Route) -> str:
    if not route.HasField("route"):
        return ""
    weighted = route.route.weighted_clusters.clusters
    return weighted[0].name if len(weighted) == 1 else route.route.cluster
