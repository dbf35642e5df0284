"""The kinds that Mizzen reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from mizzen.config.types import (
    core,
    envoy_filter,
    extensions,
    gateway_api,
    kubernetes,
    mesh,
    networking,
    rbac,
    security,
    telemetry,
)
from mizzen.config.types.message import Message


class Scope(Enum):
    """What an object belongs to."""

    NAMESPACE = "namespace"
    CLUSTER = "cluster"
    MESH = "mesh"  # there is one in a mesh, whatever it is called


@dataclass(frozen=True, slots=True)
class Kind:
    """All versions of a kind that Istio serves have the same fields, so one type reads them all."""

    name: str
    group: str  # "" is Kubernetes' core
    versions: tuple[str, ...]  # the one that is stored comes first
    spec: type[Message]
    scope: Scope = Scope.NAMESPACE
    spec_required: bool = False
    is_whole: bool = False  # the type holds the object's members beside metadata, rather than its "spec"
    observed: type[Message] | None = None  # of "status", where the mesh acts on it
    key: str = ""  # the kind in a ResourceKey where two groups share a name; "": the name

    @property
    def key_kind(self) -> str:
        """ResourceKey.kind of its objects: unique among all kinds."""
        return self.key or self.name


_NETWORKING, _SECURITY, _EXTENSIONS = "networking.istio.io", "security.istio.io", "extensions.istio.io"
_MESH = "mesh.istio.io"
_ISTIO = ("v1", "v1beta1", "v1alpha3")
_ISTIO_SECURITY = ("v1", "v1beta1")

ISTIO = (
    Kind("VirtualService", _NETWORKING, _ISTIO, networking.VirtualService),
    Kind("DestinationRule", _NETWORKING, _ISTIO, networking.DestinationRule),
    Kind("Gateway", _NETWORKING, _ISTIO, networking.Gateway),
    Kind("ServiceEntry", _NETWORKING, _ISTIO, networking.ServiceEntry, spec_required=True),
    Kind("Sidecar", _NETWORKING, _ISTIO, networking.Sidecar),
    Kind("WorkloadEntry", _NETWORKING, _ISTIO, networking.WorkloadEntry, spec_required=True),
    Kind("WorkloadGroup", _NETWORKING, _ISTIO, networking.WorkloadGroup, spec_required=True),
    Kind("ProxyConfig", _NETWORKING, ("v1beta1",), networking.ProxyConfig),
    Kind("EnvoyFilter", _NETWORKING, ("v1alpha3",), envoy_filter.EnvoyFilter),
    Kind("PeerAuthentication", _SECURITY, _ISTIO_SECURITY, security.PeerAuthentication),
    Kind("RequestAuthentication", _SECURITY, _ISTIO_SECURITY, security.RequestAuthentication),
    Kind("AuthorizationPolicy", _SECURITY, _ISTIO_SECURITY, security.AuthorizationPolicy),
    Kind("Telemetry", "telemetry.istio.io", ("v1alpha1", "v1"), telemetry.Telemetry),
    Kind("WasmPlugin", _EXTENSIONS, ("v1alpha1",), extensions.WasmPlugin, spec_required=True),
    Kind("TrafficExtension", _EXTENSIONS, ("v1alpha1",), extensions.TrafficExtension, spec_required=True),
)
"""Istio's custom resources: those that `mizzen crds` prints."""

MESH = (
    Kind("MeshConfig", _MESH, ("v1alpha1",), mesh.MeshConfig, Scope.MESH),
    Kind("MeshNetworks", _MESH, ("v1alpha1",), mesh.MeshNetworks, Scope.MESH),
)
"""Settings of the mesh. No API server has these kinds; there a ConfigMap holds them (config/config_map.py)."""

_ADMISSION = "admissionregistration.k8s.io"
_RBAC = "rbac.authorization.k8s.io"

