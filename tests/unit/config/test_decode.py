"""Text -> resources and diagnostics."""

import json
import textwrap
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.config.credentials import values
from mizzen.config.decode import decode
from mizzen.config.diagnostics import CATALOGUE
from mizzen.config.resource import ResourceKey
from mizzen.config.types import networking
from mizzen.frozen import FrozenMap


def read(text):
    return decode(textwrap.dedent(text), "f.yaml")


def lines(text):
    """Diagnostics as (code, line:column, message)."""
    return [
        (each.code, f"{each.location.line}:{each.location.column}", each.message)
        for each in read(text).diagnostics
    ]


def virtual_service(body):
    """A VirtualService whose spec begins at line 5, column 3."""
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews, namespace: shop}\nspec:\n"
    return head + textwrap.indent(textwrap.dedent(body), "  ")


ROUTED = """\
hosts: [reviews]
http:
- route:
  - destination: {host: reviews}
"""


def test_a_resource():
    (found,) = read(
        """\
        # a comment
        apiVersion: networking.istio.io/v1beta1
        kind: VirtualService
        metadata:
          name: reviews
          namespace: shop
          labels: {team: web}
          annotations: {note: "1"}
          creationTimestamp: 2024-05-01T10:00:00Z
          uid: abc
        spec:
          hosts: [reviews]
          http:
          - match:
            - headers:
                end-user: {exact: jason}
            timeout: 1.5s
            route:
            - destination: {host: reviews, port: {number: 9080}}
              weight: 80
            - destination: {host: reviews, subset: v2}
              weight: 20
        status: {anything: goes}
        """
    ).located
    resource = found.resource
    assert resource.key == ResourceKey("VirtualService", "shop", "reviews")
    assert str(resource.key) == "VirtualService shop/reviews"
    assert resource.labels == {"team": "web"}
    assert resource.annotations == {"note": "1"}
    assert resource.created == "2024-05-01T10:00:00Z"
    route = resource.spec.http[0]
    assert route.timeout == timedelta(seconds=1.5)
    assert route.match[0].headers == FrozenMap({"end-user": networking.StringMatch(exact="jason")})
    assert [each.weight for each in route.route] == [80, 20]
    assert route.route[0].destination.port == networking.PortSelector(number=9080)
    assert str(found.locate(("spec", "http", 0, "timeout"))) == "f.yaml:17:5"
    hash(resource)


def test_positions_take_no_part_in_equality():
    text = virtual_service(ROUTED)
    (one,), (other,) = decode(text, "f.yaml").located, decode(f"# a comment\n{text}", "f.yaml").located
    assert one == other
    assert one.resource == other.resource
    assert one.locate(()).line + 1 == other.locate(()).line


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_all_versions_are_one_type(version):
    decoded = read(virtual_service(ROUTED).replace("/v1", f"/{version}"))
    assert isinstance(decoded.located[0].resource.spec, networking.VirtualService)


def test_objects_without_a_namespace_are_in_default():
    assert read("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}").located[
        0
    ].resource.key == ResourceKey("Service", "default", "a")


def test_lists_are_flattened_and_their_places_kept():
    decoded = read(
        """\
        apiVersion: v1
        kind: List
        items:
        - apiVersion: v1
          kind: Service
          metadata: {name: a}
          spec:
            ports: [{port: 80}]
        - apiVersion: v1
          kind: Service
          metadata: {name: b}
          spec:
            ports: [{port: 0}]
        """
    )
    assert [str(each.resource.key) for each in decoded.located] == ["Service default/a"]
    assert str(decoded.located[0].locate(("spec", "ports"))) == "f.yaml:8:5"
    assert [str(each.location) for each in decoded.diagnostics] == ["f.yaml:13:20"]
    assert decoded.broken == (ResourceKey("Service", "default", "b"),)


def test_lists_inside_lists_and_lists_in_flow_style():
    item = "{apiVersion: v1, kind: Service, metadata: {name: NAME}, spec: {ports: [{port: 80, x: 1}]}}"
    one, two = item.replace("NAME", "a"), item.replace("NAME", "b")
    text = f"{{kind: List, items: [{one},\n  {{kind: List, items: [\n  {two}]}}]}}\n"
    columns = [line.index("x: 1") + 1 for line in text.splitlines() if "x: 1" in line]
    found = [str(each.location) for each in decode(text, "f.yaml").diagnostics]
    assert found == [f"f.yaml:1:{columns[0]}", f"f.yaml:3:{columns[1]}"]


