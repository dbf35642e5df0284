"""Clusters: where a proxy can send. Outbound ones are shared by the whole mesh: their key names no client."""

from dataclasses import dataclass
from typing import Any

from mizzen.config.types.networking import (
    ClientTLSMode,
    ClientTLSSettings,
    ConnectionPoolSettings,
    LoadBalancerSettings,
    OutlierDetection,
    SimpleLB,
)
from mizzen.derive.destination_rules import RuleKeys
from mizzen.derive.endpoints import service_accounts, service_endpoints
from mizzen.derive.mesh import mesh_config, trust_domain, trust_domains
from mizzen.derive.services import service
from mizzen.incremental import Database, query
from mizzen.model.identity import SpiffeId
from mizzen.model.proxy import Binding
from mizzen.model.service import Protocol, Resolution, Service, ServicePort, ServiceRef
from mizzen.proto.api import Cluster, HttpProtocolOptions, Struct, TransportSocket, UpstreamTlsContext
from mizzen.translate import names
from mizzen.translate.built import Built, Origin, built, pack, struct
from mizzen.translate.endpoints import locality_endpoints
from mizzen.translate.telemetry import METADATA
from mizzen.translate.tls import TLS, mesh_client, plaintext
from mizzen.translate.traffic_policy import EffectivePolicy, effective_policy, policy_origins
from mizzen.xds.resource import CLUSTER, ENDPOINT

UNLIMITED = 2**32 - 1
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# Envoy's source address for connections to its own application: the capture rules let it pass (Istio's 127.0.0.6).
INBOUND_SOURCE = "127.0.0.6"
# From files that every Linux distribution with Debian's or Alpine's layout has: what SIMPLE TLS trusts by default.
SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class ClusterKey:
    """The whole input of an outbound cluster: the service, the port, the subset, the DestinationRules that hold."""

    service: ServiceRef
    port: int
    subset: str
    rules: RuleKeys


@query
def outbound_cluster(db: Database, key: ClusterKey) -> Built:
    """outbound|<port>|<subset>|<host>."""
    found = service(db, key.service)
    port = found.port(key.port) if found else None
    if found is None or port is None:
        raise LookupError(f"{key.service.host} has no port {key.port}")
    policy = effective_policy(db, key.rules, key.subset, key.port)
    cluster = Cluster(
        name=names.outbound_cluster(key.port, key.subset, found.host),
        connect_timeout=_connect_timeout(policy.connection_pool) or mesh_config(db).connect_timeout,
        circuit_breakers={"thresholds": [_thresholds(policy.connection_pool)]},
        metadata={"filter_metadata": {METADATA: _metadata(found)}},
        typed_extension_protocol_options={HTTP_OPTIONS: pack(_http_options(port, policy.connection_pool))},
        **_discovery(db, key, found, policy.load_balancer),
        **_load_balancing(policy.load_balancer),
    )
    _apply_tcp_settings(cluster, policy.connection_pool)
    if found.resolution is Resolution.NONE:
        cluster.lb_policy = Cluster.LbPolicy.CLUSTER_PROVIDED
    if policy.outlier_detection is not None:
        cluster.outlier_detection.CopyFrom(_outlier_detection(policy.outlier_detection))
        # Below this share of healthy endpoints the ejected ones are used again. Envoy's own default is half.
        cluster.common_lb_config.healthy_panic_threshold.value = policy.outlier_detection.min_health_percent
    _apply_transport(db, cluster, key, found, port, policy)
    origins = (Origin("", key.service.source), *policy_origins(db, key.rules, key.subset))
    warms = ((ENDPOINT, cluster.name),) if cluster.type == Cluster.DiscoveryType.EDS else ()
    return built(CLUSTER, cluster, origins, warms)


def _metadata(found: Service) -> Struct:
    return struct({"host": found.host, "name": found.name, "namespace": found.namespace})


