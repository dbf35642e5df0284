"""Connection pools: how many connections and requests, for how long, and by which protocol.

Source: Istio's mapping of DestinationRule `connectionPool` and of MeshConfig's `connectTimeout`, `tcpKeepalive` and
`h2UpgradePolicy`. The API cannot tell 0 from "not set": 0 is no limit, or the default.
"""

from datetime import timedelta
from typing import Any

from mizzen.config.types.mesh import H2UpgradePolicy as MeshH2UpgradePolicy
from mizzen.config.types.mesh import MeshConfig
from mizzen.config.types.networking import (
    ConnectionKeepalive,
    ConnectionPoolSettings,
    H2UpgradePolicy,
    HTTPSettings,
    RetryBudget,
    TCPSettings,
)
from mizzen.model.service import Protocol
from mizzen.proto.api import Cluster, HttpProtocolOptions

UNLIMITED = 2**32 - 1
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# How long an HTTP connection to an unknown destination may idle (Istio's): nobody can say otherwise for it.
PASSTHROUGH_IDLE_TIMEOUT = timedelta(minutes=5)
_RETRY_BUDGET_PERCENT = 20.0
_RETRY_BUDGET_CONCURRENCY = 3
_NO_TCP = TCPSettings()
_NO_HTTP = HTTPSettings()


def apply_connection_pool(
    cluster: Cluster,
    mesh: MeshConfig,
    pool: ConnectionPoolSettings | None,
    budget: RetryBudget | None = None,
) -> None:
    """What holds for connections of any protocol. It is in force where nobody said anything, too."""
    tcp = (pool.tcp if pool else None) or _NO_TCP
    cluster.connect_timeout.FromTimedelta(tcp.connect_timeout or mesh.connect_timeout)
    cluster.circuit_breakers.thresholds.add(**_thresholds(tcp, (pool.http if pool else None) or _NO_HTTP))
    if budget is not None:
        _apply_retry_budget(cluster.circuit_breakers.thresholds[0].retry_budget, budget)
    # Istio: the rule's keep-alive replaces the mesh's, and is not merged with it.
    keepalive = tcp.tcp_keepalive or mesh.tcp_keepalive
    if keepalive is None:
        return
    target = cluster.upstream_connection_options.tcp_keepalive
    target.SetInParent()
    if keepalive.probes:
        target.keepalive_probes.value = keepalive.probes
    if keepalive.time is not None:
        target.keepalive_time.value = _whole_seconds(keepalive.time)
    if keepalive.interval is not None:
        target.keepalive_interval.value = _whole_seconds(keepalive.interval)


def _whole_seconds(time: timedelta) -> int:
    """What the kernel counts in; 0 is not among what it takes."""
    return max(1, int(time.total_seconds()))


def _thresholds(tcp: TCPSettings, http: HTTPSettings) -> dict[str, Any]:
    """Istio's defaults: no limit. Envoy's own limit of 3 concurrent retries would silently defeat retries."""
    return {
        "max_connections": {"value": tcp.max_connections or UNLIMITED},
        "max_pending_requests": {"value": http.http1_max_pending_requests or UNLIMITED},
        "max_requests": {"value": http.http2_max_requests or UNLIMITED},
        "max_retries": {"value": http.max_retries or UNLIMITED},
        "track_remaining": True,
    }


def _apply_retry_budget(target: Any, budget: RetryBudget) -> None:
    """Retries as a share of the requests that are in flight. Envoy reads no max_retries beside it."""
    percent = budget.percent
    target.budget_percent.value = _RETRY_BUDGET_PERCENT if percent is None else percent
    target.min_retry_concurrency.value = budget.min_retry_concurrency or _RETRY_BUDGET_CONCURRENCY
    if budget.budget_interval is not None:
        target.budget_interval.FromTimedelta(budget.budget_interval)


def http_options(
    protocol: Protocol,
    mesh: MeshConfig,
    pool: ConnectionPoolSettings | None,
    *,
    sniffs: bool = True,
    upgrades: bool = True,
) -> HttpProtocolOptions:
    """What holds for HTTP.

    `sniffs`: the caller is a sidecar, which finds out what a port of unknown protocol speaks. `upgrades`: HTTP/1.1 may be
    upgraded to HTTP/2: towards other proxies, never towards an application, which may not speak it.
    """
    tcp = (pool.tcp if pool else None) or _NO_TCP
    http = (pool.http if pool else None) or _NO_HTTP
    options = HttpProtocolOptions()
    idle = http.idle_timeout if http.idle_timeout is not None else tcp.idle_timeout
    if idle is not None:
        options.common_http_protocol_options.idle_timeout.FromTimedelta(idle)
    if tcp.max_connection_duration is not None:
        options.common_http_protocol_options.max_connection_duration.FromTimedelta(
            tcp.max_connection_duration
        )
    if http.max_requests_per_connection:
        options.common_http_protocol_options.max_requests_per_connection.value = (
            http.max_requests_per_connection
        )
    upgraded = upgrades and not http.use_client_protocol and _is_upgraded(protocol, mesh, http)
    if http.use_client_protocol or (protocol is Protocol.AUTO and sniffs and not upgraded):
        as_called = options.use_downstream_protocol_config
        as_called.http_protocol_options.SetInParent()
        _apply_http2(as_called.http2_protocol_options, http)
    elif protocol.is_http2 or upgraded:
        _apply_http2(options.explicit_http_config.http2_protocol_options, http)
    else:
        options.explicit_http_config.http_protocol_options.SetInParent()
    return options


def _is_upgraded(protocol: Protocol, mesh: MeshConfig, http: HTTPSettings) -> bool:
    """Who upgrades one service knows what it speaks; the mesh's setting is for ports that are declared HTTP."""
    if http.h2_upgrade_policy is H2UpgradePolicy.DEFAULT:
        return protocol.is_http and mesh.h2_upgrade_policy is MeshH2UpgradePolicy.UPGRADE
    return http.h2_upgrade_policy is H2UpgradePolicy.UPGRADE


def _apply_http2(target: Any, http: HTTPSettings) -> None:
    target.SetInParent()
    if http.max_concurrent_streams:
        target.max_concurrent_streams.value = http.max_concurrent_streams
    if http.http2_keep_alive is not None and http.http2_keep_alive.interval is not None:
        _apply_keepalive(target.connection_keepalive, http.http2_keep_alive)


def _apply_keepalive(target: Any, keepalive: ConnectionKeepalive) -> None:
    """PINGs. Envoy wants to be told how long to wait for an answer: as long as until the next, if nobody says."""
    target.interval.FromTimedelta(keepalive.interval)
    target.timeout.FromTimedelta(keepalive.timeout or keepalive.interval)
