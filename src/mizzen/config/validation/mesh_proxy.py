"""ProxyConfig of MeshConfig: the settings of every proxy."""

from datetime import timedelta
from typing import Final

from mizzen.config.resource import Path
from mizzen.config.types.message import Duration
from mizzen.config.types.proxy import ConnectionSettings, PrivateKeyProvider, ProxyConfig, Tracing
from mizzen.config.validation import hosts, ports, regexes, rules
from mizzen.config.validation.rules import Findings, camel, invalid, questionable
from mizzen.config.validation.tls import client_tls

_HOST_IP: Final = "$(HOST_IP)"  # the injector puts the node's address in its place
_AUTO_ALLOCATE: Final = "ISTIO_META_DNS_AUTO_ALLOCATE"


def proxy_config(config: ProxyConfig, path: Path) -> Findings:
    for name in ("config_path", "binary_path", "service_cluster"):
        if getattr(config, name) == "":
            yield invalid((*path, camel(name)), f"{camel(name)} is empty", "write one, or remove it")
    yield from rules.at_most_one(config, ("service_cluster", "tracing_service_name"), path)
    yield from whole_seconds(config.drain_duration, (*path, "drainDuration"))
    yield from rules.not_negative(config.termination_drain_duration, (*path, "terminationDrainDuration"))
    yield from rules.at_least(0, config.concurrency, (*path, "concurrency"))
    yield from _addresses(config, path)
    for field, number in (("proxyAdminPort", config.proxy_admin_port), ("statusPort", config.status_port)):
        yield from ports.port(number, (*path, field))
    if config.tracing:
        yield from _tracing(config.tracing, (*path, "tracing"))
    if config.private_key_provider:
        yield from _private_key_provider(config.private_key_provider, (*path, "privateKeyProvider"))
    if config.connection_settings:
        yield from connection_settings(config.connection_settings, (*path, "connectionSettings"))
    patterns = config.proxy_stats_matcher.inclusion_regexps if config.proxy_stats_matcher else ()
    for index, pattern in enumerate(patterns):
        yield from regexes.regex(pattern, (*path, "proxyStatsMatcher", "inclusionRegexps", index))
    if _AUTO_ALLOCATE in config.proxy_metadata:
        message = f"{_AUTO_ALLOCATE} is deprecated: addresses are allocated for all proxies alike"
        yield questionable((*path, "proxyMetadata", _AUTO_ALLOCATE), message, "remove it")


def whole_seconds(duration: Duration, path: Path) -> Findings:
    if duration < timedelta(seconds=1) or duration % timedelta(seconds=1):
        message = f"{duration.total_seconds():g}s: whole seconds are counted here, from 1s"
        yield invalid(path, message, "round it to seconds")


def _addresses(config: ProxyConfig, path: Path) -> Findings:
    yield from hosts.host_and_port(config.discovery_address, (*path, "discoveryAddress"))
    for name in ("zipkin_address", "statsd_udp_address", "envoy_metrics_service_address"):
        if text := getattr(config, name):
            yield from hosts.host_and_port(text.replace(_HOST_IP, "127.0.0.1"), (*path, camel(name)))
    for name in ("envoy_access_log_service", "envoy_metrics_service"):
        service = getattr(config, name)
        here = (*path, camel(name))
        if service and service.address:
            yield from hosts.host_and_port(service.address, (*here, "address"))
        if service and service.tls_settings:
            yield from client_tls(service.tls_settings, (*here, "tlsSettings"))


def _tracing(tracing: Tracing, path: Path) -> Findings:
    tracers = ("zipkin", "lightstep", "datadog", "stackdriver", "open_census_agent")
    yield from rules.at_most_one(tracing, tracers, path)
    for name in ("zipkin", "lightstep", "datadog"):
        if tracer := getattr(tracing, name):
            text = tracer.address.replace(_HOST_IP, "127.0.0.1", 1)
            yield from hosts.host_and_port(text, (*path, name, "address"))
    if tracing.lightstep and not tracing.lightstep.access_token.reveal():
        yield invalid((*path, "lightstep"), "there is no access token", "add accessToken")
    if tracing.tls_settings:
        yield from client_tls(tracing.tls_settings, (*path, "tlsSettings"))
    yield from rules.percent(tracing.sampling, (*path, "sampling"))
    for name, tag in tracing.custom_tags.items():
        yield from rules.at_most_one(tag, ("literal", "environment", "header"), (*path, "customTags", name))


def _private_key_provider(provider: PrivateKeyProvider, path: Path) -> Findings:
    yield from rules.at_most_one(provider, ("cryptomb", "qat"), path)
    yield from rules.at_least_one(provider, ("cryptomb", "qat"), path, "the provider")
    for name in ("cryptomb", "qat"):
        settings = getattr(provider, name)
        if settings and not settings.poll_delay:
            yield invalid((*path, name), "pollDelay is missing or 0", "add pollDelay, such as 0.02s")


_AT_LEAST_ONE: Final = (
    "listener_per_connection_buffer_limit_bytes",
    "cluster_per_connection_buffer_limit_bytes",
    "http_max_concurrent_streams",
    "listener_connection_limit",
    "global_downstream_connection_limit",
)
_SMALLEST_WINDOW: Final = 65_535  # RFC 9113; Envoy refuses less
_WINDOWS: Final = ("http2_initial_stream_window_size", "http2_initial_connection_window_size")
_DURATIONS: Final = (
    "http_idle_timeout",
    "http_max_connection_duration",
    "http_drain_timeout",
    "http_request_timeout",
    "http_request_headers_timeout",
    "http_stream_idle_timeout",
    "http_max_stream_duration",
)


def connection_settings(settings: ConnectionSettings, path: Path) -> Findings:
    for name in _AT_LEAST_ONE:
        yield from rules.at_least(1, getattr(settings, name), (*path, camel(name)))
    for name in _WINDOWS:
        yield from rules.at_least(_SMALLEST_WINDOW, getattr(settings, name), (*path, camel(name)))
    for name in _DURATIONS:
        yield from rules.not_negative(getattr(settings, name), (*path, camel(name)))
