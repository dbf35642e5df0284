"""What the API has and this mesh does not do yet: a field that is accepted and ignored in silence is a defect.

`UNSUPPORTED` is data to be edited: when a field begins to work, its line goes.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path, path_text

_POLICIES = ("spec.trafficPolicy", "spec.subsets[].trafficPolicy")
_PORT_POLICIES = tuple(f"{policy}.portLevelSettings[]" for policy in _POLICIES)


def _under(parent: str, fields: str) -> tuple[str, ...]:
    return tuple(f"{parent}.{field}" for field in fields.split())


# Kind -> paths from the top of the object. "[]" is every item, "*" every member of a map, "=X" only that value (in any case).
UNSUPPORTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "VirtualService": (
            "spec.http[].fault.delay.exponentialDelay",
            "spec.http[].fault.abort.http2Error",
        ),
        "DestinationRule": (
            *(f"{policy}.loadBalancer.zoneAwareLbSetting" for policy in (*_POLICIES, *_PORT_POLICIES)),
        ),
        "Gateway": (
            *(f"spec.servers[].port.protocol={name}" for name in ("UDP", "HBONE", "HTTP_PROXY")),
            "spec.servers[].port.targetPort",
            "spec.servers[].defaultEndpoint",
        ),
        "HTTPRoute": (
            "spec.hostnames",
            "spec.parentRefs[].sectionName",
            *_under("spec.rules[]", "retry sessionPersistence filters[].extensionRef filters[].cors"),
            *_under("spec.rules[].filters[]", "externalAuth requestMirror.percent requestMirror.fraction"),
            "spec.rules[].backendRefs[].filters[].requestMirror",
        ),
        "Ingress": ("spec.defaultBackend.resource", "spec.rules[].http.paths[].backend.resource"),
        "ProxyConfig": ("spec.image",),
        "Telemetry": ("spec.metrics[].reportingInterval",),
        "EnvoyFilter": (
            "spec.targetRefs",
            *_under("spec.configPatches[]", "match.proxy match.waypoint patch.filterClass"),
            *(f"spec.configPatches[].applyTo={name}" for name in ("EXTENSION_CONFIG", "BOOTSTRAP")),
            *_under("spec.configPatches[].match.routeConfiguration", "portName gateway"),
            "spec.configPatches[].match.listener.portName",
        ),
        # What only a Kubernetes cluster acts on (node ports, load balancers) is not listed: it is not the mesh's.
        "Service": (
            "spec.externalIPs",
            "spec.sessionAffinity=ClientIP",
            "spec.topologyKeys",
        ),
        "MeshConfig": (
            *_under(
                "spec",
                "hboneIdleTimeout"
                " ingressService enableTracing enableEnvoyAccessLogService"
                " disableEnvoyListenerLog configSources caCertificates zoneAwareLbSetting"
                " certificates serviceSettings serviceScopeConfigs ca",
            ),
            *_under(
                "spec.extensionProviders[]",
                "lightstep datadog stackdriver opencensus skywalking sds"
                " opentelemetry.serviceAttributeEnrichment opentelemetry.dynatraceSampler"
                " opentelemetry.resourceDetectors.dynatrace",
            ),
            *_under(
                "spec.defaultConfig",
                "statusPort configPath binaryPath serviceCluster tracingServiceName discoveryAddress"
                " discoveryRefreshDelay zipkinAddress statsdUdpAddress envoyMetricsServiceAddress proxyAdminPort"
                " availabilityZone controlPlaneAuthPolicy customConfigFile statNameLength proxyBootstrapTemplatePath"
                " tracing sds envoyAccessLogService envoyMetricsService extraStatTags"
                " meshId caCertificatesPem image privateKeyProvider"
                " proxyHeaders.metadataExchangeHeaders proxyHeaders.xForwardedHost"
                " fileFlushInterval fileFlushMinSizeKb statsCompression"
                " connectionSettings.listenerConnectionLimit",
            ),
        ),
    }
)

NO_EFFECT: frozenset[str] = frozenset(
    (
        "WasmPlugin",
        "TrafficExtension",
        "MeshNetworks",
        "Endpoints",
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
        "DaemonSet",
        "Job",
        "CronJob",
        "ReplicationController",
        "ServiceAccount",
        "ConfigMap",
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
        "CustomResourceDefinition",
        "GatewayClass",
        "KubernetesGateway",
        "ListenerSet",
        "GRPCRoute",
        "TLSRoute",
        "TCPRoute",
        "BackendTLSPolicy",
    )
)
"""Kinds that nothing translates yet: they are decoded, validated and analysed, and that is all."""

_LEAF: Final = ""  # in a trie: the path ends here


def unsupported(kind: str, document: Mapping[str, Any]) -> Iterator[Finding]:
    """A finding for the object, or for each of its fields that is set, that has no effect yet."""
    if kind in NO_EFFECT:
        return iter([Finding("MZ0103", ("kind",), f"has no effect yet: Mizzen does not implement {kind}")])
    trie = _trie(kind)
    found = _walk(document, trie, ()) if trie else iter(())
    return chain(found, _gateway_parents(document)) if kind == "HTTPRoute" else found


def _gateway_parents(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Parents of a route that are no Service: Gateways, which is also what a parent without a kind means."""
    spec = document.get("spec")
    parents = spec.get("parentRefs") if isinstance(spec, dict) else None
    for index, parent in enumerate(parents if isinstance(parents, list) else ()):
        kind = parent.get("kind", "Gateway") if isinstance(parent, dict) else "Service"
        if kind != "Service":
            message = f"has no effect yet: Mizzen does not implement routes of a {kind}, only of a Service"
            yield Finding("MZ0102", ("spec", "parentRefs", index), message)


def unsupported_proxy_settings(document: Any, path: Path) -> Iterator[Finding]:
    """The same for the settings of a proxy that stand in an annotation."""
    settings = _trie("MeshConfig")["spec"]["defaultConfig"]
    return _walk(document, settings, path)


@lru_cache(maxsize=256)
def _trie(kind: str) -> dict[str, Any]:
    """Steps of the kind's unsupported paths as nested dicts, so that a walk touches only what may be unsupported."""
    root: dict[str, Any] = {}
    for pattern in UNSUPPORTED.get(kind, ()):
        field, _, value = pattern.partition("=")
        node = root
        for step in field.replace("[]", ".[]").split("."):
            node = node.setdefault(step, {})
        node.setdefault(f"={value.upper()}" if value else _LEAF, {})
    return root


def _walk(value: Any, node: dict[str, Any], path: Path) -> Iterator[Finding]:
    if value is None:
        return
    if _LEAF in node:
        yield Finding("MZ0101", path, f"has no effect yet: Mizzen does not implement {path_text(path)}")
    elif isinstance(value, str):
        if f"={value.upper()}" in node:
            message = f"has no effect yet: Mizzen does not implement {value} for {path_text(path)}"
            yield Finding("MZ0102", path, message, at_value=True)
    elif isinstance(value, list):
        if (items := node.get("[]")) is not None:
            for index, item in enumerate(value):
                yield from _walk(item, items, (*path, index))
    elif isinstance(value, dict):
        yield from _members(value, node, path)


def _members(value: dict[str, Any], node: dict[str, Any], path: Path) -> Iterator[Finding]:
    if (each := node.get("*")) is not None:
        for name, member in value.items():
            yield from _walk(member, each, (*path, name))
    for name in value.keys() & node.keys():
        yield from _walk(value[name], node[name], (*path, name))