KUBERNETES = (
    Kind("Service", "", ("v1",), core.ServiceSpec),
    Kind("Endpoints", "", ("v1",), kubernetes.Endpoints, is_whole=True),
    Kind("EndpointSlice", "discovery.k8s.io", ("v1", "v1beta1"), kubernetes.EndpointSlice, is_whole=True),
    Kind("Pod", "", ("v1",), kubernetes.PodSpec, observed=kubernetes.PodStatus),
    Kind("Deployment", "apps", ("v1",), kubernetes.DeploymentSpec),
    Kind("ReplicaSet", "apps", ("v1",), kubernetes.ReplicaSetSpec),
    Kind("StatefulSet", "apps", ("v1",), kubernetes.StatefulSetSpec),
    Kind("DaemonSet", "apps", ("v1",), kubernetes.DaemonSetSpec),
    Kind("Job", "batch", ("v1",), kubernetes.JobSpec),
    Kind("CronJob", "batch", ("v1",), kubernetes.CronJobSpec),
    Kind("ReplicationController", "", ("v1",), kubernetes.ReplicationControllerSpec),
    Kind("Namespace", "", ("v1",), kubernetes.NamespaceSpec, Scope.CLUSTER),
    Kind("Node", "", ("v1",), kubernetes.NodeSpec, Scope.CLUSTER),
    Kind("ServiceAccount", "", ("v1",), kubernetes.ServiceAccount, is_whole=True),
    Kind("Secret", "", ("v1",), kubernetes.Secret, is_whole=True),
    Kind("ConfigMap", "", ("v1",), kubernetes.ConfigMap, is_whole=True),
    Kind("Role", _RBAC, ("v1",), rbac.Role, is_whole=True),
    Kind("ClusterRole", _RBAC, ("v1",), rbac.Role, Scope.CLUSTER, is_whole=True),
    Kind("RoleBinding", _RBAC, ("v1",), rbac.RoleBinding, is_whole=True),
    Kind("ClusterRoleBinding", _RBAC, ("v1",), rbac.RoleBinding, Scope.CLUSTER, is_whole=True),
    Kind("Ingress", "networking.k8s.io", ("v1",), kubernetes.IngressSpec),
    Kind("IngressClass", "networking.k8s.io", ("v1",), kubernetes.IngressClassSpec, Scope.CLUSTER),
    Kind(
        "MutatingWebhookConfiguration",
        _ADMISSION,
        ("v1",),
        kubernetes.MutatingWebhookConfiguration,
        Scope.CLUSTER,
        is_whole=True,
    ),
    Kind(
        "ValidatingWebhookConfiguration",
        _ADMISSION,
        ("v1",),
        kubernetes.ValidatingWebhookConfiguration,
        Scope.CLUSTER,
        is_whole=True,
    ),
    Kind(
        "CustomResourceDefinition",
        "apiextensions.k8s.io",
        ("v1", "v1beta1"),
        kubernetes.CustomResourceDefinitionSpec,
        Scope.CLUSTER,
    ),
)

_GATEWAY_API = "gateway.networking.k8s.io"
_ALPHA = ("v1", "v1alpha3", "v1alpha2")

GATEWAY_API = (
    Kind("GatewayClass", _GATEWAY_API, ("v1", "v1beta1"), gateway_api.GatewayClassSpec, Scope.CLUSTER),
    Kind("Gateway", _GATEWAY_API, ("v1", "v1beta1"), gateway_api.GatewaySpec, key="KubernetesGateway"),
    Kind("ListenerSet", _GATEWAY_API, ("v1",), gateway_api.ListenerSetSpec),
    Kind("HTTPRoute", _GATEWAY_API, ("v1", "v1beta1"), gateway_api.HTTPRouteSpec),
    Kind("GRPCRoute", _GATEWAY_API, ("v1", "v1alpha2"), gateway_api.GRPCRouteSpec),
    Kind("TLSRoute", _GATEWAY_API, _ALPHA, gateway_api.TLSRouteSpec),
    Kind("TCPRoute", _GATEWAY_API, ("v1", "v1alpha2"), gateway_api.TCPRouteSpec),
    Kind("ReferenceGrant", _GATEWAY_API, ("v1", "v1beta1", "v1alpha2"), gateway_api.ReferenceGrantSpec),
    Kind("BackendTLSPolicy", _GATEWAY_API, _ALPHA, gateway_api.BackendTLSPolicySpec),
)

KINDS: Mapping[tuple[str, str], Kind] = MappingProxyType(
    {(kind.group, kind.name): kind for kind in (*KUBERNETES, *ISTIO, *MESH, *GATEWAY_API)}
)
"""(group, kind) -> what is known of it."""

COMPLETE_GROUPS = frozenset({_NETWORKING, _SECURITY, _EXTENSIONS, _MESH, "telemetry.istio.io"})
"""Groups whose kinds are all known: any other kind of these is a mistake."""
