"""The messages that Mizzen uses, by short name: `from mizzen.proto.api import Cluster, Listener`.

Constructors take nested messages as dicts: `Cluster(name="x", eds_cluster_config={"service_name": "y"})`.
Classes are made on first use, and kept. Type checkers read `api.pyi`, which `mizzen.proto.build` writes from MESSAGES.
"""

from typing import TYPE_CHECKING

from google.protobuf.message_factory import GetMessageClass

from mizzen.proto.descriptors import pool

if TYPE_CHECKING:
    from google.protobuf.message import Message

_FILTERS = "envoy.extensions.filters."
_TRANSPORT_SOCKETS = "envoy.extensions.transport_sockets."

MESSAGES = {
    # well-known types (of the private pool: they do not mix with google.protobuf.*_pb2)
    "AnyMessage": "google.protobuf.Any",
    "BoolValue": "google.protobuf.BoolValue",
    "Duration": "google.protobuf.Duration",
    "StringValue": "google.protobuf.StringValue",
    "Struct": "google.protobuf.Struct",
    "UInt32Value": "google.protobuf.UInt32Value",
    # discovery
    "DeltaDiscoveryRequest": "envoy.service.discovery.v3.DeltaDiscoveryRequest",
    "DeltaDiscoveryResponse": "envoy.service.discovery.v3.DeltaDiscoveryResponse",
    "DiscoveryRequest": "envoy.service.discovery.v3.DiscoveryRequest",
    "DiscoveryResource": "envoy.service.discovery.v3.Resource",
    "DiscoveryResponse": "envoy.service.discovery.v3.DiscoveryResponse",
    "Status": "google.rpc.Status",
    # the resources
    "Bootstrap": "envoy.config.bootstrap.v3.Bootstrap",
    "Cluster": "envoy.config.cluster.v3.Cluster",
    "ClusterLoadAssignment": "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "Listener": "envoy.config.listener.v3.Listener",
    "RouteConfiguration": "envoy.config.route.v3.RouteConfiguration",
    "Secret": _TRANSPORT_SOCKETS + "tls.v3.Secret",
    # parts of them
    "AccessLog": "envoy.config.accesslog.v3.AccessLog",
    "AccessLogFilter": "envoy.config.accesslog.v3.AccessLogFilter",
    "Address": "envoy.config.core.v3.Address",
    "ConfigSource": "envoy.config.core.v3.ConfigSource",
    "DataSource": "envoy.config.core.v3.DataSource",
    "FilterChain": "envoy.config.listener.v3.FilterChain",
    "FilterChainMatch": "envoy.config.listener.v3.FilterChainMatch",
    "HeaderMatcher": "envoy.config.route.v3.HeaderMatcher",
    "HeaderValueOption": "envoy.config.core.v3.HeaderValueOption",
    "Http1ProtocolOptions": "envoy.config.core.v3.Http1ProtocolOptions",
    "HttpFilter": _FILTERS + "network.http_connection_manager.v3.HttpFilter",
    "ListenerFilter": "envoy.config.listener.v3.ListenerFilter",
    "LocalityLbEndpoints": "envoy.config.endpoint.v3.LocalityLbEndpoints",
    "MetadataMatcher": "envoy.type.matcher.v3.MetadataMatcher",
    "Metadata": "envoy.config.core.v3.Metadata",
    "NetworkFilter": "envoy.config.listener.v3.Filter",
    "Node": "envoy.config.core.v3.Node",
    "Permission": "envoy.config.rbac.v3.Permission",
    "Principal": "envoy.config.rbac.v3.Principal",
    "RBAC": "envoy.config.rbac.v3.RBAC",
    "RBACPolicy": "envoy.config.rbac.v3.Policy",
    "RegexMatcher": "envoy.type.matcher.v3.RegexMatcher",
    "RetryPolicy": "envoy.config.route.v3.RetryPolicy",
    "Route": "envoy.config.route.v3.Route",
    "RouteAction": "envoy.config.route.v3.RouteAction",
    "RouteMatch": "envoy.config.route.v3.RouteMatch",
    "StringMatcher": "envoy.type.matcher.v3.StringMatcher",
    "TransportSocket": "envoy.config.core.v3.TransportSocket",
    "VirtualHost": "envoy.config.route.v3.VirtualHost",
    # extensions
    "CommonTlsContext": _TRANSPORT_SOCKETS + "tls.v3.CommonTlsContext",
    "CorsPolicy": _FILTERS + "http.cors.v3.CorsPolicy",
    "CorsFilter": _FILTERS + "http.cors.v3.Cors",
    "DownstreamTlsContext": _TRANSPORT_SOCKETS + "tls.v3.DownstreamTlsContext",
    "DynamicForwardProxy": _FILTERS + "http.dynamic_forward_proxy.v3.FilterConfig",
    "DynamicForwardProxyCluster": "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
    "ExpressionFilter": "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
    "FileAccessLog": "envoy.extensions.access_loggers.file.v3.FileAccessLog",
    "GrpcStats": _FILTERS + "http.grpc_stats.v3.FilterConfig",
    "GrpcWeb": _FILTERS + "http.grpc_web.v3.GrpcWeb",
    "HTTPFault": _FILTERS + "http.fault.v3.HTTPFault",
    "HttpConnectionManager": _FILTERS + "network.http_connection_manager.v3.HttpConnectionManager",
    "HttpGrpcAccessLog": "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
    "HttpExtAuthz": _FILTERS + "http.ext_authz.v3.ExtAuthz",
    "HttpInspector": _FILTERS + "listener.http_inspector.v3.HttpInspector",
    "HttpProtocolOptions": "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "HttpRBAC": _FILTERS + "http.rbac.v3.RBAC",
    "JwtAuthentication": _FILTERS + "http.jwt_authn.v3.JwtAuthentication",
    "NetworkExtAuthz": _FILTERS + "network.ext_authz.v3.ExtAuthz",
    "NetworkRBAC": _FILTERS + "network.rbac.v3.RBAC",
    "OpenTelemetryAccessLog": "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
    "OpenTelemetryConfig": "envoy.config.trace.v3.OpenTelemetryConfig",
    "OpenTelemetryEnvironment": (
        "envoy.extensions.tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig"
    ),
    "OriginalDst": _FILTERS + "listener.original_dst.v3.OriginalDst",
    "OriginalSrc": _FILTERS + "listener.original_src.v3.OriginalSrc",
    "PreserveCase": "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
    "PreviousHosts": "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
    "ProxyProtocolUpstreamTransport": _TRANSPORT_SOCKETS + "proxy_protocol.v3.ProxyProtocolUpstreamTransport",
    "ProxyProtocol": _FILTERS + "listener.proxy_protocol.v3.ProxyProtocol",
    "QuicDownstreamTransport": _TRANSPORT_SOCKETS + "quic.v3.QuicDownstreamTransport",
    "PreviousPriorities": "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
    "RawBuffer": _TRANSPORT_SOCKETS + "raw_buffer.v3.RawBuffer",
    "Router": _FILTERS + "http.router.v3.Router",
    "SetFilterState": _FILTERS + "network.set_filter_state.v3.Config",
    "SniDynamicForwardProxy": _FILTERS + "network.sni_dynamic_forward_proxy.v3.FilterConfig",
    "StatsAccessLog": "envoy.extensions.access_loggers.stats.v3.Config",
    "StdoutAccessLog": "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
    "TcpGrpcAccessLog": "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig",
    "TcpProxy": _FILTERS + "network.tcp_proxy.v3.TcpProxy",
    "TlsInspector": _FILTERS + "listener.tls_inspector.v3.TlsInspector",
    "TlsParameters": _TRANSPORT_SOCKETS + "tls.v3.TlsParameters",
    "UriTemplateMatchConfig": "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
    "ZipkinConfig": "envoy.config.trace.v3.ZipkinConfig",
    "UuidRequestId": "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
    "UpstreamTlsContext": _TRANSPORT_SOCKETS + "tls.v3.UpstreamTlsContext",
    # services that are not Envoy's
    "HealthCheckRequest": "grpc.health.v1.HealthCheckRequest",
    "HealthCheckResponse": "grpc.health.v1.HealthCheckResponse",
    "DebugRequest": "mizzen.v1.DebugRequest",
    "DebugResponse": "mizzen.v1.DebugResponse",
    "HealthReport": "mizzen.v1.HealthReport",
    "HealthReportResponse": "mizzen.v1.HealthReportResponse",
    "NameTable": "istio.networking.nds.v1.NameTable",
    "IstioCertificateRequest": "istio.v1.auth.IstioCertificateRequest",
    "IstioCertificateResponse": "istio.v1.auth.IstioCertificateResponse",
}


def message_class(full_name: str) -> "type[Message]":
    """The class of any message in the pool, by full name, for those who need one that MESSAGES does not name. Its parts' classes
    are held for ever, too: protobuf holds classes weakly, so that without this those of nested messages are garbage after each use, and
    made anew for the next.
    """
    to_hold = [pool().FindMessageTypeByName(full_name)]
    while to_hold:
        descriptor = to_hold.pop()
        if descriptor.full_name not in _held:
            # The entries of maps have no class of their own.
            is_entry = descriptor.GetOptions().map_entry
            _held[descriptor.full_name] = None if is_entry else GetMessageClass(descriptor)
            to_hold += (field.message_type for field in descriptor.fields if field.message_type)
    found = _held[full_name]
    assert found is not None
    return found


_held: "dict[str, type[Message] | None]" = {}  # never more than the pool has


def __getattr__(name: str) -> object:
    if name not in MESSAGES:
        raise AttributeError(f"mizzen.proto.api names no message {name!r}: add it to MESSAGES")
    found = message_class(MESSAGES[name])
    globals()[name] = found
    return found