def test_an_alias_into_another_item_of_a_list_still_has_a_place():
    decoded = read(
        """\
        kind: List
        items:
        - apiVersion: v1
          kind: Service
          metadata: {name: a}
          spec: &spec {ports: [{port: 80}]}
        - apiVersion: v1
          kind: Service
          metadata: {name: b}
          spec: *spec
        """
    )
    assert [str(each.locate(("spec", "ports"))) for each in decoded.located] == ["f.yaml:6:16", "f.yaml:7:1"]


HOSTILE = {
    "a port of 5,000 digits": (
        "AuthorizationPolicy",
        {"rules": [{"to": [{"operation": {"ports": ["9" * 5000]}}]}]},
    ),
    "a status of 5,000 digits": (
        "VirtualService",
        {"http": [{"retries": {"attempts": 1, "retryOn": "9" * 5000}}]},
    ),
    "a duration of 100,000 digits": (
        "VirtualService",
        {"hosts": ["a"], "http": [{"timeout": "1" * 100_000}]},
    ),
    "a name of 100,000 characters": ("VirtualService", {"h" * 100_000: 1}),
    "base64 that is none": (
        "VirtualService",
        {"http": [{"directResponse": {"status": 200, "body": {"bytes": "é"}}}]},
    ),
    "a number of 60 digits": ("VirtualService", {"http": [{"match": [{"port": int("9" * 60)}]}]}),
}


