"""The kinds that Mizzen reads, and those of Istio that it does not read yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mizzen.config.types import core, mesh, networking, security
from mizzen.config.types.message import Message

_ISTIO = ("v1", "v1beta1", "v1alpha3")


@dataclass(frozen=True, slots=True)
class Kind:
    """All versions of a kind that Istio serves have the same fields, so one type reads them all."""

    name: str
    group: str  # "" is Kubernetes' core
    versions: tuple[str, ...]
    spec: type[Message]
    namespaced: bool = True
    spec_required: bool = False


_NETWORKING, _SECURITY = "networking.istio.io", "security.istio.io"

_KINDS = (
    Kind("Service", "", ("v1",), core.ServiceSpec),
    Kind("VirtualService", _NETWORKING, _ISTIO, networking.VirtualService),
    Kind("DestinationRule", _NETWORKING, _ISTIO, networking.DestinationRule),
    Kind("Gateway", _NETWORKING, _ISTIO, networking.Gateway),
    Kind("ServiceEntry", _NETWORKING, _ISTIO, networking.ServiceEntry, spec_required=True),
    Kind("WorkloadEntry", _NETWORKING, _ISTIO, networking.WorkloadEntry, spec_required=True),
    Kind("WorkloadGroup", _NETWORKING, _ISTIO, networking.WorkloadGroup, spec_required=True),
    Kind("PeerAuthentication", _SECURITY, ("v1", "v1beta1"), security.PeerAuthentication),
    Kind("AuthorizationPolicy", _SECURITY, ("v1", "v1beta1"), security.AuthorizationPolicy),
    Kind("MeshConfig", "mesh.istio.io", ("v1alpha1",), mesh.MeshConfig, namespaced=False),
)

KINDS: Mapping[tuple[str, str], Kind] = MappingProxyType({(kind.group, kind.name): kind for kind in _KINDS})
"""(group, kind) -> what is known of it."""

UNREAD: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        _NETWORKING: frozenset({"Sidecar", "EnvoyFilter", "ProxyConfig"}),
        _SECURITY: frozenset({"RequestAuthentication"}),
        "telemetry.istio.io": frozenset({"Telemetry"}),
        "extensions.istio.io": frozenset({"WasmPlugin", "TrafficExtension"}),
        "mesh.istio.io": frozenset({"MeshNetworks"}),
    }
)
"""Istio's groups -> their kinds that Mizzen does not read yet. Any other kind of these groups is a mistake."""
