"""Asks a real Envoy whether it would take resources, without running it (`envoy --mode validate`)."""

import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mizzen.envoy_binary import envoy_path
from mizzen.proto import api
from mizzen.proto.api import (
    Bootstrap,
    Cluster,
    HttpConnectionManager,
    Listener,
    RouteConfiguration,
    Router,
)
from mizzen.translate.built import pack
from mizzen.xds.resource import CLUSTER, LISTENER, ROUTE, DiscoveryResource


def validate(resources: Iterable[DiscoveryResource]) -> str:
    """Envoy's objection, "" where it has none. Routes are wrapped into listeners of their own."""
    bootstrap = Bootstrap(node={"id": "validate", "cluster": "validate"})
    static = bootstrap.static_resources
    for name in ("xds-grpc", "sds-grpc"):
        static.clusters.add(name=name, type=Cluster.DiscoveryType.STATIC, connect_timeout={"seconds": 1})
    port = 20000
    for item in resources:
        if item.type_url == CLUSTER:
            static.clusters.append(_cluster(item))
        elif item.type_url == LISTENER:
            static.listeners.append(_listener(item))
        elif item.type_url == ROUTE:
            port += 1
            static.listeners.append(_route_listener(RouteConfiguration.FromString(item.body), port))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "audit").mkdir()
        file = Path(folder) / "bootstrap.pb"
        file.write_bytes(bootstrap.SerializeToString())
        done = subprocess.run(
            [envoy_path(), "--mode", "validate", "-c", file, "--log-level", "error"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=folder,  # where it makes the files of logs
        )
    if done.returncode == 0:
        return ""
    # Envoy repeats the whole configuration after the reason.
    lines = [
        line
        for line in done.stderr.splitlines()
        if "error initializing" in line or "Proto constraint" in line
    ]
    return "\n".join(lines)[:2000] or done.stderr[:2000] or f"exit status {done.returncode}"


def _cluster(item: DiscoveryResource) -> Cluster:
    cluster = Cluster.FromString(item.body)
    if cluster.type == Cluster.DiscoveryType.EDS:
        _without_ads(cluster.eds_cluster_config.eds_config)
    for socket in (cluster.transport_socket, *(m.transport_socket for m in cluster.transport_socket_matches)):
        _socket_without_ads(socket)
    return cluster


def _listener(item: DiscoveryResource) -> Listener:
    listener = Listener.FromString(item.body)
    for chain in listener.filter_chains:
        _socket_without_ads(chain.transport_socket)
        for found in chain.filters:
            if found.typed_config.type_url.endswith("HttpConnectionManager"):
                manager = HttpConnectionManager.FromString(found.typed_config.value)
                if manager.HasField("rds"):
                    _without_ads(manager.rds.config_source)
                    found.typed_config.CopyFrom(pack(manager))
    return listener


def _socket_without_ads(socket: Any) -> None:
    """Secrets too, in the contexts that Mizzen makes."""
    kind = socket.typed_config.type_url.rpartition(".")[2]
    if kind not in {"UpstreamTlsContext", "DownstreamTlsContext", "QuicDownstreamTransport"}:
        return
    message = getattr(api, kind).FromString(socket.typed_config.value)
    context = (message.downstream_tls_context if kind.startswith("Quic") else message).common_tls_context
    secrets = [*context.tls_certificate_sds_secret_configs]
    if context.HasField("combined_validation_context"):
        secrets.append(context.combined_validation_context.validation_context_sds_secret_config)
    if context.HasField("validation_context_sds_secret_config"):
        secrets.append(context.validation_context_sds_secret_config)
    for secret in secrets:
        if secret.sds_config.HasField("ads"):
            _without_ads(secret.sds_config)
    socket.typed_config.CopyFrom(pack(message))


def _without_ads(source: Any) -> None:
    """Envoy crashes when it validates static resources that come by ADS: name the discovery cluster directly."""
    source.api_config_source.api_type = source.api_config_source.ApiType.DELTA_GRPC
    source.api_config_source.transport_api_version = 2
    source.api_config_source.grpc_services.add().envoy_grpc.cluster_name = "xds-grpc"


def _route_listener(routes: RouteConfiguration, port: int) -> Listener:
    for_routes = HttpConnectionManager(
        stat_prefix="validate",
        route_config=routes,
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": pack(Router())}],
    )
    listener = Listener(name=f"validate-{routes.name}-{port}")
    listener.address.socket_address.address = "127.0.0.1"
    listener.address.socket_address.port_value = port
    chain = listener.filter_chains.add()
    chain.filters.add(name="envoy.filters.network.http_connection_manager", typed_config=pack(for_routes))
    return listener
