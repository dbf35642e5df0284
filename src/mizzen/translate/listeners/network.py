"""The network filters that end a filter chain: HTTP and plain TCP."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from mizzen.config.types.mesh import MeshConfig, NormalizationType
from mizzen.frozen import EMPTY
from mizzen.proto.api import (
    AccessLog,
    HttpConnectionManager,
    HttpFilter,
    HttpInspector,
    Listener,
    ListenerFilter,
    NetworkFilter,
    RouteConfiguration,
    TcpProxy,
    TlsInspector,
    UuidRequestId,
)
from mizzen.translate.built import pack
from mizzen.translate.filter_order import in_order
from mizzen.translate.http_filters.cors import cors_filter
from mizzen.translate.http_filters.dynamic_dns import dynamic_dns_filter
from mizzen.translate.http_filters.fault import fault_filter
from mizzen.translate.http_filters.grpc_stats import grpc_stats_filter
from mizzen.translate.http_filters.grpc_web import grpc_web_filter
from mizzen.translate.http_filters.router import router_filter
from mizzen.translate.telemetry.reporting import Reporting, at_the_end

HTTP = "envoy.filters.network.http_connection_manager"
TCP = "envoy.filters.network.tcp_proxy"
SERVER_NAME = "istio-envoy"
UNIX_PREFIX = "unix://"
LOOPBACK = "127.0.0.1"
ANY_ADDRESS = "0.0.0.0"  # noqa: S104  # what arrives may be meant for any address


# What the HTTP inspector calls HTTP in the clear. HTTP/1.0 is not among them: Envoy would refuse it, and as a stream it
# may get through (Istio's choice).
CLEAR_TEXT_HTTP = ("http/1.1", "h2c")
# How long a port of unknown protocol waits for the client to speak. Istio waits for ever, and whoever waits for the
# server's greeting with it.
DETECTION_TIMEOUT = timedelta(seconds=1)


def socket_address(address: str, port: int) -> dict[str, Any]:
    """An IP address and port, or a unix socket ("unix:///path", port 0)."""
    if address.startswith(UNIX_PREFIX):
        return {"pipe": {"path": address.removeprefix(UNIX_PREFIX)}}
    return {"socket_address": {"address": address, "port_value": port}}


def tls_inspector() -> ListenerFilter:
    """Learns the server name and the protocols that a TLS client offers."""
    return ListenerFilter(name="envoy.filters.listener.tls_inspector", typed_config=pack(TlsInspector()))


def http_inspector() -> ListenerFilter:
    """Learns whether a client speaks HTTP in the clear, and which."""
    return ListenerFilter(name="envoy.filters.listener.http_inspector", typed_config=pack(HttpInspector()))


def inspect(mesh: MeshConfig, listener: Listener, *, sniffs: bool, unnamed: bool) -> None:
    """Add the inspectors of TLS and, where it `sniffs`, of HTTP. `unnamed`: some port says nothing of its protocol."""
    # Where the HTTP inspector alone is given, Envoy adds the other by itself and warns.
    listener.listener_filters.append(tls_inspector())
    timeout = timedelta()
    if sniffs:
        listener.listener_filters.append(http_inspector())
        timeout = DETECTION_TIMEOUT if unnamed else timedelta()
        if mesh.protocol_detection_timeout is not None:
            timeout = mesh.protocol_detection_timeout
    listener.listener_filters_timeout.FromTimedelta(timeout)
    listener.continue_on_listener_filters_timeout = True


def outbound_http_filters(
    *, grpc_web: bool = False, dynamic_dns: MeshConfig | None = None
) -> list[HttpFilter]:
    """The HTTP filters of what leaves a proxy. `dynamic_dns`: it resolves the names of some requests, as this mesh does."""
    filters = [cors_filter(), fault_filter()]
    if grpc_web:
        filters.append(grpc_web_filter())
    if dynamic_dns is not None:
        filters.append(dynamic_dns_filter(dynamic_dns))
    return filters


def ads_routes(name: str) -> dict[str, Any]:
    """Routes that discovery delivers by name."""
    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": {"seconds": 0}}
    return {"rds": {"route_config_name": name, "config_source": source}}


def inline_routes(config: RouteConfiguration) -> dict[str, Any]:
    return {"route_config": config}


_BASE: dict[str, Any] = {
    "normalize_path": {"value": True},
    "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
}
_MERGED = {**_BASE, "merge_slashes": True}
# What authorization matches is what the application gets: paths are normalised before both. Source: Istio's MeshConfig.
_NORMALIZATION: dict[NormalizationType, dict[str, Any]] = {
    NormalizationType.DEFAULT: _BASE,
    NormalizationType.NONE: {**_BASE, "normalize_path": {"value": False}},
    NormalizationType.BASE: _BASE,
    NormalizationType.MERGE_SLASHES: _MERGED,
    NormalizationType.DECODE_AND_MERGE_SLASHES: {
        **_MERGED,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD",
    },
}


def _normalization(mesh: MeshConfig) -> dict[str, Any]:
    asked = mesh.path_normalization
    return _NORMALIZATION[asked.normalization if asked else NormalizationType.DEFAULT]


def http_connection_manager(
    mesh: MeshConfig,
    stat_prefix: str,
    routes: dict[str, Any],
    filters: Iterable[HttpFilter],
    reporting: Reporting,
    *,
    logs: Sequence[AccessLog] = (),
    edge: bool = False,
    client_certificate: str = "SANITIZE",
    trusted_hops: int = 0,
    http3: bool = False,
) -> NetworkFilter:
    """An HTTP connection manager with Istio's settings.

    `edge` says that callers are outside the mesh: their addresses are taken from the connection, and from headers only
    what `trusted_hops` proxies in front have added. `client_certificate` is Envoy's forward_client_cert_details. `logs` are
    written besides what is reported.
    """
    counting = [grpc_stats_filter()] if reporting.is_counted else []
    manager = HttpConnectionManager(
        stat_prefix=stat_prefix,
        http_filters=in_order([*filters, *counting, router_filter()]),
        access_log=[*reporting.of_requests(), *logs],
        tracing=reporting.tracing(),
        server_name=SERVER_NAME,
        use_remote_address={"value": edge},
        xff_num_trusted_hops=trusted_hops,
        forward_client_cert_details=client_certificate,
        upgrade_configs=[{"upgrade_type": "websocket"}],
        **_normalization(mesh),
        # 0: streams may be silent for as long as they like; timeouts are the routes' business.
        stream_idle_timeout={"seconds": 0},
        # How long a drained connection may linger whose client has nothing in flight but does not close it.
        drain_timeout={"seconds": 1},
        **routes,
    )
    if not reporting.by_request_id:
        extension = UuidRequestId(use_request_id_for_trace_sampling={"value": False})
        manager.request_id_extension.typed_config.CopyFrom(pack(extension))
    if http3:
        manager.codec_type = HttpConnectionManager.CodecType.HTTP3
        manager.http3_protocol_options.SetInParent()
    if client_certificate != "SANITIZE":
        manager.set_current_client_cert_details.uri = True
        manager.set_current_client_cert_details.dns = True
        manager.set_current_client_cert_details.subject.value = True
    if not edge and client_certificate != "SANITIZE":
        # An application's own Server header is the application's business.
        manager.server_header_transformation = HttpConnectionManager.ServerHeaderTransformation.PASS_THROUGH
    return NetworkFilter(name=HTTP, typed_config=pack(manager))


def tcp_proxy(
    reporting: Reporting,
    stat_prefix: str,
    cluster: str,
    weights: Sequence[tuple[str, int]] = (),
    settings: Mapping[str, Any] = EMPTY,
    logs: Sequence[AccessLog] = (),
) -> NetworkFilter:
    """Plain TCP to one cluster, or to several by weight. `settings` are further fields of Envoy's TcpProxy, `logs` are written
    when a connection ends, besides what is reported.
    """
    ended = [at_the_end(log) for log in logs] if reporting.is_counted else logs
    proxy = TcpProxy(stat_prefix=stat_prefix, access_log=[*reporting.of_connections(), *ended], **settings)
    if reporting.is_counted:
        proxy.access_log_options.flush_access_log_on_connected = True
    if len(weights) > 1:
        for name, weight in weights:
            proxy.weighted_clusters.clusters.add(name=name, weight=weight)
    else:
        proxy.cluster = cluster
    return NetworkFilter(name=TCP, typed_config=pack(proxy))
