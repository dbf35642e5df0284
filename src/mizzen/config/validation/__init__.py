"""Whether a resource makes sense by itself: pure functions from resource to findings, one file per kind."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from mizzen.config.resource import Resource
from mizzen.config.types import core, extensions, mesh, networking, security
from mizzen.config.types.envoy_filter import EnvoyFilter
from mizzen.config.types.kubernetes import Secret
from mizzen.config.types.message import Message
from mizzen.config.types.telemetry import Telemetry
from mizzen.config.validation import (
    authorization_policy,
    destination_rule,
    envoy_filter,
    gateway,
    hosts,
    mesh_config,
    mesh_networks,
    peer_authentication,
    proxy_config,
    references,
    request_authentication,
    secret,
    service,
    service_entry,
    sidecar,
    telemetry,
    traffic_extension,
    virtual_service,
    wasm_plugin,
    workload_entry,
    workload_group,
)
from mizzen.config.validation.rules import Findings, invalid
from mizzen.config.validation.structure import structure

_BY_TYPE: Mapping[type, Callable[[Resource[Any]], Findings]] = MappingProxyType(
    {
        core.ServiceSpec: service.validate,
        networking.VirtualService: virtual_service.validate,
        networking.DestinationRule: destination_rule.validate,
        networking.Gateway: gateway.validate,
        networking.ServiceEntry: service_entry.validate,
        networking.Sidecar: sidecar.validate,
        networking.WorkloadEntry: workload_entry.validate,
        networking.WorkloadGroup: workload_group.validate,
        networking.ProxyConfig: proxy_config.validate,
        Secret: secret.validate,
        EnvoyFilter: envoy_filter.validate,
        security.PeerAuthentication: peer_authentication.validate,
        security.RequestAuthentication: request_authentication.validate,
        security.AuthorizationPolicy: authorization_policy.validate,
        Telemetry: telemetry.validate,
        extensions.WasmPlugin: wasm_plugin.validate,
        extensions.TrafficExtension: traffic_extension.validate,
        mesh.MeshConfig: mesh_config.validate,
        mesh.MeshNetworks: mesh_networks.validate,
    }
)


def validate(resource: Resource[object]) -> Findings:
    """What is wrong with the resource, its metadata included."""
    yield from _metadata(resource)
    if isinstance(resource.spec, Message):
        yield from structure(resource.spec)
    if rules := _BY_TYPE.get(type(resource.spec)):
        yield from rules(resource)


def _metadata(resource: Resource[object]) -> Findings:
    key = resource.key
    if not hosts.is_subdomain(key.name) or key.name != key.name.lower():
        hint = "use lower-case letters, digits, '-' and '.'"
        yield invalid(("metadata", "name"), f'"{key.name}" is no name of an object', hint)
    if key.namespace and (not hosts.is_label(key.namespace) or key.namespace != key.namespace.lower()):
        hint = "use lower-case letters, digits and '-'"
        yield invalid(("metadata", "namespace"), f'"{key.namespace}" is no namespace', hint)
    yield from references.labels(resource.labels, ("metadata", "labels"))