@pytest.mark.parametrize(("kind", "spec"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_values_are_diagnostics(kind, spec):
    group = "security" if kind == "AuthorizationPolicy" else "networking"
    item = {"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec}
    decoded = decode(json.dumps(item, ensure_ascii=False), "f.yaml")
    assert decoded.located == ()
    assert all(len(str(each)) < 2_000 for each in decoded.diagnostics)


def test_of_many_mistakes_the_first_hundred_are_told():
    """Each costs a look-up in the text: 20,000 of them once took minutes."""
    routes = "\n".join(f"- {{route: [{{destination: {{host: a}}}}], x{number}: 1}}" for number in range(3000))
    diagnostics = read(virtual_service(f"hosts: [a]\nhttp:\n{routes}\n")).diagnostics
    assert [each.code for each in diagnostics] == ["MZ0020"] * 100 + ["MZ0008"]
    assert "2900 more problems" in diagnostics[-1].message


def test_errors_are_told_before_warnings():
    routes = "\n".join(["- {route: [{destination: {host: a}}]}"] * 150)
    diagnostics = read(virtual_service(f"hosts: [a, '?']\nhttp:\n{routes}\n")).diagnostics
    assert [each.code for each in diagnostics] == ["IST0106", *["IST0130"] * 99, "MZ0008"]


def test_a_format_that_nests_too_deeply():
    settings = {"accessLogEncoding": "JSON", "accessLogFormat": "[" * 100_000}
    item = {"apiVersion": "mesh.istio.io/v1alpha1", "kind": "MeshConfig", "spec": settings}
    assert [each.code for each in decode(json.dumps(item), "f.yaml").diagnostics] == ["IST0106"]


def test_target_ports_are_numbers_or_names():
    decoded = read(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
        "spec: {ports: [{name: a, port: 80, targetPort: http}, {name: b, port: 81, targetPort: 8080}]}"
    )
    assert [port.target_port for port in decoded.located[0].resource.spec.ports] == ["http", 8080]


def test_nulls_of_fields_are_dropped_as_an_api_server_does():
    decoded = read(virtual_service(ROUTED + "tcp: null\nexportTo:\n"))
    assert decoded.diagnostics == ()
    assert decoded.located[0].resource.spec.tcp == ()


def test_the_settings_of_the_mesh():
    decoded = read(
        """\
        apiVersion: mesh.istio.io/v1alpha1
        kind: MeshConfig
        spec: {trustDomain: example.org, outboundTrafficPolicy: {mode: REGISTRY_ONLY}}
        """
    )
    (found,) = decoded.located
    assert found.resource.key == ResourceKey("MeshConfig", "", "default")
    assert found.resource.spec.trust_domain == "example.org"
    assert found.resource.spec.enable_auto_mtls is True


# What is wrong in the spec of a VirtualService -> code, place, words of the message.
MISTAKES = {
    "an unknown field": (
        ROUTED + "  retrys: {attempts: 1}\n",
        ("MZ0020", "9:5", 'the API has no field "retrys" here'),
    ),
    "a list instead of a mapping": (
        "hosts: [a]\nhttp:\n- route:\n  - destination: [a]\n",
        ("MZ0021", "8:20", "expected a mapping, found a list"),
    ),
    "a mapping instead of a list": (
        "hosts: [a]\nhttp:\n  route:\n  - destination: {host: a}\n",
        ("MZ0021", "7:5", "expected a list, found a mapping"),
    ),
    "a boolean by accident": (
        "hosts: [a]\nhttp:\n- match: [{headers: {debug: {exact: yes}}}]\n  route: [{destination: {host: a}}]\n",
        ("MZ0021", "7:39", "expected a text, found the boolean true"),
    ),
    "a number in quotes": (
        'hosts: [a]\nhttp:\n- route: [{destination: {host: a}, weight: "9"}]\n',
        ("MZ0021", "7:46", 'expected a whole number, found the text "9"'),
    ),
    "an unknown word": (
        "hosts: [a]\nhttp:\n- redirect: {authority: a, derivePort: FROM_REQUEST}\n",
        ("MZ0022", "7:42", 'the text "FROM_REQUEST" is none of FROM_PROTOCOL_DEFAULT, FROM_REQUEST_PORT'),
    ),
    "no unit": (ROUTED + '  timeout: "10"\n', ("MZ0023", "9:14", '"10" is not a duration')),
    "a bare number as duration": (
        ROUTED + "  timeout: 10\n",
        ("MZ0023", "9:14", "expected a duration, found the number 10"),
    ),
    "a missing field": (
        "hosts: [a]\nhttp:\n- route: [{weight: 1}]\n",
        ("MZ0024", "7:13", 'the field "destination" is missing'),
    ),
    "a number out of range": (
        "hosts: [a]\nhttp:\n- match: [{port: -1}]\n  route: [{destination: {host: a}}]\n",
        ("MZ0025", "7:20", "-1 is not between 0 and 4294967295"),
    ),
    "an item that is missing": (
        "hosts: [a]\nhttp:\n-\n",
        ("MZ0021", "7:4", "expected a mapping, found nothing"),
    ),
}


@pytest.mark.parametrize(("body", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_in_fields(body, expected):
    assert lines(virtual_service(body)) == [expected]
    decoded = read(virtual_service(body))
    assert decoded.located == ()
    assert decoded.broken == (ResourceKey("VirtualService", "shop", "reviews"),)
    assert decoded.complete


def test_all_mistakes_are_told_at_once():
    codes = [
        code for code, *_ in lines(virtual_service("hosts: a\nhttp:\n- timeout: x\n  rout: []\n  route: 1\n"))
    ]
    assert sorted(codes) == ["MZ0020", "MZ0021", "MZ0021", "MZ0023"]


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (ROUTED + "  retrys: {}\n", 'write "retries"'),
        (ROUTED + "  timeout: 10\n", 'name the unit: "10s"'),
        ("hosts: [8080]\n", 'put it in quotes: "8080"'),
    ],
)
def test_hints_say_what_to_do(body, hint):
    assert hint in [each.hint for each in read(virtual_service(body)).diagnostics]


# A document that is no good object -> code, place, words; whether we know that nothing else is in the text.
NO_OBJECTS = [
    ("- a\n", ("MZ0010", "1:1", "this is not an object")),
    ("kind: Service\n", ("MZ0011", "1:1", "the object has no apiVersion")),
    ("apiVersion: v1\n", ("MZ0011", "1:1", "the object has no kind")),
    ("apiVersion: v1\nkind: Service\n", ("MZ0011", "1:1", "the object has no name")),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: 7}\n",
        ("MZ0021", "3:18", "expected a text, found the number 7"),
    ),
    (
        "apiVersion: networking.istio.io/v2\nkind: Gateway\nmetadata: {name: a}\n",
        ("MZ0013", "1:13", "Gateway has no version networking.istio.io/v2"),
    ),
    (
        "apiVersion: networking.istio.io/v1\nkind: VirtualServce\nmetadata: {name: a}\n",
        ("MZ0014", "2:7", "networking.istio.io has no kind VirtualServce"),
    ),
]


@pytest.mark.parametrize(("text", "expected"), NO_OBJECTS)
def test_what_is_no_object(text, expected):
    assert lines(text) == [expected]
    assert not read(text).complete


@pytest.mark.parametrize(
    ("api_version", "kind", "words"),
    [
        ("v1", "PersistentVolume", "PersistentVolume of core is not read by Mizzen"),
        ("policy/v1", "PodDisruptionBudget", "PodDisruptionBudget of policy is not read by Mizzen"),
    ],
)
def test_kinds_that_are_not_read_are_a_warning(api_version, kind, words):
    decoded = read(f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\n")
    assert [(each.code, each.message) for each in decoded.diagnostics] == [("MZ0012", words)]
    assert decoded.complete


def only(text):
    """The one resource of a text that has no effect yet, which is all that is said."""
    decoded = read(text)
    assert {each.code for each in decoded.diagnostics} <= {"MZ0103"}, [*map(str, decoded.diagnostics)]
    (found,) = decoded.located
    return found.resource


@pytest.mark.parametrize(
    ("api_version", "kind", "key"),
    [
        ("v1", "Pod", ResourceKey("Pod", "default", "a")),
        ("v1", "Node", ResourceKey("Node", "", "a")),
        ("v1", "Namespace", ResourceKey("Namespace", "", "a")),
        ("gateway.networking.k8s.io/v1", "GatewayClass", ResourceKey("GatewayClass", "", "a")),
        ("networking.istio.io/v1alpha3", "EnvoyFilter", ResourceKey("EnvoyFilter", "default", "a")),
        ("mesh.istio.io/v1alpha1", "MeshNetworks", ResourceKey("MeshNetworks", "", "default")),
    ],
)
def test_keys_follow_the_scope_of_the_kind(api_version, kind, key):
    assert only(f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\n").key == key


def test_the_two_gateways_have_keys_of_their_own():
    gateways = """\
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: {name: edge, namespace: shop}
        spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP, unread: 1}]}
        ---
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {name: edge, namespace: shop}
        spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
        """
    decoded = read(gateways)
    assert [each.resource.key.kind for each in decoded.located] == ["KubernetesGateway", "Gateway"]
    assert decoded.located[0].resource.spec.listeners[0].port == 80


def test_kubernetes_kinds_are_read_leniently_and_istios_strictly():
    pod = only("""\
        apiVersion: v1
        kind: Pod
        metadata: {name: a, creationTimestamp: null}
        spec:
          nodeName: n1
          tolerations: [{key: x}]
          containers: [{name: app, volumeMounts: [], ports: [{containerPort: 80}]}]
        status: {phase: Running}
        """)
    assert pod.spec.node_name == "n1"
    assert pod.spec.containers[0].ports[0].container_port == 80
    assert lines(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {nodeName: 1, hostNetwork: on, subdomain: []}\n"
    ) == [
        ("MZ0021", "4:18", "expected a text, found the number 1"),
        ("MZ0021", "4:49", "expected a text, found a list"),
    ]
    sidecar = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a}\nspec: {egres: []}\n"
    assert ("MZ0020", "4:8", 'the API has no field "egres" here') in lines(sidecar)


SECRET = """\
    apiVersion: v1
    kind: Secret
    metadata:
      name: a
      annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"data":{"key":"dG9wIHNlY3JldA=="}}', note: b}
    data: {key: dG9wIHNlY3JldA==}
    stringData: {more: top secret}
    """


def test_a_secret_cannot_be_printed():
    secret = only(SECRET)
    assert {name: each.reveal() for name, each in values(secret.spec).items()} == {
        "key": b"top secret",
        "more": b"top secret",
    }
    for text in (repr(secret), str(secret.spec), f"{secret.spec.data} {values(secret.spec)}"):
        assert "redacted" in text
        assert "top" not in text
        assert "dG9w" not in text
    assert secret.annotations == {"note": "b"}
    assert secret == only(SECRET)


@pytest.mark.parametrize("value", ["top secret!", "[dG9w]", "4711"])
def test_what_is_wrong_in_a_secret_is_not_repeated(value):
    decoded = read(f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\ndata: {{key: {value}}}\n")
    (wrong,) = (each for each in decoded.diagnostics if each.code == "MZ0021")
    assert (str(wrong.location), decoded.located) == ("f.yaml:4:13", ())
    assert value.strip("[]") not in str(wrong)


def test_json_of_any_form_is_frozen():
    (patch,) = only("""\
        apiVersion: networking.istio.io/v1alpha3
        kind: EnvoyFilter
        metadata: {name: a}
        spec:
          configPatches:
          - applyTo: CLUSTER
            patch: {operation: MERGE, value: {list: [{a: 1}, b], nested: {c: null}}}
        """).spec.config_patches
    assert patch.patch.value == {"list": ({"a": 1}, "b"), "nested": {"c": None}}
    assert hash(patch) == hash(patch)


OUT_OF_BOUNDS = [
    ("ServiceEntry", "hosts: []", "this must not be empty", "MZ0026"),
    (
        "WorkloadEntry",
        f"{{address: {'a' * 257}}}",
        "257 characters are more than the 256 that the API allows",
        "MZ0026",
    ),
    ("ProxyConfig", "concurrency: -1", "-1 is not between 0 and 2147483647", "MZ0025"),
    (
        "DestinationRule",
        "{host: a, trafficPolicy: {retryBudget: {percent: 101}}}",
        "101 is not between 0 and 100",
        "MZ0025",
    ),
    (
        "WorkloadGroup",
        "{template: {}, probe: {httpGet: {port: 1, httpHeaders: [{name: 'a b'}]}}}",
        '"a b" does not match ^[-_A-Za-z0-9]+$',
        "MZ0026",
    ),
    (
        "DestinationRule",
        "{host: a, trafficPolicy: {loadBalancer: {consistentHash: {ringHash: {minimumRingSize: -1}}}}}",
        "-1 is less than 0",
        "MZ0025",
    ),
]


@pytest.mark.parametrize(("kind", "spec", "message", "code"), OUT_OF_BOUNDS)
def test_bounds_of_the_api(kind, spec, message, code):
    version = "v1beta1"
    text = (
        f"apiVersion: networking.istio.io/{version}\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n  {spec}\n"
    )
    decoded = read(text)
    assert (code, message) in [(each.code, each.message) for each in decoded.diagnostics]
    assert decoded.located == ()


def test_a_broken_document_disturbs_only_itself():
    decoded = read("a: [\n---\n" + virtual_service(ROUTED) + "---\n{\n")
    assert len(decoded.located) == 1
    assert [str(each.location) for each in decoded.diagnostics] == ["f.yaml:2:1", "f.yaml:13:1"]
    assert not decoded.complete


def test_an_object_twice_in_one_text():
    decoded = read(virtual_service(ROUTED) + "---\n" + virtual_service(ROUTED))
    assert len(decoded.located) == 1
    (problem,) = decoded.diagnostics
    assert (problem.code, problem.location.line) == ("MZ0007", 10)
    assert "f.yaml:1:1" in problem.message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding):
    data = virtual_service("# \u00e9\n" + ROUTED).encode(encoding)
    assert len(decode(data, "f.yaml").located) == 1


@pytest.mark.parametrize(
    ("data", "words", "at"),
    [
        (b"a: 1\nb: \xff\n", "the byte 0xff is not UTF-8", "f.yaml:2:4"),
        (b"\x7fELF\x00\xff", "this is a binary file", "f.yaml:1:6"),
        (b"a\x00b", "U+0000", "f.yaml:1:2"),
        (b"\xff\xfea", "UTF-16", "f.yaml:1:3"),
    ],
)
def test_what_is_no_text(data, words, at):
    (problem,) = decode(data, "f.yaml").diagnostics
    assert (problem.code, str(problem.location)) == ("MZ0004", at)
    assert words in problem.message


@given(st.binary() | st.text())
def test_nothing_makes_it_raise(data):
    decode(data, "f.yaml")


KNOWN = st.sampled_from(
    ["apiVersion", "kind", "metadata", "spec", "name", "hosts", "http", "route", "x", "items"]
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["v1", "List", "10s"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KNOWN, inner, max_size=4),
)


@given(st.sampled_from(["VirtualService", "DestinationRule", "Gateway", "ServiceEntry"]), PLAIN, PLAIN)
def test_no_value_makes_it_raise(kind, metadata, spec):
    item = {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
    decode(json.dumps(item, ensure_ascii=False), "f.yaml")


def test_a_diagnostic_is_one_line_that_says_what_to_do():
    (problem,) = read(virtual_service(ROUTED + "  timeout: 10\n")).diagnostics
    assert str(problem) == (
        "f.yaml:9:14: error MZ0023: VirtualService shop/reviews spec.http[0].timeout: "
        'expected a duration, found the number 10; name the unit: "10s"'
    )


def test_the_catalogue_says_what_to_do_for_every_code():
    for code in CATALOGUE.values():
        assert code.title
        assert code.what_to_do
