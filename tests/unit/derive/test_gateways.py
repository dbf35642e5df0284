"""Which servers share a port: deterministic, whatever the order in which they are met."""

import itertools

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mizzen.config.resource import ResourceKey
from mizzen.config.types.networking import Port, Server, ServerTLSMode, ServerTLSSettings
from mizzen.derive.gateways import Carries, Conflict, GatewayServer, merge, merged_gateway
from mizzen.derive.inbound import InboundScope
from mizzen.frozen import FrozenMap
from tests.support.mesh import Mesh


def server(name, protocol, *hosts, mode=None, number=443, bind="", index=0):
    tls = ServerTLSSettings(mode=mode) if mode else None
    port = Port(number=number, name="p", protocol=protocol)
    return GatewayServer(
        ResourceKey("Gateway", "shop", name),
        index,
        Server(port=port, hosts=hosts or ("*",), tls=tls, bind=bind),
    )


SIMPLE, PASSTHROUGH = ServerTLSMode.SIMPLE, ServerTLSMode.PASSTHROUGH


@pytest.mark.parametrize(
    ("protocol", "mode", "carries"),
    [
        ("HTTP", None, Carries.HTTP),
        ("http2", None, Carries.HTTP),
        ("GRPC", None, Carries.HTTP),
        ("GRPC-WEB", None, Carries.HTTP),
        ("HTTP", PASSTHROUGH, Carries.HTTP),  # httpsRedirect: the mode is the default one
        ("HTTPS", SIMPLE, Carries.HTTPS),
        ("HTTPS", ServerTLSMode.ISTIO_MUTUAL, Carries.HTTPS),
        ("HTTPS", PASSTHROUGH, Carries.PASSTHROUGH),
        ("TLS", PASSTHROUGH, Carries.PASSTHROUGH),
        ("TLS", ServerTLSMode.AUTO_PASSTHROUGH, Carries.AUTO_PASSTHROUGH),
        ("TLS", SIMPLE, Carries.TERMINATED),
        ("TCP", None, Carries.TCP),
        ("MONGO", None, Carries.TCP),
        ("MYSQL", None, Carries.TCP),
    ],
)
def test_what_a_server_carries(protocol, mode, carries):
    assert server("g", protocol, mode=mode).carries is carries


@pytest.mark.parametrize(
    ("first", "second", "conflict"),
    [
        (("HTTP",), ("HTTP",), None),
        (("HTTP",), ("TCP",), Conflict.PROTOCOL),
        (("TCP",), ("TCP",), Conflict.STREAM),
        (("HTTP",), ("HTTPS", "a"), Conflict.PROTOCOL),
        (("HTTPS", "a"), ("TCP",), Conflict.PROTOCOL),
        (("HTTPS", "a"), ("HTTPS", "b"), None),
        (("HTTPS", "a"), ("HTTPS", "*"), None),
        (("HTTPS", "a", "b"), ("HTTPS", "b", "c"), Conflict.HOST),
        (("HTTPS", "one/a"), ("HTTPS", "two/a"), Conflict.HOST),
        (("HTTPS", "A"), ("TLS", "a"), Conflict.HOST),
        (("TLS", "*"), ("HTTPS", "*"), Conflict.HOST),
    ],
)
def test_who_shares_a_port(first, second, conflict):
    one, two = (
        server(name, *given, mode=SIMPLE if given[0] in {"HTTPS", "TLS"} else None)
        for name, given in (("one", first), ("two", second))
    )
    merged = merge([(443, one), (443, two)])
    (port,) = merged.ports
    assert port.servers == ((one, two) if conflict is None else (one,))
    assert [(each.server, each.winner, each.conflict) for each in merged.refused] == (
        [] if conflict is None else [(two, one, conflict)]
    )


def test_addresses_of_their_own_are_ports_of_their_own():
    one, two = server("one", "TCP"), server("two", "TCP", bind="10.0.0.1")
    assert [port.bind for port in merge([(443, one), (443, two)]).ports] == ["", "10.0.0.1"]


servers = st.lists(
    st.builds(
        server,
        st.sampled_from("abcdef"),
        st.sampled_from(("HTTP", "HTTPS", "TCP")),
        st.sampled_from(("a", "b", "*")),
        mode=st.just(SIMPLE),
        index=st.integers(0, 3),
    ),
    max_size=8,
)


@given(servers)
def test_no_two_servers_of_a_port_clash_and_whoever_is_refused_clashes_with_a_winner(found):
    merged = merge((443, each) for each in found)
    for port in merged.ports:
        for one, two in itertools.combinations(port.servers, 2):
            assert len(merge([(443, one), (443, two)]).refused) == 0
        assert port.servers[0] == found[0]
    winners = {id(each) for port in merged.ports for each in port.servers}
    assert all(id(each.winner) in winners for each in merged.refused)


GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: {namespace}, {created}}}
spec:
  selector: {{app: edge}}
  servers: [{{port: {{number: 80, name: p, protocol: {protocol}}}, hosts: ["*"]}}]
"""


def first_of(*texts):
    mesh = Mesh(*texts)
    scope = InboundScope("edge", FrozenMap({"app": "edge"}))
    (port,) = mesh.db.value(merged_gateway, scope).ports
    return port.servers[0].key.name


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_oldest_gateway_wins_in_whatever_order_they_come(order):
    texts = [
        GATEWAY.format(name=name, namespace="shop", protocol=protocol, created=created)
        for name, protocol, created in (
            ("young", "HTTP", 'creationTimestamp: "2025-01-01T00:00:00Z"'),
            ("old", "TCP", 'creationTimestamp: "2024-01-01T00:00:00Z"'),
            ("undated", "HTTP", ""),
        )
    ]
    assert first_of(*(texts[index] for index in order)) == "old"


def test_without_dates_names_decide():
    texts = [GATEWAY.format(name=name, namespace="shop", protocol="TCP", created="") for name in ("b", "a")]
    assert first_of(*texts) == first_of(*reversed(texts)) == "a"
