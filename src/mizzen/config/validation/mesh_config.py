"""MeshConfig. The settings of proxies are in mesh_proxy.py, providers in providers.py."""

import json
from datetime import timedelta
from typing import Final

from mizzen.config.resource import Path, Resource
from mizzen.config.types.mesh import AccessLogEncoding, MeshConfig
from mizzen.config.validation import hosts, http_route, localities, ports, references, rules, tls
from mizzen.config.validation.formats import format_problem
from mizzen.config.validation.mesh_proxy import proxy_config
from mizzen.config.validation.providers import extension_providers
from mizzen.config.validation.rules import Findings, camel, invalid
from mizzen.config.validation.traffic_policy import connection_pool, outlier_detection

_LONGEST_CONNECT_TIMEOUT: Final = timedelta(hours=1)


def validate(resource: Resource[MeshConfig]) -> Findings:
    spec = resource.spec
    yield from _trust(spec)
    for name in ("service", "virtual_service", "destination_rule"):
        default = f"default_{name}_export_to"
        yield from references.export_to(
            getattr(spec, default), ("spec", camel(default)), nobody=name == "service"
        )
    yield from _ports(spec)
    yield from _timeouts(spec)
    yield from proxy_config(spec.default_config, ("spec", "defaultConfig"))
    if spec.default_http_retry_policy:
        yield from http_route.retries(spec.default_http_retry_policy, ("spec", "defaultHttpRetryPolicy"))
    yield from _traffic(spec)
    yield from extension_providers(spec.extension_providers, ("spec", "extensionProviders"))
    for index, settings in enumerate(spec.service_settings):
        for position, host in enumerate(settings.hosts):
            yield from hosts.wildcard_host(host, ("spec", "serviceSettings", index, "hosts", position))
    yield from _tls(spec)
    yield from _access_log(spec)


def _trust(spec: MeshConfig) -> Findings:
    for index, domain in enumerate((spec.trust_domain, *spec.trust_domain_aliases)):
        if not domain.removesuffix(".") or not hosts.is_subdomain(domain.removesuffix(".")):
            field: Path = ("trustDomain",) if index == 0 else ("trustDomainAliases", index - 1)
            yield invalid(("spec", *field), f'"{domain}" is no trust domain', "write it as a DNS name")
    if not hosts.is_label(spec.root_namespace):
        yield invalid(("spec", "rootNamespace"), f'"{spec.root_namespace}" is no namespace', "name one")


def _ports(spec: MeshConfig) -> Findings:
    for name in ("proxy_listen_port", "proxy_inbound_listen_port"):
        yield from ports.port(getattr(spec, name), ("spec", camel(name)))
    if spec.proxy_http_port:
        yield from ports.port(spec.proxy_http_port, ("spec", "proxyHttpPort"))


def _timeouts(spec: MeshConfig) -> Findings:
    path = ("spec", "connectTimeout")
    yield from rules.at_least_1ms(spec.connect_timeout, path)
    if spec.connect_timeout > _LONGEST_CONNECT_TIMEOUT:
        yield invalid(path, f"{spec.connect_timeout.total_seconds():g}s is too long: at most 1h", "use 10s")
    for name in ("protocol_detection_timeout", "hbone_idle_timeout", "dns_refresh_rate"):
        yield from rules.not_negative(getattr(spec, name), ("spec", camel(name)))


def _traffic(spec: MeshConfig) -> Findings:
    if policy := spec.default_traffic_policy:
        path = ("spec", "defaultTrafficPolicy")
        if policy.connection_pool:
            yield from connection_pool(policy.connection_pool, (*path, "connectionPool"))
        if policy.outlier_detection:
            yield from outlier_detection(policy.outlier_detection, (*path, "outlierDetection"))
    # That endpoints can fail at all is said by each DestinationRule.
    if setting := spec.locality_lb_setting:
        path = ("spec", "localityLbSetting")
        yield from localities.locality_lb(setting, path, outlier_detection=True)
    if zone := spec.zone_aware_lb_setting:
        path = ("spec", "zoneAwareLbSetting")
        yield from localities.zone_aware_lb(zone, path, outlier_detection=True)
    yield from rules.at_most_one(spec, ("locality_lb_setting", "zone_aware_lb_setting"), ("spec",))


def _tls(spec: MeshConfig) -> Findings:
    if spec.mesh_mtls and spec.mesh_mtls.ecdh_curves:
        message = "the curves of connections in the mesh cannot be chosen"
        yield invalid(("spec", "meshMTLS", "ecdhCurves"), message, "remove it, or use tlsDefaults")
    if spec.tls_defaults:
        yield from tls.curves(spec.tls_defaults.ecdh_curves, ("spec", "tlsDefaults", "ecdhCurves"))


def _access_log(spec: MeshConfig) -> Findings:
    path = ("spec", "accessLogFormat")
    if problem := format_problem(spec.access_log_format):
        yield invalid(path, f"Envoy would refuse every listener: {problem}", "write %% for a percent sign")
    if spec.access_log_encoding is not AccessLogEncoding.JSON or not spec.access_log_format:
        return
    try:
        is_object = isinstance(json.loads(spec.access_log_format), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        yield invalid(path, "with encoding JSON the format must be a JSON object")
