"""The simulated Envoy matches as Envoy does: in its order, and with no way back."""

from typing import Any

import pytest

from mizzen.frozen import FrozenMap
from mizzen.proto.api import (
    DownstreamTlsContext,
    HttpConnectionManager,
    Listener,
    ListenerFilter,
    RouteConfiguration,
    TcpProxy,
)
from mizzen.translate.built import pack
from tests.support.simulation.call import Application, Call, Direction, Refusal, Security
from tests.support.simulation.filter_chains import matching_chains
from tests.support.simulation.listeners import Connection, disabled
from tests.support.simulation.routes import route_for, virtual_host_for
from tests.support.simulation.simulate import HTTP, TCP, Configuration, simulate

INSPECTORS = [{"name": f"envoy.filters.listener.{name}_inspector"} for name in ("tls", "http")]


def listener(*matches: dict[str, Any], **settings: Any) -> Listener:
    chains = [{"name": str(index), "filter_chain_match": match} for index, match in enumerate(matches)]
    return Listener(filter_chains=chains, **settings)


def networks(*texts: str) -> dict[str, Any]:
    ranges = [text.split("/") for text in texts]
    return {"prefix_ranges": [{"address_prefix": a, "prefix_len": {"value": int(n)}} for a, n in ranges]}


PORT_80 = {"destination_port": {"value": 80}}
TLS = {"transport_protocol": "tls"}


@pytest.mark.parametrize(
    ("matches", "connection", "chosen"),
    [
        ([{}, PORT_80], Connection("10.0.0.1", 80), ["1"]),
        ([{}, PORT_80 | TLS], Connection("10.0.0.1", 80), []),  # no way back to chains without a port
        ([{}, PORT_80 | TLS], Connection("10.0.0.1", 81), ["0"]),
        ([networks("10.0.0.0/8"), networks("10.1.0.0/16"), {}], Connection("10.1.2.3", 1), ["1"]),
        ([networks("10.0.0.0/8"), networks("10.1.0.0/16"), {}], Connection("11.1.2.3", 1), ["2"]),
        ([networks("10.0.0.0/8"), {}], Connection("fd00::1", 1), ["1"]),
        ([networks("10.0.0.0/8") | TLS, {}], Connection("10.0.0.1", 1), []),
        (
            [{"server_names": ["*.example.com"]}, {"server_names": ["a.example.com"]}, {}],
            Connection("10.0.0.1", 1, "tls", "a.example.com"),
            ["1"],
        ),
        (
            [{"server_names": ["*.example.com"]}, {"server_names": ["*.a.example.com"]}, {}],
            Connection("10.0.0.1", 1, "tls", "b.a.example.com"),
            ["1"],
        ),
        (
            [{"server_names": ["*.example.com"]}, {}],
            Connection("10.0.0.1", 1, "tls", "example.com"),
            ["1"],
        ),
        (
            [{"application_protocols": ["h2"]}, {"application_protocols": ["istio"]}, {}],
            Connection("10.0.0.1", 1, application_protocols=("istio", "h2")),
            ["1"],
        ),
        ([TLS, TLS], Connection("10.0.0.1", 1, "tls"), ["0", "1"]),
        ([{"source_type": "EXTERNAL"}, {}], Connection("10.0.0.1", 1), ["1"]),
    ],
)
def test_filter_chains_are_chosen_criterion_by_criterion(
    matches: list[dict[str, Any]], connection: Connection, chosen: list[str]
) -> None:
    assert [chain.name for chain in matching_chains(listener(*matches), connection)] == chosen


def test_the_default_chain_takes_what_none_matches() -> None:
    found = listener(PORT_80 | TLS, default_filter_chain={"name": "default"})
    assert [chain.name for chain in matching_chains(found, Connection("10.0.0.1", 80))] == ["default"]


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ({"any_match": True}, True),
        ({"destination_port_range": {"start": 80, "end": 81}}, True),
        ({"destination_port_range": {"start": 79, "end": 80}}, False),
        ({"not_match": {"destination_port_range": {"start": 80, "end": 81}}}, False),
        ({"or_match": {"rules": [{"destination_port_range": {"start": 80, "end": 81}}] * 2}}, True),
        ({"and_match": {"rules": [{"any_match": True}, {"not_match": {"any_match": True}}]}}, False),
    ],
)
def test_a_listener_filter_is_disabled_by_port(predicate: dict[str, Any], expected: bool) -> None:
    assert disabled(ListenerFilter(name="x", filter_disabled=predicate), 80) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("a.example.com", "a.example.com"),
        ("b.example.com", "*.example.com"),
        ("b.a.example.com", "*.a.example.com"),
        ("EXAMPLE.org", "example.*"),
        ("other", "*"),
        ("a.example.com:80", "a.example.com"),
    ],
)
def test_the_best_domain_wins(host: str, expected: str) -> None:
    domains = ["*", "example.*", "*.example.com", "*.a.example.com", "a.example.com"]
    config = RouteConfiguration(
        ignore_port_in_host_matching=True,
        virtual_hosts=[{"name": name, "domains": [name]} for name in domains],
    )
    found = virtual_host_for(config, host)
    assert found is not None
    assert found.name == expected


