"""Who may be which proxy: the certificate decides, the node ID only chooses, and every refusal says what is wrong."""

import pytest

from mizzen.daemon.admission import AGENT, HTTP_PROXY_PORT, admit
from mizzen.derive.proxies import proxy_view
from mizzen.frozen import FrozenMap
from mizzen.model.proxy import Binding, Capture, ProxyKind, ProxyView
from mizzen.model.workload import Family
from mizzen.rpc.peer import Peer
from mizzen.xds.catalog import Node, Rejected
from tests.support.mesh import Mesh

WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: cart-0, namespace: shop}}
spec: {{address: {address}, serviceAccount: cart, labels: {{app: cart}}, ports: {{web: 8080}}}}
"""
NODE = "sidecar~10.0.0.1~cart-0.shop~shop.svc.cluster.local"
CART = "spiffe://cluster.local/ns/shop/sa/cart"


def ask(node_id=NODE, identity=CART, *, address="10.0.0.1", **metadata):
    mesh = Mesh(WORKLOAD.format(address=address))
    return admit(mesh.db, Peer(identity, "10.0.0.1:5", 1e10), Node(node_id, "", metadata))


def refusal(*arguments, **named) -> Rejected:
    with pytest.raises(Rejected) as caught:
        ask(*arguments, **named)
    return caught.value


def test_a_proxy_is_the_workload_that_its_node_id_names():
    proxy = ask()
    assert (proxy.key.namespace, proxy.key.name) == ("shop", "cart-0")
    assert proxy.kind is ProxyKind.SIDECAR
    assert str(proxy.identity) == CART
    assert proxy.certificate_expires == 1e10
    assert proxy.binding is None


def test_an_agent_is_told_from_the_proxy_beside_it_by_its_program():
    mesh = Mesh(WORKLOAD.format(address="10.0.0.1"))
    peer, metadata = Peer(CART, "10.0.0.1:5", 1e10), {"INTERCEPTION_MODE": "NONE", "APP_PORTS": {"80": 8080}}
    agent, proxy = (admit(mesh.db, peer, Node(NODE, "", metadata, name)) for name in (AGENT, "envoy"))
    assert (agent.agent, proxy.agent) == (True, False)
    assert agent.key == proxy.key
    view = mesh.db.value(proxy_view, *agent.view_key)
    assert view == ProxyView(ProxyKind.SIDECAR, "shop", FrozenMap({"app": "cart"}), agent=True)


def test_a_pod_is_a_workload_too():
    mesh = Mesh(
        """
