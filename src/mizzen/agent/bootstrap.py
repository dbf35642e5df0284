"""Envoy's bootstrap: how it finds the daemon (ADS) and the agent (SDS), and what is fixed for its life.

Everything else it learns by discovery. The reasons for the values are in ENVOY-FACTS.md, "Bootstrap", 3, 4 and 9.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from mizzen.agent.settings import ADMIN_SOCKET, DAEMON_NAME, SDS_SOCKET, HostPort, Settings
from mizzen.errors import UserError
from mizzen.proto.api import Bootstrap, HttpProtocolOptions, Struct, UpstreamTlsContext, message_class
from mizzen.proto.descriptors import pool

XDS_CLUSTER: Final = "xds-grpc"
SDS_CLUSTER: Final = "sds-grpc"
CERTIFICATE_SECRET: Final = "default"  # noqa: S105  # the name under which Envoy asks for it
ROOT_SECRET: Final = "ROOTCA"  # noqa: S105  # the name under which Envoy asks for the trust root

# Istio's choice: a fragment is cut off, as it is no part of what a server gets, instead of refusing the request.
_RUNTIME: Final = {"envoy.reloadable_features.http_reject_path_with_fragment": "false"}
_SOL_SOCKET: Final = 1
_SO_MARK: Final = 36
# What is kept: the mesh's metrics, the proxy's own state, and what draining looks at. A proxy with 5,000 clusters
# takes a third less memory than with Envoy's default of keeping everything.
_STATS: Final = (
    {"prefix": "istio"},
    {"prefix": "mizzen"},
    {"prefix": "server."},
    {"prefix": "cluster_manager."},
    {"prefix": "listener_manager."},
    {"exact": "filesystem.write_failed"},  # lines of the audit log that were lost
    {"prefix": f"cluster.{XDS_CLUSTER}."},
    {"prefix": f"cluster.{SDS_CLUSTER}."},
    {"suffix": ".downstream_cx_active"},
)
# Milliseconds or bytes, as in Istio's telemetry.
_BUCKETS: Final = (
    0.5,
    1,
    5,
    10,
    25,
    50,
    100,
    250,
    500,
    1000,
    2500,
    5000,
    10_000,
    30_000,
    60_000,
    300_000,
    1_800_000,
)


def build_bootstrap(settings: Settings) -> Message:
    """The Bootstrap message. Paths in it are relative to the state folder, in which Envoy works."""
    return Bootstrap(
        node={
            "id": settings.node_id,
            "cluster": f"{settings.canonical_name}.{settings.namespace}",
            "metadata": node_metadata(settings),
        },
        admin={"address": {"pipe": {"path": ADMIN_SOCKET, "mode": 0o600}}},
        dynamic_resources={
            "ads_config": {
                **_delta_grpc(XDS_CLUSTER),
                "set_node_on_first_message_only": True,
            },
            "lds_config": _from_ads(),
            "cds_config": _from_ads(),
        },
        static_resources={"clusters": [_sds_cluster(), _xds_cluster(settings.daemons)]},
        cluster_manager={
            "enable_deferred_cluster_creation": True,
            **({"upstream_bind_config": _marked(settings.mark)} if _needs_mark(settings) else {}),
        },
        deferred_stat_options={"enable_deferred_creation_stats": True},
        stats_config={
            "stats_matcher": {"inclusion_list": {"patterns": [*_STATS, *map(_pattern, settings.statistics)]}},
            "histogram_bucket_settings": [{"match": {"prefix": "istio"}, "buckets": list(_BUCKETS)}],
        },
        stats_flush_interval=timedelta(seconds=5),
        stats_eviction_interval=timedelta(hours=1),
        overload_manager=_connection_limit(settings.max_connections),
        layered_runtime={"layers": [{"name": "mizzen", "static_layer": _runtime(settings)}]},
    )


def bootstrap_text(message: Message) -> str:
    """As JSON, for Envoy and for people."""
    return MessageToJson(message, preserving_proto_field_name=True, descriptor_pool=pool())


def write_bootstrap(text: str, path: Path, owner_uid: int | None) -> None:
    """Keep a copy for people; only Envoy's user may read it. Raises UserError."""
    try:
        with os.fdopen(_open_private(path), "w") as file:
            os.fchmod(file.fileno(), 0o600)
            if owner_uid is not None:
                os.fchown(file.fileno(), owner_uid, -1)
            file.write(text)
    except OSError as error:
        raise UserError(f"cannot write Envoy's bootstrap {path.absolute()}: {error.strerror}") from None


def _open_private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)


def node_metadata(settings: Settings) -> dict[str, Any]:
    """What the proxy claims about itself; the daemon believes its certificate instead where both speak."""
    return {
        "NAME": settings.name,
        "NAMESPACE": settings.namespace,
        "SERVICE_ACCOUNT": settings.service_account,
        "INTERCEPTION_MODE": settings.interception.name,
        "CAPTURE_IPV6": settings.captures and settings.capture.ipv6,
        "LABELS": dict(settings.labels),
        "APP_PORTS": {str(port): private for port, private in settings.app_ports.items()},
        "HTTP_PROXY_PORT": settings.http_proxy_port,
        "ENVOY_VERSION": ENVOY_VERSION,
        **({"WORKLOAD_GROUP": settings.workload_group} if settings.workload_group else {}),
    }