@pytest.mark.parametrize(
    ("match", "matched"),
    [
        ({"prefix": "/a"}, True),
        ({"prefix": "/A"}, False),
        ({"prefix": "/A", "case_sensitive": {"value": False}}, True),
        ({"path": "/a/b"}, True),
        ({"path": "/a"}, False),
        ({"path_separated_prefix": "/a"}, True),
        ({"path_separated_prefix": "/a/"}, False),
        ({"safe_regex": {"regex": "/a/."}}, True),
        ({"safe_regex": {"regex": "/a"}}, False),
        ({"prefix": "/", "headers": [{"name": "x", "string_match": {"exact": "1"}}]}, True),
        ({"prefix": "/", "headers": [{"name": "x", "present_match": True, "invert_match": True}]}, False),
        ({"prefix": "/", "headers": [{"name": "y", "string_match": {"prefix": "1"}}]}, False),
        ({"prefix": "/", "query_parameters": [{"name": "q", "string_match": {"exact": "v"}}]}, True),
        ({"prefix": "/", "query_parameters": [{"name": "r", "present_match": True}]}, False),
    ],
)
def test_a_route_takes_what_its_match_says(match: dict[str, Any], matched: bool) -> None:
    config = RouteConfiguration(virtual_hosts=[{"name": "v", "domains": ["*"], "routes": [{"match": match}]}])
    call = Call("10.0.0.1", 80, Direction.OUTBOUND, host="h", path="/a/b?q=v", headers=FrozenMap({"x": "1"}))
    assert (route_for(config.virtual_hosts[0], call) is not None) is matched


def chain(name: str, match: dict[str, Any], *, http: bool = False, tls: str = "") -> dict[str, Any]:
    routes = {"virtual_hosts": [{"name": "v", "domains": ["a"], "routes": []}]}
    manager, proxy = HttpConnectionManager(route_config=routes), TcpProxy(cluster=name)
    context = DownstreamTlsContext(
        require_client_certificate={"value": True},
        common_tls_context={"tls_certificate_sds_secret_configs": [{"name": tls}]},
    )
    return {
        "name": name,
        "filter_chain_match": match,
        "filters": [{"name": HTTP if http else TCP, "typed_config": pack(manager if http else proxy)}],
        **({"transport_socket": {"name": "tls", "typed_config": pack(context)}} if tls else {}),
    }


CAPTURED = Listener(
    name="virtualInbound",
    listener_filters=[{"name": "envoy.filters.listener.original_dst"}, *INSPECTORS],
    filter_chains=[
        chain("mesh", {"transport_protocol": "tls"}, tls="default"),
        chain("http", {"transport_protocol": "raw_buffer", "application_protocols": ["http/1.1"]}, http=True),
        chain("tcp", {"transport_protocol": "raw_buffer"}),
        chain("never", PORT_80, http=True),
    ],
)


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        ({"security": Security.MTLS}, "mesh"),
        ({"security": Security.TLS}, Refusal.MTLS),
        ({}, "tcp"),
        ({"application": Application.HTTP, "host": "a"}, Refusal.NO_ROUTE),
        ({"application": Application.HTTP, "host": "b"}, Refusal.NO_VIRTUAL_HOST),
        ({"port": 80}, Refusal.PROTOCOL),
        ({"port": 80, "application": Application.HTTP, "security": Security.TLS}, Refusal.PROTOCOL),
    ],
)
def test_a_connection_goes_step_by_step(call: dict[str, Any], outcome: str | Refusal) -> None:
    made = Call(**{"address": "10.0.0.1", "port": 81, "direction": Direction.INBOUND, **call})
    verdict = simulate(Configuration([CAPTURED], {}), made)
    assert (verdict.refusal or verdict.cluster) == outcome


@pytest.mark.parametrize(
    ("address", "port", "expected"),
    [
        ("10.0.0.1", 80, "exact"),
        ("10.0.0.2", 80, "wildcard"),
        ("fd00::1", 80, "wildcard"),
        ("fd00::1", 81, "virtualOutbound"),
        ("10.0.0.1", 82, "virtualOutbound"),
    ],
)
def test_captured_connections_go_to_the_listener_of_their_destination(
    address: str, port: int, expected: str
) -> None:
    def at(name: str, *places: tuple[str, int], **settings: Any) -> Listener:
        first, *more = [{"socket_address": {"address": a, "port_value": p}} for a, p in places]
        return Listener(
            name=name, address=first, additional_addresses=[{"address": one} for one in more], **settings
        )

    held = [
        at("virtualOutbound", ("0.0.0.0", 15001), use_original_dst={"value": True}),
        at("exact", ("10.0.0.1", 80)),
        at("wildcard", ("0.0.0.0", 80), ("::", 80)),
        at("ipv4", ("0.0.0.0", 81)),
    ]
    verdict = simulate(Configuration(held, {}), Call(address, port, Direction.OUTBOUND))
    assert (verdict.listener, verdict.refusal) == (expected, Refusal.NO_FILTER_CHAIN)


def test_a_gateway_has_no_listener_but_its_own() -> None:
    unbound = Listener(name="x", bind_to_port={"value": False})
    verdict = simulate(Configuration([unbound], {}), Call("10.0.0.1", 80, Direction.GATEWAY))
    assert verdict.refusal is Refusal.NO_LISTENER
