"""MeshConfig."""

import json

from mizzen.config.resource import Resource
from mizzen.config.types.mesh import AccessLogEncoding, MeshConfig
from mizzen.config.validation import hosts, http_route, references, rules
from mizzen.config.validation.rules import Findings, invalid


def validate(resource: Resource[MeshConfig]) -> Findings:
    spec = resource.spec
    for index, domain in enumerate((spec.trust_domain, *spec.trust_domain_aliases)):
        if not hosts.is_host(domain):
            field = ("trustDomain",) if index == 0 else ("trustDomainAliases", index - 1)
            yield invalid(("spec", *field), f'"{domain}" is no trust domain', "write it as a DNS name")
    if not hosts.is_label(spec.root_namespace):
        yield invalid(("spec", "rootNamespace"), f'"{spec.root_namespace}" is no namespace')
    for name in ("service", "virtual_service", "destination_rule"):
        default = f"default_{name}_export_to"
        yield from references.export_to(getattr(spec, default), ("spec", rules.camel(default)))
    yield from rules.at_least_1ms(spec.connect_timeout, ("spec", "connectTimeout"))
    yield from rules.not_negative(spec.protocol_detection_timeout, ("spec", "protocolDetectionTimeout"))
    yield from rules.at_least(0, spec.default_config.concurrency, ("spec", "defaultConfig", "concurrency"))
    if spec.default_http_retry_policy:
        yield from http_route.retries(spec.default_http_retry_policy, ("spec", "defaultHttpRetryPolicy"))
    if spec.access_log_encoding is AccessLogEncoding.JSON and spec.access_log_format:
        try:
            is_object = isinstance(json.loads(spec.access_log_format), dict)
        except (ValueError, RecursionError):
            is_object = False
        if not is_object:
            yield invalid(("spec", "accessLogFormat"), "with encoding JSON the format must be a JSON object")
