"""TrafficPolicy and its parts, which DestinationRule, Sidecar and MeshConfig share."""

from math import isqrt
from typing import Final

from mizzen.config.resource import Path
from mizzen.config.types.networking import (
    ConnectionPoolSettings,
    ConsistentHashLB,
    H2UpgradePolicy,
    HTTPCookie,
    HTTPSettings,
    LoadBalancerSettings,
    OutlierDetection,
    PortTrafficPolicy,
    TCPSettings,
    TrafficPolicy,
    TunnelSettings,
)
from mizzen.config.validation import headers, hosts, localities, ports, rules
from mizzen.config.validation.rules import Findings, camel, invalid, questionable
from mizzen.config.validation.tls import client_tls

_MAX_TABLE_SIZE: Final = 5_000_011  # Envoy's bound on a Maglev table
_MAX_RING_SIZE: Final = 8_388_608  # Envoy's default maximum
_SETTINGS: Final = ("load_balancer", "connection_pool", "outlier_detection", "tls")
_ONLY_ABOVE_PORTS: Final = ("port_level_settings", "tunnel", "proxy_protocol", "retry_budget")


def traffic_policy(policy: TrafficPolicy, path: Path) -> Findings:
    yield from rules.at_least_one(policy, (*_SETTINGS, *_ONLY_ABOVE_PORTS), path, "the policy")
    yield from rules.at_most_one(policy, ("tunnel", "proxy_protocol"), path)
    yield from _settings(policy, path)
    if policy.tunnel:
        yield from _tunnel(policy.tunnel, (*path, "tunnel"))
    if policy.retry_budget:
        yield from rules.percent(policy.retry_budget.percent, (*path, "retryBudget", "percent"))
        yield from rules.at_least_1ms(
            policy.retry_budget.budget_interval, (*path, "retryBudget", "budgetInterval")
        )
    for index, port in enumerate(policy.port_level_settings):
        here = (*path, "portLevelSettings", index)
        if port.port is None:
            yield invalid(here, "there is no port", "add port with its number")
        else:
            yield from ports.port(port.port.number, (*here, "port", "number"))
        yield from rules.at_least_one(port, _SETTINGS, here, "the policy of the port")
        yield from _settings(port, here)


def _settings(policy: TrafficPolicy | PortTrafficPolicy, path: Path) -> Findings:
    if policy.load_balancer:
        here = (*path, "loadBalancer")
        yield from _load_balancer(policy.load_balancer, here, ejects=policy.outlier_detection is not None)
    if policy.connection_pool:
        yield from connection_pool(policy.connection_pool, (*path, "connectionPool"))
    if policy.outlier_detection:
        yield from outlier_detection(policy.outlier_detection, (*path, "outlierDetection"))
    if policy.tls:
        yield from client_tls(policy.tls, (*path, "tls"))


def _tunnel(tunnel: TunnelSettings, path: Path) -> Findings:
    if tunnel.protocol not in ("", "CONNECT", "POST"):
        yield invalid((*path, "protocol"), f'"{tunnel.protocol}" is neither CONNECT nor POST')
    yield from hosts.host(tunnel.target_host, (*path, "targetHost"))
    yield from ports.port(tunnel.target_port, (*path, "targetPort"))


# --- load balancing ---------------------------------------------------------------------------------------------


def _load_balancer(settings: LoadBalancerSettings, path: Path, *, ejects: bool) -> Findings:
    yield from rules.at_most_one(settings, ("simple", "consistent_hash"), path)
    yield from rules.at_most_one(settings, ("locality_lb_setting", "zone_aware_lb_setting"), path)
    if settings.consistent_hash:
        yield from _consistent_hash(settings.consistent_hash, (*path, "consistentHash"))
    if locality := settings.locality_lb_setting:
        yield from localities.locality_lb(locality, (*path, "localityLbSetting"), outlier_detection=ejects)
    if zone := settings.zone_aware_lb_setting:
        yield from localities.zone_aware_lb(zone, (*path, "zoneAwareLbSetting"), outlier_detection=ejects)
    yield from rules.at_least_1ms(settings.warmup_duration_secs, (*path, "warmupDurationSecs"))
    if warmup := settings.warmup:
        yield from rules.at_least_1ms(warmup.duration, (*path, "warmup", "duration"))
        yield from rules.percent(warmup.minimum_percent, (*path, "warmup", "minimumPercent"))
        yield from rules.at_least(0, warmup.aggression, (*path, "warmup", "aggression"))


