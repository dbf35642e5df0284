"""What the settings of a proxy change in what is made for all: headers that it adds, limits of its connections.

Source: Istio's ProxyConfig: `proxyHeaders`, `connectionSettings`.
"""

from datetime import timedelta
from typing import Any

from mizzen.config.types.mesh import MeshConfig
from mizzen.config.types.proxy import (
    ConnectionProfile,
    ConnectionSettings,
    ForwardClientCertDetails,
    HeadersWithUnderscoresAction,
    PathWithEscapedSlashesAction,
    ProxyHeaders,
)
from mizzen.model.proxy import ProxySettings
from mizzen.proto.api import (
    Cluster,
    Http1ProtocolOptions,
    HttpConnectionManager,
    HttpProtocolOptions,
    Listener,
    PreserveCase,
    RouteConfiguration,
    Router,
)
from mizzen.translate.built import pack
from mizzen.translate.clusters.connection_pool import HTTP_OPTIONS
from mizzen.translate.filter_order import ROUTER
from mizzen.translate.listeners.network import HTTP
from mizzen.translate.patches.listeners import INBOUND, chains

# Envoy's recommendation for what faces the internet ("Configuring Envoy as an edge proxy").
_EDGE = ConnectionSettings(
    http_max_concurrent_streams=100,
    http2_initial_stream_window_size=64 << 10,
    http2_initial_connection_window_size=1 << 20,
    http_headers_with_underscores_action=(
        HeadersWithUnderscoresAction.HEADERS_WITH_UNDERSCORES_REJECT_REQUEST
    ),
    http_path_with_escaped_slashes_action=PathWithEscapedSlashesAction.UNESCAPE_AND_REDIRECT,
    http_merge_slashes=True,
    listener_per_connection_buffer_limit_bytes=32 << 10,
    cluster_per_connection_buffer_limit_bytes=32 << 10,
)
# Names of headers as they came (HTTP/1 alone has such): Envoy's own form is lower case.
_AS_WRITTEN = Http1ProtocolOptions(
    header_key_format={"stateful_formatter": {"name": "preserve_case", "typed_config": pack(PreserveCase())}}
)
_UNDERSCORES = {
    HeadersWithUnderscoresAction.HEADERS_WITH_UNDERSCORES_ALLOW: "ALLOW",
    HeadersWithUnderscoresAction.HEADERS_WITH_UNDERSCORES_REJECT_REQUEST: "REJECT_REQUEST",
    HeadersWithUnderscoresAction.HEADERS_WITH_UNDERSCORES_DROP_HEADER: "DROP_HEADER",
}


def in_force(mesh: MeshConfig, own: ProxySettings) -> ProxySettings:
    """The proxy's own settings, each over the mesh's; without the topology, which gateway listeners read themselves."""
    default = mesh.default_config
    return ProxySettings(
        headers=own.headers or default.proxy_headers,
        connections=own.connections or default.connection_settings,
    )


def settle_listener(listener: Listener, settings: ProxySettings, *, edge: bool) -> None:
    """Change a listener as the settings say. `edge`: of a gateway."""
    limit = (
        settings.connections and _profiled(settings.connections).listener_per_connection_buffer_limit_bytes
    )
    if limit:
        listener.per_connection_buffer_limit_bytes.value = limit
    identifies = edge or listener.traffic_direction == INBOUND
    for item in (item for chain in chains(listener) for item in chain.filters if item.name == HTTP):
        manager = HttpConnectionManager.FromString(item.typed_config.value)
        _settle_manager(manager, settings, identifies=identifies)
        item.typed_config.CopyFrom(pack(manager))


def settle_routes(config: RouteConfiguration, settings: ProxySettings) -> None:
    """Change routes as the settings say: which try a request is, is told to applications by x-envoy-attempt-count."""
    headers = settings.headers
    if headers and headers.attempt_count and headers.attempt_count.disabled:
        for host in config.virtual_hosts:
            host.include_request_attempt_count = False


def concern_clusters(settings: ProxySettings) -> bool:
    """Whether anything in the settings changes clusters: otherwise they stay shared."""
    return bool(_cluster_buffer(settings)) or _preserves_case(settings)


def settle_cluster(cluster: Cluster, settings: ProxySettings) -> None:
    """Change a cluster as the settings say."""
    limit = _cluster_buffer(settings)
    if limit:
        cluster.per_connection_buffer_limit_bytes.value = limit
    if _preserves_case(settings) and HTTP_OPTIONS in cluster.typed_extension_protocol_options:
        packed = cluster.typed_extension_protocol_options[HTTP_OPTIONS]
        options = HttpProtocolOptions.FromString(packed.value)
        for config in (options.explicit_http_config, options.use_downstream_protocol_config):
            if config.HasField("http_protocol_options"):
                config.http_protocol_options.MergeFrom(_AS_WRITTEN)
        packed.CopyFrom(pack(options))


