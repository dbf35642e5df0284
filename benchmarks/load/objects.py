"""The objects of a generated mesh, as documents: pure functions of the layout and of what a change changes."""

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

from benchmarks.load.layout import Endpoint, Layout, Service

Document = dict[str, Any]

ROOT = "istio-system"
_ENDPOINTS = IPv4Address("127.1.0.1")  # nothing of it leaves the machine, whoever calls it
_CLUSTER_IPS = IPv4Address("172.16.0.1")


def _document(version: str, kind: str, namespace: str, name: str, spec: Document) -> Document:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _networking(kind: str, namespace: str, name: str, spec: Document) -> Document:
    return _document("networking.istio.io/v1", kind, namespace, name, spec)


def _security(kind: str, namespace: str, name: str, spec: Document) -> Document:
    return _document("security.istio.io/v1", kind, namespace, name, spec)


def service(of: Service) -> Document:
    spec = {
        "clusterIP": str(_CLUSTER_IPS + of.number),
        "selector": {"app": of.name},
        "ports": [{"name": of.port_name, "port": of.port}],
    }
    return _document("v1", "Service", of.namespace, of.name, spec)


def workload_entry(of: Endpoint, weight: int = 1) -> Document:
    spec = {
        "address": str(_ENDPOINTS + of.place),
        "weight": weight,
        "serviceAccount": "default",
        "labels": {
            "app": of.service.name,
            "version": of.version,
            "security.istio.io/tlsMode": "istio",
        },
    }
    return _networking("WorkloadEntry", of.service.namespace, of.name, spec)


def _versions(of: Service) -> list[str]:
    return sorted({endpoint.version for endpoint in of.endpoints})


def destination_rule(of: Service) -> Document:
    http = {"http2MaxRequests": 1000, "maxRequestsPerConnection": 100, "maxRetries": 3}
    spec = {
        "host": of.name,
        "trafficPolicy": {
            "connectionPool": {
                "tcp": {"maxConnections": 100, "connectTimeout": "2s"},
                **({"http": http} if of.is_http else {}),
            },
            "outlierDetection": {
                "consecutive5xxErrors": 5,
                "interval": "10s",
                "baseEjectionTime": "30s",
                "maxEjectionPercent": 50,
            },
        },
        "subsets": [{"name": version, "labels": {"version": version}} for version in _versions(of)],
    }
    return _networking("DestinationRule", of.namespace, of.name, spec)


def virtual_service(of: Service, *, has_subsets: bool, timeout_seconds: int = 5) -> Document:
    """A canary by header, and a split where there are two versions."""
    versions = _versions(of) if has_subsets else []
    destinations: list[Document] = [{"host": of.name, "subset": version} for version in versions]
    plain: list[Document] = [{"destination": {"host": of.name}}]
    split = (
        [
            {"destination": destination, "weight": weight}
            for destination, weight in zip(destinations, (90, 10), strict=True)
        ]
        if len(destinations) == 2
        else plain
    )
    canary = {
        "name": "canary",
        "match": [{"headers": {"x-canary": {"exact": "always"}}, "uri": {"prefix": "/api"}}],
        "route": [{"destination": destinations[-1]}] if destinations else plain,
    }
    primary = {
        "name": "primary",
        "timeout": f"{timeout_seconds}s",
        "retries": {"attempts": 2, "perTryTimeout": "1s", "retryOn": "connect-failure,refused-stream,503"},
        "route": split,
    }
    return _networking(
        "VirtualService", of.namespace, of.name, {"hosts": [of.name], "http": [canary, primary]}
    )


def sidecar(namespace: str, imports: Sequence[Service]) -> Document:
    hosts = ["./*", f"{ROOT}/*", *(f"{each.namespace}/{each.host}" for each in imports)]
    return _networking("Sidecar", namespace, "default", {"egress": [{"hosts": hosts}]})


def service_entry(layout: Layout, number: int) -> Document:
    """Something outside of the mesh."""
    namespace = layout.namespaces[number % len(layout.namespaces)]
    spec = {
        "hosts": [f"api-{number}.example.com"],
        "location": "MESH_EXTERNAL",
        "resolution": "DNS",
        "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
    }
    return _networking("ServiceEntry", namespace, f"api-{number}", spec)


def app_policy(layout: Layout, of: Service, closed_path: str = "/internal") -> Document:
    """The namespaces that call an application may, but for one path."""
    callers = (of.namespace, *layout.callers.get(of.number, ()))
    spec = {
        "selector": {"matchLabels": {"app": of.name}},
        "action": "ALLOW",
        "rules": [
            {
                "from": [
                    {"source": {"principals": [f"cluster.local/ns/{name}/sa/default" for name in callers]}}
                ],
                "to": [{"operation": {"methods": ["GET", "POST", "PUT"], "notPaths": [closed_path]}}],
            }
        ],
    }
    return _security("AuthorizationPolicy", of.namespace, of.name, spec)


def namespace_policy(namespace: str) -> Document:
    """Whoever has no identity is refused, whatever the mode of mutual TLS."""
    rules = [{"from": [{"source": {"notPrincipals": ["*"]}}]}]
    return _security("AuthorizationPolicy", namespace, "identified", {"action": "DENY", "rules": rules})


def peer_authentication() -> Document:
    return _security("PeerAuthentication", ROOT, "default", {"mtls": {"mode": "STRICT"}})


def mesh_config(connect_timeout_seconds: int = 10) -> Document:
    spec = {
        "rootNamespace": ROOT,
        "connectTimeout": f"{connect_timeout_seconds}s",
        "accessLogFile": "/dev/stdout",
    }
    return _document("mesh.istio.io/v1alpha1", "MeshConfig", ROOT, "mesh", spec)
