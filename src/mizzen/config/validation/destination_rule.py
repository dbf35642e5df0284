"""DestinationRule."""

from math import isqrt

from mizzen.config.resource import Path
from mizzen.config.types.networking import (
    ClientTLSMode,
    ClientTLSSettings,
    ConnectionPoolSettings,
    ConsistentHashLB,
    DestinationRule,
    LoadBalancerSettings,
    OutlierDetection,
    PortTrafficPolicy,
    TrafficPolicy,
)
from mizzen.config.validation import rules
from mizzen.config.validation.rules import Findings, invalid

_MAX_TABLE_SIZE = 5_000_011  # Envoy's bound on a Maglev table


def validate(spec: DestinationRule) -> Findings:
    yield from rules.wildcard_host(spec.host, ("spec", "host"))
    yield from rules.export_to(spec.export_to, ("spec", "exportTo"))
    if spec.traffic_policy:
        yield from traffic_policy(spec.traffic_policy, ("spec", "trafficPolicy"))
    yield from rules.unique((subset.name for subset in spec.subsets), ("spec", "subsets"), "the subset")
    for index, subset in enumerate(spec.subsets):
        path = ("spec", "subsets", index)
        if not rules.is_label(subset.name):
            yield invalid(
                (*path, "name"), f'"{subset.name}" is no name of a subset', "use letters, digits and '-'"
            )
        yield from rules.labels(subset.labels, (*path, "labels"))
        if subset.traffic_policy:
            yield from traffic_policy(subset.traffic_policy, (*path, "trafficPolicy"))


def traffic_policy(policy: TrafficPolicy, path: Path) -> Findings:
    yield from _settings(policy, path)
    for index, port in enumerate(policy.port_level_settings):
        here = (*path, "portLevelSettings", index)
        if port.port is None:
            yield invalid(here, "there is no port", "add port with its number")
        else:
            yield from rules.port(port.port.number, (*here, "port", "number"))
        yield from _settings(port, here)


def _settings(policy: TrafficPolicy | PortTrafficPolicy, path: Path) -> Findings:
    if policy.load_balancer:
        yield from _load_balancer(policy.load_balancer, (*path, "loadBalancer"))
    if policy.connection_pool:
        yield from _connection_pool(policy.connection_pool, (*path, "connectionPool"))
    if policy.outlier_detection:
        yield from _outlier_detection(policy.outlier_detection, (*path, "outlierDetection"))
    if policy.tls:
        yield from client_tls(policy.tls, (*path, "tls"))


def _load_balancer(settings: LoadBalancerSettings, path: Path) -> Findings:
    yield from rules.at_most_one(settings, ("simple", "consistent_hash"), path)
    if settings.consistent_hash:
        yield from _consistent_hash(settings.consistent_hash, (*path, "consistentHash"))


def _consistent_hash(settings: ConsistentHashLB, path: Path) -> Findings:
    sources = ("http_header_name", "http_cookie", "use_source_ip", "http_query_parameter_name")
    yield from rules.at_most_one(settings, sources, path)
    if all(getattr(settings, name) in (None, "", False) for name in sources):
        yield invalid(path, "there is nothing to hash", f"add one of {', '.join(map(rules.camel, sources))}")
    yield from rules.at_most_one(settings, ("ring_hash", "maglev"), path)
    if settings.http_header_name:
        yield from rules.header_name(settings.http_header_name, (*path, "httpHeaderName"))
    if settings.http_cookie:
        yield from rules.not_negative(settings.http_cookie.ttl, (*path, "httpCookie", "ttl"))
        if not settings.http_cookie.name:
            yield invalid((*path, "httpCookie", "name"), "the cookie has no name")
    if settings.maglev and settings.maglev.table_size:
        size = settings.maglev.table_size
        if not 2 <= size <= _MAX_TABLE_SIZE or not _is_prime(size):
            yield invalid(
                (*path, "maglev", "tableSize"), f"{size} is no prime up to {_MAX_TABLE_SIZE}", "use 65537"
            )