ENVOY_VERSION: Final = "1.40.0"


def _from_ads() -> dict[str, Any]:
    # Without a limit: Envoy may start long before the daemon.
    return {"ads": {}, "initial_fetch_timeout": timedelta(0), "resource_api_version": "V3"}


def _delta_grpc(cluster: str) -> dict[str, Any]:
    back_off = {"base_interval": timedelta(milliseconds=100), "max_interval": timedelta(seconds=2)}
    grpc = {"cluster_name": cluster, "retry_policy": {"retry_back_off": back_off}}
    return {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": grpc}]}


def _from_sds(name: str) -> dict[str, Any]:
    source = {
        "resource_api_version": "V3",
        "initial_fetch_timeout": timedelta(0),
        "api_config_source": _delta_grpc(SDS_CLUSTER),
    }
    return {"name": name, "sds_config": source}


def _sds_cluster() -> dict[str, Any]:
    return {
        "name": SDS_CLUSTER,
        "type": "STATIC",
        "connect_timeout": timedelta(seconds=1),
        "typed_extension_protocol_options": _http2(),
        "load_assignment": _endpoints(SDS_CLUSTER, {"pipe": {"path": SDS_SOCKET}}),
    }


def _xds_cluster(daemons: Sequence[HostPort]) -> dict[str, Any]:
    addresses = [
        {"socket_address": {"address": daemon.host, "port_value": daemon.port}} for daemon in daemons
    ]
    tls = UpstreamTlsContext(
        sni=DAEMON_NAME,
        common_tls_context={
            "alpn_protocols": ["h2"],
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_3",
                "tls_maximum_protocol_version": "TLSv1_3",
            },
            "tls_certificate_sds_secret_configs": [_from_sds(CERTIFICATE_SECRET)],
            "combined_validation_context": {
                "default_validation_context": {
                    "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": DAEMON_NAME}}]
                },
                "validation_context_sds_secret_config": _from_sds(ROOT_SECRET),
            },
        },
    )
    return {
        "name": XDS_CLUSTER,
        "type": "STATIC" if all(daemon.is_address for daemon in daemons) else "STRICT_DNS",
        # It begins anywhere, so that the proxies spread, and a stream that broke goes to the next daemon: at random it
        # might try the dead one again and again.
        "lb_policy": "ROUND_ROBIN",
        "connect_timeout": timedelta(seconds=1),
        "typed_extension_protocol_options": _http2(),
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": {"value": 30}}},
        "load_assignment": _endpoints(XDS_CLUSTER, *addresses),
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": _typed(tls)},
    }


def _endpoints(cluster: str, *addresses: dict[str, Any]) -> dict[str, Any]:
    return {
        "cluster_name": cluster,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}} for address in addresses]}],
    }


def _http2() -> dict[str, Any]:
    keepalive = {"interval": timedelta(seconds=10), "timeout": timedelta(seconds=5)}
    options = HttpProtocolOptions(
        explicit_http_config={"http2_protocol_options": {"connection_keepalive": keepalive}}
    )
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": _typed(options)}


def _needs_mark(settings: Settings) -> bool:
    """Only where it is needed: without capture Envoy may lack the right to mark."""
    return settings.mark != 0 and settings.captures


def _marked(mark: int) -> dict[str, Any]:
    """Every connection that Envoy opens carries the mark, by which the capture rules let it pass."""
    option = {"level": _SOL_SOCKET, "name": _SO_MARK, "int_value": mark, "state": "STATE_PREBIND"}
    return {"socket_options": [option]}


def _connection_limit(most: int) -> dict[str, Any]:
    name = "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    limit = message_class(name)(max_active_downstream_connections=most)
    return {
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": _typed(limit),
            }
        ]
    }


def _runtime(settings: Settings) -> Any:
    """Values as Envoy's runtime reads them from a file: numbers and truth values are what they look like."""
    layer = Struct()
    for name, text in sorted({**_RUNTIME, **settings.runtime}.items()):
        field: Any = layer.fields[name]
        if text.lower() in {"true", "false"}:
            field.bool_value = text.lower() == "true"
        elif text.lstrip("-").replace(".", "", 1).isdigit():
            field.number_value = float(text)
        else:
            field.string_value = text
    return layer


def _pattern(kept: tuple[str, str]) -> dict[str, Any]:
    kind, text = kept
    return {"safe_regex": {"regex": text}} if kind == "regex" else {kind: text}


def _typed(message: Message) -> Mapping[str, Any]:
    return {
        "type_url": f"type.googleapis.com/{message.DESCRIPTOR.full_name}",
        "value": message.SerializeToString(deterministic=True),
    }
