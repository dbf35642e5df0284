"""MeshConfig and MeshNetworks inside of a ConfigMap."""

import textwrap

import pytest

from mizzen.config.config_map import MeshSettings, holds_mesh_settings, mesh_settings
from mizzen.config.decode import decode
from mizzen.config.resource import ResourceKey

TEXT = """\
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: istio, namespace: istio-system}
    data:
      mesh: |
        trustDomain: example.com
        defaultConfig: {proxyMetadata: {A: b}}
      meshNetworks: |
        networks: {one: {endpoints: [{fromRegistry: k1}], gateways: [{address: 1.2.3.4, port: 443}]}}
    """


def settings(text):
    decoded = decode(textwrap.dedent(text), "istio.yaml")
    (located,) = decoded.located
    return located, mesh_settings(located.resource.spec)


def test_both_parts_are_read():
    _, found = settings(TEXT)
    assert found.findings == ()
    assert (found.mesh.trust_domain, found.mesh.default_config.proxy_metadata) == ("example.com", {"A": "b"})
    (gateway,) = found.networks.networks["one"].gateways
    assert (gateway.address, gateway.port) == ("1.2.3.4", 443)


@pytest.mark.parametrize("part", ["mesh: ''", "mesh: '# nothing'", "mesh: '---'"])
def test_a_part_that_says_nothing_is_the_default(part):
    _, found = settings(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio}}\ndata: {{{part}}}\n")
    assert (found.mesh.trust_domain, found.networks, found.findings) == ("cluster.local", None, ())


def test_a_config_map_without_them_says_nothing():
    _, found = settings("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\n")
    assert found == MeshSettings()


def test_what_is_wrong_is_told_at_its_part():
    located, found = settings(
        TEXT.replace("trustDomain:", "trustDomian:").replace("port: 443", "port: https")
    )
    assert (found.mesh, found.networks) == (None, None)
    assert [(each.code, each.path, each.hint) for each in found.findings] == [
        ("MZ0020", ("data", "mesh", "trustDomian"), 'write "trustDomain"'),
        ("MZ0021", ("data", "meshNetworks", "networks", "one", "gateways", 0, "port"), ""),
    ]
    assert [located.locate(each.path).line for each in found.findings] == [5, 8]


def test_yaml_that_is_none_is_told():
    _, found = settings("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata: {mesh: 'a: ['}\n")
    (wrong,) = found.findings
    assert (wrong.code, wrong.path) == ("MZ0001", ("data", "mesh"))


@pytest.mark.parametrize(
    ("namespace", "name", "expected"),
    [
        ("istio-system", "istio", True),
        ("istio-system", "istio-canary", True),
        ("istio-system", "istiod", False),
        ("shop", "istio", False),
    ],
)
def test_which_config_map_it_is(namespace, name, expected):
    assert holds_mesh_settings(ResourceKey("ConfigMap", namespace, name)) is expected