def _discovery(
    db: Database, key: ClusterKey, found: Service, balancing: LoadBalancerSettings | None
) -> dict[str, Any]:
    # PASSTHROUGH: Envoy refuses a cluster that finds endpoints and then leaves the choice to the caller.
    passthrough = balancing is not None and balancing.simple is SimpleLB.PASSTHROUGH
    if found.resolution is Resolution.NONE or passthrough:
        return {"type": "ORIGINAL_DST"}
    name = names.outbound_cluster(key.port, key.subset, found.host)
    if found.resolution is Resolution.DNS:
        return {
            "type": "STRICT_DNS",
            "dns_lookup_family": "V4_PREFERRED",
            "respect_dns_ttl": True,
            "dns_refresh_rate": {"seconds": 60},
            "load_assignment": {"cluster_name": name, "endpoints": _dns_endpoints(db, key, found)},
        }
    return {
        "type": "EDS",
        "eds_cluster_config": {
            "service_name": name,
            "eds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": {"seconds": 0}},
        },
    }


def _dns_endpoints(db: Database, key: ClusterKey, found: Service) -> list[dict[str, Any]]:
    """Those that are written down; without any, the host is its own address."""
    written = locality_endpoints(service_endpoints(db, key.service, key.port))
    if written:
        return written
    port = found.port(key.port)
    number = port.target if port and isinstance(port.target, int) else key.port
    address = {"socket_address": {"address": found.host, "port_value": number}}
    return [{"lb_endpoints": [{"endpoint": {"address": address}}]}]


def _connect_timeout(pool: ConnectionPoolSettings | None) -> Any:
    return pool.tcp.connect_timeout if pool and pool.tcp else None


def _thresholds(pool: ConnectionPoolSettings | None) -> dict[str, Any]:
    """Istio's defaults: no limit. Envoy's own limit of 3 concurrent retries would silently defeat retries."""
    tcp = pool.tcp if pool else None
    http = pool.http if pool else None
    return {
        "max_connections": {"value": (tcp and tcp.max_connections) or UNLIMITED},
        "max_pending_requests": {"value": (http and http.http1_max_pending_requests) or UNLIMITED},
        "max_requests": {"value": (http and http.http2_max_requests) or UNLIMITED},
        "max_retries": {"value": (http and http.max_retries) or UNLIMITED},
        "track_remaining": True,
    }


def _http_options(port: ServicePort, pool: ConnectionPoolSettings | None) -> HttpProtocolOptions:
    http = pool.http if pool else None
    options = HttpProtocolOptions()
    if http is not None and http.use_client_protocol:
        options.use_downstream_protocol_config.http_protocol_options.SetInParent()
        options.use_downstream_protocol_config.http2_protocol_options.SetInParent()
    elif port.protocol.is_http2 or (http is not None and http.h2_upgrade_policy.value == "UPGRADE"):
        http2 = options.explicit_http_config.http2_protocol_options
        http2.SetInParent()
        if http is not None and http.max_concurrent_streams:
            http2.max_concurrent_streams.value = http.max_concurrent_streams
    else:
        options.explicit_http_config.http_protocol_options.SetInParent()
    if http is not None:
        if http.idle_timeout is not None:
            options.common_http_protocol_options.idle_timeout.FromTimedelta(http.idle_timeout)
        if http.max_requests_per_connection:
            options.common_http_protocol_options.max_requests_per_connection.value = (
                http.max_requests_per_connection
            )
    return options


def _apply_tcp_settings(cluster: Cluster, pool: ConnectionPoolSettings | None) -> None:
    keepalive = pool.tcp.tcp_keepalive if pool and pool.tcp else None
    if keepalive is None:
        return
    target = cluster.upstream_connection_options.tcp_keepalive
    target.SetInParent()
    if keepalive.probes:
        target.keepalive_probes.value = keepalive.probes
    if keepalive.time is not None:
        target.keepalive_time.value = int(keepalive.time.total_seconds())
    if keepalive.interval is not None:
        target.keepalive_interval.value = int(keepalive.interval.total_seconds())


_SIMPLE = {
    SimpleLB.ROUND_ROBIN: "ROUND_ROBIN",
    SimpleLB.RANDOM: "RANDOM",
    SimpleLB.PASSTHROUGH: "CLUSTER_PROVIDED",
}