def _consistent_hash(settings: ConsistentHashLB, path: Path) -> Findings:
    sources = ("http_header_name", "http_cookie", "use_source_ip", "http_query_parameter_name")
    yield from rules.at_most_one(settings, sources, path)
    if not any(getattr(settings, name) for name in sources):
        hint = f"add one of {', '.join(map(camel, sources))}"
        yield questionable(path, "there is nothing to hash, so endpoints are chosen at random", hint)
    yield from rules.at_most_one(settings, ("ring_hash", "maglev"), path)
    if settings.minimum_ring_size:
        here = (*path, "minimumRingSize")
        yield questionable(here, "minimumRingSize is deprecated", "use ringHash.minimumRingSize")
        if settings.ring_hash or settings.maglev:
            yield invalid(here, "minimumRingSize cannot be set beside ringHash or maglev", "remove it")
    ring = settings.ring_hash.minimum_ring_size if settings.ring_hash else settings.minimum_ring_size
    if not 0 <= ring <= _MAX_RING_SIZE:
        yield invalid(path, f"the ring's size {ring} is not between 0 and {_MAX_RING_SIZE}")
    if settings.http_header_name:
        yield from headers.header_name(settings.http_header_name, (*path, "httpHeaderName"))
    if settings.http_cookie:
        yield from _cookie(settings.http_cookie, (*path, "httpCookie"))
    if settings.maglev:
        yield from _maglev(settings.maglev.table_size, (*path, "maglev", "tableSize"))


def _cookie(cookie: HTTPCookie, path: Path) -> Findings:
    yield from rules.not_negative(cookie.ttl, (*path, "ttl"))
    if not cookie.name:
        yield invalid((*path, "name"), "the cookie has no name", "add its name")
    names = [attribute.name for attribute in cookie.attributes]
    yield from rules.unique(names, (*path, "attributes"), "the attribute")
    if "" in names:
        yield invalid((*path, "attributes", names.index("")), "the attribute has no name", "add its name")


def _maglev(size: int, path: Path) -> Findings:
    if not 2 <= size < _MAX_TABLE_SIZE or not _is_prime(size):
        yield invalid(path, f"{size} is no prime below {_MAX_TABLE_SIZE}", "use 65537")


def _is_prime(number: int) -> bool:
    return all(number % divisor for divisor in range(2, isqrt(number) + 1))


# --- connections ------------------------------------------------------------------------------------------------


def connection_pool(settings: ConnectionPoolSettings, path: Path) -> Findings:
    yield from rules.at_least_one(settings, ("tcp", "http"), path, "the connection pool")
    if settings.tcp:
        yield from _tcp(settings.tcp, (*path, "tcp"))
    if settings.http:
        yield from _http(settings.http, (*path, "http"))


def _tcp(tcp: TCPSettings, path: Path) -> Findings:
    yield from rules.at_least(0, tcp.max_connections, (*path, "maxConnections"))
    yield from rules.at_least_1ms(tcp.connect_timeout, (*path, "connectTimeout"))
    yield from rules.at_least_1ms(tcp.max_connection_duration, (*path, "maxConnectionDuration"))
    yield from rules.not_negative(tcp.idle_timeout, (*path, "idleTimeout"))
    if keepalive := tcp.tcp_keepalive:
        yield from rules.at_least_1ms(keepalive.time, (*path, "tcpKeepalive", "time"))
        yield from rules.at_least_1ms(keepalive.interval, (*path, "tcpKeepalive", "interval"))


_COUNTS: Final = (
    "http1_max_pending_requests",
    "http2_max_requests",
    "max_requests_per_connection",
    "max_retries",
    "max_concurrent_streams",
)


def _http(http: HTTPSettings, path: Path) -> Findings:
    for name in _COUNTS:
        yield from rules.at_least(0, getattr(http, name), (*path, camel(name)))
    yield from rules.at_least_1ms(http.idle_timeout, (*path, "idleTimeout"))
    if http.h2_upgrade_policy is H2UpgradePolicy.UPGRADE and http.use_client_protocol:
        message = "useClientProtocol keeps the client's protocol, but h2UpgradePolicy is UPGRADE"
        yield invalid((*path, "useClientProtocol"), message, "remove one of the two")
    if keepalive := http.http2_keep_alive:
        here = (*path, "http2KeepAlive")
        if keepalive.interval is None:
            yield invalid(here, "there is no interval, so no PING would be sent", "add interval")
        yield from rules.at_least_1ms(keepalive.interval, (*here, "interval"))
        yield from rules.at_least_1ms(keepalive.timeout, (*here, "timeout"))


def outlier_detection(detection: OutlierDetection, path: Path) -> Findings:
    yield from rules.at_least_1ms(detection.interval, (*path, "interval"))
    yield from rules.at_least_1ms(detection.base_ejection_time, (*path, "baseEjectionTime"))
    yield from rules.percent(detection.max_ejection_percent, (*path, "maxEjectionPercent"))
    yield from rules.percent(detection.min_health_percent, (*path, "minHealthPercent"))
    yield from rules.at_least(0, detection.consecutive_errors, (*path, "consecutiveErrors"))
    if detection.consecutive_errors:
        hint = "use consecutiveGatewayErrors or consecutive5xxErrors"
        yield questionable((*path, "consecutiveErrors"), "consecutiveErrors is deprecated", hint)
    if detection.consecutive_local_origin_failures and not detection.split_external_local_origin_errors:
        message = "it counts only with splitExternalLocalOriginErrors"
        yield invalid(
            (*path, "consecutiveLocalOriginFailures"), message, "set splitExternalLocalOriginErrors: true"
        )
    for index, code in enumerate(detection.outlier_detection_http_error_codes):
        if not 100 <= code <= 599:
            yield invalid((*path, "outlierDetectionHttpErrorCodes", index), f"{code} is no HTTP status")
