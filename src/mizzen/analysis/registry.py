"""All analyzers, in the order in which they run. Istio's names of them are in the conformance test."""

from collections.abc import Mapping
from types import MappingProxyType

from mizzen.analysis.analyzer import Analyzer
from mizzen.analysis.analyzers.alpha_annotations import alpha_annotations
from mizzen.analysis.analyzers.annotations import annotations
from mizzen.analysis.analyzers.application_uid import application_uid
from mizzen.analysis.analyzers.authorization_policies import authorization_policies
from mizzen.analysis.analyzers.conditions import conditions
from mizzen.analysis.analyzers.deployment_services import deployment_services
from mizzen.analysis.analyzers.deprecations import deprecations
from mizzen.analysis.analyzers.destination_rule_certificates import destination_rule_certificates
from mizzen.analysis.analyzers.destination_rule_subsets import destination_rule_subsets
from mizzen.analysis.analyzers.envoy_filter_patches import envoy_filter_patches
from mizzen.analysis.analyzers.external_control_plane import external_control_plane
from mizzen.analysis.analyzers.gateway_api_versions import gateway_api_versions
from mizzen.analysis.analyzers.gateway_certificates import gateway_certificates
from mizzen.analysis.analyzers.gateway_conflicts import gateway_conflicts
from mizzen.analysis.analyzers.gateway_ports import gateway_ports
from mizzen.analysis.analyzers.gateway_secrets import gateway_secrets
from mizzen.analysis.analyzers.gateway_servers import gateway_servers
from mizzen.analysis.analyzers.injection import injection
from mizzen.analysis.analyzers.injection_auto_images import injection_auto_images
from mizzen.analysis.analyzers.injection_images import injection_images
from mizzen.analysis.analyzers.jwks_addresses import jwks_addresses
from mizzen.analysis.analyzers.kubernetes_gateway_selectors import kubernetes_gateway_selectors
from mizzen.analysis.analyzers.mesh_networks import mesh_networks
from mizzen.analysis.analyzers.multi_cluster_services import multi_cluster_services
from mizzen.analysis.analyzers.service_entry_addresses import service_entry_addresses
from mizzen.analysis.analyzers.service_entry_protocols import service_entry_protocols
from mizzen.analysis.analyzers.service_ports import service_ports
from mizzen.analysis.analyzers.sidecar_defaults import sidecar_defaults
from mizzen.analysis.analyzers.sidecar_selectors import sidecar_selectors
from mizzen.analysis.analyzers.telemetry_defaults import telemetry_defaults
from mizzen.analysis.analyzers.telemetry_providers import telemetry_providers
from mizzen.analysis.analyzers.telemetry_selectors import telemetry_selectors
from mizzen.analysis.analyzers.virtual_service_claims import virtual_service_claims
from mizzen.analysis.analyzers.virtual_service_delegates import virtual_service_delegates
from mizzen.analysis.analyzers.virtual_service_destinations import virtual_service_destinations
from mizzen.analysis.analyzers.virtual_service_gateways import virtual_service_gateways
from mizzen.analysis.analyzers.virtual_service_hosts import virtual_service_hosts
from mizzen.analysis.analyzers.virtual_service_subsets import virtual_service_subsets
from mizzen.analysis.analyzers.webhooks import webhooks

ANALYZERS: tuple[Analyzer, ...] = (
    virtual_service_gateways,
    virtual_service_hosts,
    virtual_service_destinations,
    virtual_service_subsets,
    virtual_service_claims,
    virtual_service_delegates,
    destination_rule_subsets,
    destination_rule_certificates,
    gateway_ports,
    gateway_conflicts,
    gateway_certificates,
    gateway_secrets,
    gateway_servers,
    service_ports,
    service_entry_addresses,
    service_entry_protocols,
    multi_cluster_services,
    sidecar_selectors,
    sidecar_defaults,
    telemetry_selectors,
    telemetry_defaults,
    telemetry_providers,
    authorization_policies,
    kubernetes_gateway_selectors,
    jwks_addresses,
    envoy_filter_patches,
    deprecations,
    annotations,
    alpha_annotations,
    injection,
    injection_images,
    injection_auto_images,
    application_uid,
    deployment_services,
    webhooks,
    external_control_plane,
    gateway_api_versions,
    mesh_networks,
    conditions,
)


def by_kind(analyzers: tuple[Analyzer, ...]) -> Mapping[str, tuple[Analyzer, ...]]:
    """Kind -> the analyzers that look at its objects."""
    kinds = dict.fromkeys(kind for analyzer in analyzers for kind in analyzer.kinds)
    return MappingProxyType(
        {kind: tuple(analyzer for analyzer in analyzers if kind in analyzer.kinds) for kind in kinds}
    )


DEFAULT = by_kind(tuple(analyzer for analyzer in ANALYZERS if not analyzer.asked_for))
"""What runs unless something else is asked for."""