def _load_balancing(settings: LoadBalancerSettings | None) -> dict[str, Any]:
    """Istio's default is least request. Consistent hashing hashes what the route's hash policy names."""
    if settings is None:
        return {"lb_policy": "LEAST_REQUEST"}
    hashing = settings.consistent_hash
    if hashing is None:
        return {"lb_policy": _SIMPLE.get(settings.simple or SimpleLB.UNSPECIFIED, "LEAST_REQUEST")}
    if hashing.maglev is not None:
        table_size = hashing.maglev.table_size
        config = {"maglev_lb_config": {"table_size": {"value": table_size}}} if table_size else {}
        return {"lb_policy": "MAGLEV", **config}
    size = (
        (hashing.ring_hash.minimum_ring_size if hashing.ring_hash else 0) or hashing.minimum_ring_size or 1024
    )
    return {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": {"value": size}}}


def _outlier_detection(settings: OutlierDetection) -> Any:
    """Istio's mapping: never by success rate; by server errors unless it says 0 (Envoy's default, five, is Istio's)."""
    detection = Cluster(name="-", outlier_detection={}).outlier_detection
    detection.enforcing_success_rate.value = 0
    errors_5xx = settings.consecutive_5xx_errors
    if errors_5xx is not None:
        detection.consecutive_5xx.value = errors_5xx
        detection.enforcing_consecutive_5xx.value = 100 if errors_5xx else 0
    gateway = settings.consecutive_gateway_errors
    if gateway is None and settings.consecutive_errors:
        gateway = settings.consecutive_errors
    if gateway is not None:
        detection.consecutive_gateway_failure.value = gateway
        detection.enforcing_consecutive_gateway_failure.value = 100 if gateway else 0
    if settings.interval is not None:
        detection.interval.FromTimedelta(settings.interval)
    if settings.base_ejection_time is not None:
        detection.base_ejection_time.FromTimedelta(settings.base_ejection_time)
    if settings.max_ejection_percent:
        detection.max_ejection_percent.value = settings.max_ejection_percent
    if settings.split_external_local_origin_errors:
        detection.split_external_local_origin_errors = True
        local = settings.consecutive_local_origin_failures
        if local is not None:
            detection.consecutive_local_origin_failure.value = local
            detection.enforcing_consecutive_local_origin_failure.value = 100 if local else 0
    return detection


def _apply_transport(
    db: Database,
    cluster: Cluster,
    key: ClusterKey,
    found: Service,
    port: ServicePort,
    policy: EffectivePolicy,
) -> None:
    """TLS as the DestinationRule says; else automatic mTLS: to each endpoint whose proxy takes it, plaintext to others."""
    tls = policy.tls
    if tls is not None and tls.mode is ClientTLSMode.DISABLE:
        return
    if tls is not None and tls.mode in {ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL}:
        cluster.transport_socket.CopyFrom(_origination(tls, found, port))
        return
    if found.resolution is Resolution.NONE or (tls is None and found.mesh_external):
        return
    mesh = mesh_client(
        sni=(tls.sni if tls and tls.sni else names.server_name(key.port, key.subset, found.host)),
        principals=(tls.subject_alt_names if tls and tls.subject_alt_names else _principals(db, key.service)),
        trust_domains=trust_domains(db),
        http=port.protocol.is_http,
        http2=port.protocol.is_http2,
    )
    if tls is not None:
        cluster.transport_socket.CopyFrom(mesh)
        return
    if not mesh_config(db).enable_auto_mtls:
        return
    cluster.transport_socket_matches.add(
        name="tlsMode-istio", match=struct({"tlsMode": "istio"}), transport_socket=mesh
    )
    cluster.transport_socket_matches.add(
        name="tlsMode-disabled", match=struct({}), transport_socket=plaintext()
    )


def _principals(db: Database, ref: ServiceRef) -> list[str]:
    domain = trust_domain(db)
    return [str(SpiffeId(domain, namespace, account)) for namespace, account in service_accounts(db, ref)]


def _origination(tls: ClientTLSSettings, found: Service, port: ServicePort) -> TransportSocket:
    """SIMPLE and MUTUAL: TLS that the proxy starts on the application's behalf, with certificates from files."""
    common: dict[str, Any] = {"alpn_protocols": ["h2"] if port.protocol.is_http2 else []}
    common["tls_params"] = {
        "tls_minimum_protocol_version": "TLSv1_2",
        "tls_maximum_protocol_version": "TLSv1_3",
    }
    if not tls.insecure_skip_verify:
        sans = [
            {"san_type": kind, "matcher": {"exact": san}}
            for san in tls.subject_alt_names
            for kind in ("DNS", "URI")
        ]
        common["validation_context"] = {
            "trusted_ca": {"filename": tls.ca_certificates or SYSTEM_ROOTS},
            "match_typed_subject_alt_names": sans,
        }
    if tls.mode is ClientTLSMode.MUTUAL:
        common["tls_certificates"] = [
            {
                "certificate_chain": {"filename": tls.client_certificate},
                "private_key": {"filename": tls.private_key},
            }
        ]
    # Istio: without an SNI of its own, a service outside the mesh is asked for by its host.
    context = UpstreamTlsContext(
        common_tls_context=common, sni=tls.sni or (found.host if found.mesh_external else "")
    )
    return TransportSocket(name=TLS, typed_config=pack(context))


@query
def inbound_cluster(db: Database, port: int, protocol: Protocol, binding: Binding | None) -> Built:
    """inbound|<port>||: the workload's own application.

    With capture the application is where the caller meant to go (original destination); without, it listens on a
    private port beside the proxy.
    """
    cluster = Cluster(
        name=names.inbound_cluster(port),
        connect_timeout=mesh_config(db).connect_timeout,
        circuit_breakers={"thresholds": [_thresholds(None)]},
    )
    if protocol.is_http2:
        options = HttpProtocolOptions()
        options.explicit_http_config.http2_protocol_options.SetInParent()
        cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(pack(options))
    if binding is None:
        cluster.type = Cluster.DiscoveryType.ORIGINAL_DST
        cluster.lb_policy = Cluster.LbPolicy.CLUSTER_PROVIDED
        _bind_to_inbound_source(cluster)
    else:
        cluster.type = Cluster.DiscoveryType.STATIC
        cluster.load_assignment.cluster_name = cluster.name
        endpoint = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint
        endpoint.address.socket_address.address = binding.address
        endpoint.address.socket_address.port_value = binding.app_ports[port]
    return built(CLUSTER, cluster)


@query
def black_hole_cluster(db: Database) -> Built:
    """Where what must not leave goes: a cluster without endpoints."""
    return built(
        CLUSTER,
        Cluster(name=names.BLACK_HOLE, type="STATIC", connect_timeout=mesh_config(db).connect_timeout),
    )


@query
def passthrough_cluster(db: Database) -> Built:
    """Where traffic to unknown destinations goes under ALLOW_ANY: where the application meant it to go."""
    return built(CLUSTER, _original_destination(db, names.PASSTHROUGH))


@query
def inbound_passthrough_cluster(db: Database) -> Built:
    """The application's ports that no service declares."""
    cluster = _original_destination(db, names.INBOUND_PASSTHROUGH)
    _bind_to_inbound_source(cluster)
    return built(CLUSTER, cluster)


def _bind_to_inbound_source(cluster: Cluster) -> None:
    cluster.upstream_bind_config.source_address.address = INBOUND_SOURCE
    cluster.upstream_bind_config.source_address.port_value = 0  # any; Envoy wants it said


def _original_destination(db: Database, name: str) -> Cluster:
    return Cluster(
        name=name,
        type="ORIGINAL_DST",
        lb_policy="CLUSTER_PROVIDED",
        connect_timeout=mesh_config(db).connect_timeout,
        circuit_breakers={"thresholds": [_thresholds(None)]},
    )