apiVersion: v1
kind: Pod
metadata: {name: cart-0, namespace: shop, labels: {app: cart}}
spec: {serviceAccountName: cart, containers: [{name: cart, ports: [{name: web, containerPort: 8080}]}]}
status: {phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}
"""
    )
    proxy = admit(mesh.db, Peer(CART, "10.0.0.1:5", 1e10), Node(NODE, "", {}))
    assert str(proxy.key) == "Pod shop/cart-0"
    view = mesh.db.value(proxy_view, *proxy.view_key)
    assert view is not None
    assert (view.container_ports, view.families) == ({"web": 8080}, (Family.IPV4, Family.IPV6))


def test_without_a_certificate_nobody_is_let_in():
    refused = refusal(identity=None)
    assert refused.unauthenticated
    assert refused.reason == "a client certificate of the mesh is needed"


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ("spiffe://other.example/ns/shop/sa/cart", "not of this mesh's trust domain, cluster.local"),
        ("https://cluster.local/ns/shop/sa/cart", "https://"),
        ("spiffe://cluster.local/shop/cart", "spiffe://cluster.local/shop/cart"),
    ],
)
def test_a_foreign_identity_is_none(identity, words):
    refused = refusal(identity=identity)
    assert refused.unauthenticated
    assert words in refused.reason


@pytest.mark.parametrize("namespace", ["shop", "bank"])
def test_a_workload_must_be_registered(namespace):
    refused = refusal(f"sidecar~10.0.0.1~other-0.{namespace}~x")
    assert not refused.unauthenticated
    assert (
        refused.reason == f"no workload {namespace}/other-0 is registered: add a WorkloadEntry of that name"
    )


@pytest.mark.parametrize("identity", ["ns/shop/sa/thief", "ns/bank/sa/cart"])
def test_the_certificate_must_be_that_of_the_workloads_service_account(identity):
    refused = refusal(identity=f"spiffe://cluster.local/{identity}")
    assert not refused.unauthenticated
    assert f"the certificate of spiffe://cluster.local/{identity} may not run shop/cart-0" in refused.reason
    assert "registered with the service account shop/cart" in refused.reason


@pytest.mark.parametrize(
    "node_id",
    [
        *("", "cart-0.shop", "sidecar~10.0.0.1~cart-0.shop", "sidecar~10.0.0.1~cart-0~x", "a~b~c.d~e~f"),
        "ztunnel~10.0.0.1~cart-0.shop~x",
    ],
)
def test_a_malformed_node_id_is_quoted_beside_the_form_that_it_should_have(node_id):
    reason = refusal(node_id).reason
    assert repr(node_id) in reason
    assert "sidecar~<address>~<name>.<namespace>~<domain>" in reason


def test_a_name_with_dots_is_the_workloads_up_to_the_last():
    assert refusal("sidecar~10.0.0.1~a.b.shop~x").reason.startswith("no workload shop/a.b is registered")


def test_a_proxy_that_captures_nothing_listens_on_the_registered_address_whatever_it_claims():
    proxy = ask(
        "sidecar~6.6.6.6~cart-0.shop~x",
        INTERCEPTION_MODE="NONE",
        APP_PORTS={"8080": 18080.0},
        address="127.1.0.1",
    )
    assert proxy.binding == Binding("127.1.0.1", HTTP_PROXY_PORT, proxy.binding.app_ports)
    for nothing in (0, 0.0, "0.0"):  # what an agent that was told none says
        asked = ask(INTERCEPTION_MODE="NONE", HTTP_PROXY_PORT=nothing, APP_PORTS={})
        assert asked.binding.http_proxy_port == HTTP_PROXY_PORT
    assert dict(proxy.binding.app_ports) == {8080: 18080}


@pytest.mark.parametrize("port", [16000, 16000.0, "16000", "16000.0"])
def test_ports_arrive_as_a_struct_has_them(port):
    proxy = ask(INTERCEPTION_MODE="NONE", HTTP_PROXY_PORT=port, APP_PORTS={"8080": port})
    assert proxy.binding.http_proxy_port == 16000
    assert dict(proxy.binding.app_ports) == {8080: 16000}


@pytest.mark.parametrize(
    "metadata",
    [
        {"HTTP_PROXY_PORT": "soon"},
        {"HTTP_PROXY_PORT": "inf"},
        {"HTTP_PROXY_PORT": "nan"},
        {"HTTP_PROXY_PORT": 80.5},
        {"HTTP_PROXY_PORT": 65536},
        {"HTTP_PROXY_PORT": [1]},
        {"APP_PORTS": {"8080": -1}},
        {"APP_PORTS": {"web": 8080}},
        {"APP_PORTS": ["8080"]},
        {"APP_PORTS": 8080},
    ],
)
def test_metadata_that_cannot_be_read_is_refused_not_guessed(metadata):
    assert refusal(INTERCEPTION_MODE="NONE", **metadata).reason.startswith("the node's metadata")


def test_with_capture_the_metadata_does_not_matter():
    assert ask(INTERCEPTION_MODE="REDIRECT", HTTP_PROXY_PORT="soon").binding is None


@pytest.mark.parametrize(
    ("metadata", "capture"),
    [
        ({}, Capture()),
        ({"INTERCEPTION_MODE": "REDIRECT", "CAPTURE_IPV6": True}, Capture(ipv6=True)),
        ({"INTERCEPTION_MODE": "TPROXY"}, Capture(transparent=True)),
        ({"INTERCEPTION_MODE": ["TPROXY"], "CAPTURE_IPV6": "yes"}, Capture()),
    ],
)
def test_the_agent_says_how_it_captures(metadata, capture):
    proxy = ask(**metadata)
    assert (proxy.capture, proxy.binding) == (capture, None)
    assert proxy.view_key[-1] == capture


def test_a_gateway_captures_nothing():
    assert ask("router~10.0.0.1~cart-0.shop~x", INTERCEPTION_MODE="TPROXY").capture == Capture()


def test_a_workload_whose_address_is_a_name_cannot_be_bound():
    assert "cart.example" in refusal(INTERCEPTION_MODE="NONE", address="cart.example").reason


@pytest.mark.parametrize(("address", "bound"), [("127.1.0.1", True), ("::1", True), ("10.0.0.1", False)])
def test_a_gateway_binds_its_address_only_where_it_shares_the_host(address, bound):
    proxy = ask("router~10.0.0.1~cart-0.shop~x", INTERCEPTION_MODE="NONE", address=f'"{address}"')
    assert proxy.kind is ProxyKind.GATEWAY
    assert (proxy.binding is not None) == bound


def test_replicas_have_one_view():
    mesh = Mesh(
        WORKLOAD.format(address="10.0.0.1"), WORKLOAD.format(address="10.0.0.2").replace("cart-0", "cart-1")
    )
    views = set()
    for name in ("cart-0", "cart-1"):
        proxy = admit(mesh.db, Peer(CART, "", None), Node(NODE.replace("cart-0", name), "", {}))
        views.add(mesh.db.value(proxy_view, *proxy.view_key))
    assert len(views) == 1


def test_what_is_registered_with_a_sidecar_is_no_gateway_for_the_asking():
    """It would get the Secrets that Gateways with its labels, or with no selector, name."""
    mesh = Mesh(
        WORKLOAD.format(address="10.0.0.1").replace(
            "labels: {app: cart}", "labels: {app: cart, security.istio.io/tlsMode: istio}"
        )
    )
    peer = Peer(CART, "10.0.0.1:5", 1e10)
    with pytest.raises(Rejected, match="may run no gateway"):
        admit(mesh.db, peer, Node("router~10.0.0.1~cart-0.shop~x", "", {}))
    assert admit(mesh.db, peer, Node(NODE, "", {})).kind is ProxyKind.SIDECAR
