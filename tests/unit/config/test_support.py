"""What the mesh does not do yet is told, never ignored in silence."""

import pytest

from mizzen.config.decode import decode
from mizzen.config.diagnostics import Severity


def warnings(kind, spec, group="networking.istio.io/v1"):
    text = f"apiVersion: {group}\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n{spec}"
    decoded = decode(text, "f.yaml")
    assert [str(each) for each in decoded.diagnostics if each.severity is Severity.ERROR] == []
    assert len(decoded.located) == 1, "a warning keeps nothing out"
    return [
        (each.code, each.location.line, each.location.column, each.message.rpartition(" implement ")[2])
        for each in decoded.diagnostics
    ]


SECURITY = "security.istio.io/v1"
MESH = "mesh.istio.io/v1alpha1"

CASES = {
    "a field": (
        "MeshConfig",
        "  hboneIdleTimeout: 1h\n",
        MESH,
        [("MZ0101", 5, 3, "spec.hboneIdleTimeout")],
    ),
    "a field in each item": (
        "DestinationRule",
        "  host: a\n  subsets:\n  - name: v1\n    trafficPolicy: {loadBalancer: {zoneAwareLbSetting: {enabled: true}}}\n",
        "networking.istio.io/v1",
        [("MZ0101", 8, 36, "spec.subsets[0].trafficPolicy.loadBalancer.zoneAwareLbSetting")],
    ),
    "a value in any case": (
        "Gateway",
        "  servers:\n  - {port: {number: 80, name: a, protocol: hbone}, hosts: ['*']}\n",
        "networking.istio.io/v1",
        [("MZ0102", 6, 44, "hbone for spec.servers[0].port.protocol")],
    ),
    "a setting": (
        "MeshConfig",
        "  extensionProviders: [{name: x, skywalking: {service: a.b, port: 1}}]\n  rootNamespace: root\n",
        MESH,
        [("MZ0101", 5, 34, "spec.extensionProviders[0].skywalking")],
    ),
    "settings, with and without a type": (
        "MeshConfig",
        "  defaultConfig: {tracing: {sampling: 1}, configPath: /etc}\n",
        MESH,
        [
            ("MZ0101", 5, 19, "spec.defaultConfig.tracing"),
            ("MZ0101", 5, 43, "spec.defaultConfig.configPath"),
        ],
    ),
    "a whole kind": (
        "WasmPlugin",
        "  url: oci://example.com/filter\n",
        "extensions.istio.io/v1alpha1",
        [("MZ0103", 2, 1, "WasmPlugin")],
    ),
    "what is supported": ("DestinationRule", "  host: a\n", "networking.istio.io/v1", []),
    "what is null": ("DestinationRule", "  host: a\n  workloadSelector:\n", "networking.istio.io/v1", []),
}


@pytest.mark.parametrize(("kind", "spec", "group", "expected"), CASES.values(), ids=CASES.keys())
def test_warnings(kind, spec, group, expected):
    assert sorted(warnings(kind, spec, group)) == sorted(expected)