def _is_prime(number: int) -> bool:
    return all(number % divisor for divisor in range(2, isqrt(number) + 1))


def _connection_pool(settings: ConnectionPoolSettings, path: Path) -> Findings:
    if tcp := settings.tcp:
        here = (*path, "tcp")
        yield from rules.at_least(0, tcp.max_connections, (*here, "maxConnections"))
        yield from rules.at_least_1ms(tcp.connect_timeout, (*here, "connectTimeout"))
        yield from rules.at_least_1ms(tcp.max_connection_duration, (*here, "maxConnectionDuration"))
        yield from rules.not_negative(tcp.idle_timeout, (*here, "idleTimeout"))
        if tcp.tcp_keepalive:
            yield from rules.at_least_1ms(tcp.tcp_keepalive.time, (*here, "tcpKeepalive", "time"))
            yield from rules.at_least_1ms(tcp.tcp_keepalive.interval, (*here, "tcpKeepalive", "interval"))
    if http := settings.http:
        here = (*path, "http")
        for name in (
            "http1_max_pending_requests",
            "http2_max_requests",
            "max_requests_per_connection",
            "max_retries",
            "max_concurrent_streams",
        ):
            yield from rules.at_least(0, getattr(http, name), (*here, rules.camel(name)))
        yield from rules.at_least_1ms(http.idle_timeout, (*here, "idleTimeout"))
        if http.http2_keep_alive:
            yield from rules.at_least_1ms(
                http.http2_keep_alive.interval, (*here, "http2KeepAlive", "interval")
            )
            yield from rules.at_least_1ms(http.http2_keep_alive.timeout, (*here, "http2KeepAlive", "timeout"))


def _outlier_detection(detection: OutlierDetection, path: Path) -> Findings:
    yield from rules.at_least_1ms(detection.interval, (*path, "interval"))
    yield from rules.at_least_1ms(detection.base_ejection_time, (*path, "baseEjectionTime"))
    yield from rules.percent(detection.max_ejection_percent, (*path, "maxEjectionPercent"))
    yield from rules.percent(detection.min_health_percent, (*path, "minHealthPercent"))
    if detection.consecutive_local_origin_failures and not detection.split_external_local_origin_errors:
        message = "it counts only with splitExternalLocalOriginErrors"
        yield invalid(
            (*path, "consecutiveLocalOriginFailures"), message, "set splitExternalLocalOriginErrors: true"
        )
    for index, code in enumerate(detection.outlier_detection_http_error_codes):
        if not 100 <= code <= 599:
            yield invalid((*path, "outlierDetectionHttpErrorCodes", index), f"{code} is no HTTP status")


def client_tls(settings: ClientTLSSettings, path: Path) -> Findings:
    """Which fields a mode needs and which it forbids."""
    files = {
        "clientCertificate": settings.client_certificate,
        "privateKey": settings.private_key,
        "caCertificates": settings.ca_certificates,
    }
    given = [name for name, value in files.items() if value]
    if settings.mode is ClientTLSMode.ISTIO_MUTUAL:
        more = {"subjectAltNames": settings.subject_alt_names, "credentialName": settings.credential_name}
        for name in (*given, *(name for name, value in more.items() if value)):
            yield invalid(
                (*path, name), f"{name} cannot be set: ISTIO_MUTUAL uses the mesh's certificates", "remove it"
            )
    elif settings.mode is ClientTLSMode.MUTUAL and not settings.credential_name:
        for name in ("clientCertificate", "privateKey"):
            if name not in given:
                yield invalid(path, f"MUTUAL needs {name}", f"add {name}")
    if settings.credential_name and given and settings.mode is not ClientTLSMode.ISTIO_MUTUAL:
        yield invalid(path, f"credentialName excludes {', '.join(given)}", "keep one of the two ways")
    for name in ("client_certificate", "private_key", "ca_certificates", "sni"):
        if any(character in getattr(settings, name) for character in "\0\r\n"):
            yield invalid((*path, rules.camel(name)), "it cannot hold NUL or line breaks")