def _cluster_buffer(settings: ProxySettings) -> int:
    connections = settings.connections
    return (_profiled(connections).cluster_per_connection_buffer_limit_bytes or 0) if connections else 0


def _preserves_case(settings: ProxySettings) -> bool:
    return settings.headers is not None and bool(settings.headers.preserve_http1_header_case)


def _settle_manager(manager: HttpConnectionManager, settings: ProxySettings, *, identifies: bool) -> None:
    """`identifies`: the peer may show a certificate of which the application is told."""
    if settings.headers is not None:
        _headers(manager, settings.headers)
        if identifies:
            _identity_headers(manager, settings.headers)
    if settings.connections is not None:
        _connections(manager, _profiled(settings.connections))
    if manager.HasField("route_config"):
        settle_routes(manager.route_config, settings)


def _forward_certificate(manager: HttpConnectionManager, details: ForwardClientCertDetails) -> None:
    if details is not ForwardClientCertDetails.UNDEFINED:
        forward: Any = HttpConnectionManager.ForwardClientCertDetails
        manager.forward_client_cert_details = forward.Value(details.value)


def _identity_headers(manager: HttpConnectionManager, headers: ProxyHeaders) -> None:
    _forward_certificate(manager, headers.forwarded_client_cert)
    parts = headers.set_current_client_cert_details
    if parts is not None:
        told = manager.set_current_client_cert_details
        told.subject.value = parts.subject is not False
        told.dns = parts.dns is not False
        told.uri = parts.uri is not False
        told.cert = bool(parts.cert)
        told.chain = bool(parts.chain)


def _headers(manager: HttpConnectionManager, headers: ProxyHeaders) -> None:
    if headers.preserve_http1_header_case:
        manager.http_protocol_options.MergeFrom(_AS_WRITTEN)
    if headers.request_id is not None and headers.request_id.disabled:
        manager.generate_request_id.value = False
    if headers.server is not None:
        if headers.server.disabled:
            manager.server_header_transformation = (
                HttpConnectionManager.ServerHeaderTransformation.PASS_THROUGH
            )
        elif headers.server.value:
            manager.server_name = headers.server.value
    if headers.x_forwarded_port is not None and headers.x_forwarded_port.enabled:
        manager.append_x_forwarded_port = True
    if headers.envoy_debug_headers is not None and headers.envoy_debug_headers.disabled:
        for item in (found for found in manager.http_filters if found.name == ROUTER):
            router = Router.FromString(item.typed_config.value)
            router.suppress_envoy_headers = True
            item.typed_config.CopyFrom(pack(router))


def _profiled(given: ConnectionSettings) -> ConnectionSettings:
    """What is not set is as the profile has it."""
    if given.profile is not ConnectionProfile.EDGE:
        return given
    unset = ConnectionSettings()
    chosen = {
        name: getattr(_EDGE if getattr(given, name) == getattr(unset, name) else given, name)
        for name in ConnectionSettings.__struct_fields__
    }
    return ConnectionSettings(**chosen)


def _connections(manager: HttpConnectionManager, settings: ConnectionSettings) -> None:
    common, http2 = manager.common_http_protocol_options, manager.http2_protocol_options
    _set_duration(common, "idle_timeout", settings.http_idle_timeout)
    _set_duration(common, "max_connection_duration", settings.http_max_connection_duration)
    _set_duration(common, "max_stream_duration", settings.http_max_stream_duration)
    _set_duration(manager, "drain_timeout", settings.http_drain_timeout)
    _set_duration(manager, "request_timeout", settings.http_request_timeout)
    _set_duration(manager, "request_headers_timeout", settings.http_request_headers_timeout)
    _set_duration(manager, "stream_idle_timeout", settings.http_stream_idle_timeout)
    for name, value in (
        ("max_concurrent_streams", settings.http_max_concurrent_streams),
        ("initial_stream_window_size", settings.http2_initial_stream_window_size),
        ("initial_connection_window_size", settings.http2_initial_connection_window_size),
    ):
        if value is not None:
            getattr(http2, name).value = value
    underscores = _UNDERSCORES.get(settings.http_headers_with_underscores_action)
    if underscores is not None:
        actions: Any = type(common).HeadersWithUnderscoresAction
        common.headers_with_underscores_action = actions.Value(underscores)
    if settings.http_merge_slashes is not None:
        manager.merge_slashes = settings.http_merge_slashes
    slashes = settings.http_path_with_escaped_slashes_action
    if slashes is not PathWithEscapedSlashesAction.PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED:
        escaped: Any = HttpConnectionManager.PathWithEscapedSlashesAction
        manager.path_with_escaped_slashes_action = escaped.Value(slashes.value)


def _set_duration(target: Any, name: str, value: timedelta | None) -> None:
    if value is not None:
        getattr(target, name).FromTimedelta(value)
