"""Inbound listeners: what arrives for the application, by port and by whether the caller proved an identity.

Source: ENVOY-FACTS and Istio's inbound filter chains. No chain may be the listener's default: a default would take
what the chains of a STRICT port refuse. What no chain takes is closed.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from mizzen.config.types.security import MutualTLSMode
from mizzen.derive.authentication import mutual_tls_mode, mutual_tls_policy
from mizzen.derive.authorization import policies_for
from mizzen.derive.inbound import InboundPort, InboundScope, inbound_ports
from mizzen.derive.mesh import mesh_config, trust_domains
from mizzen.incremental import Database, query
from mizzen.model.proxy import Binding
from mizzen.proto.api import (
    Listener,
    NetworkFilter,
    OriginalDst,
    RouteConfiguration,
    TlsInspector,
    TransportSocket,
)
from mizzen.translate import authorization, names
from mizzen.translate.built import Built, Origin, built, pack
from mizzen.translate.http_filters.cors import cors_filter
from mizzen.translate.http_filters.fault import fault_filter
from mizzen.translate.listeners.network import http_connection_manager, inline_routes, tcp_proxy
from mizzen.translate.telemetry import denied_metrics
from mizzen.translate.tls import MESH_HTTP_ALPN, MESH_TCP_ALPN, mesh_server
from mizzen.xds.resource import LISTENER

CAPTURE_PORT = 15006
_ANY_ADDRESS = "0.0.0.0"  # noqa: S104  # captured traffic arrives by any of the workload's addresses
_MESH_ALPN = (*MESH_HTTP_ALPN, MESH_TCP_ALPN)


@query
def virtual_inbound(db: Database, scope: InboundScope) -> Built:
    """virtualInbound: every port of a workload whose traffic is captured."""
    mesh = mesh_config(db)
    chains: list[dict[str, Any]] = [
        {
            "name": "virtualInbound-blackhole",
            "filter_chain_match": {"destination_port": {"value": CAPTURE_PORT}},
            "filters": [tcp_proxy(mesh, names.BLACK_HOLE, names.BLACK_HOLE)],
        }
    ]
    for port in inbound_ports(db, scope):
        chains += _port_chains(db, scope, port, port.number)
    chains += _catch_all_chains(db, scope)
    listener = Listener(
        name=names.VIRTUAL_INBOUND,
        address={"socket_address": {"address": _ANY_ADDRESS, "port_value": CAPTURE_PORT}},
        traffic_direction="INBOUND",
        listener_filters=[
            {"name": "envoy.filters.listener.original_dst", "typed_config": pack(OriginalDst())},
            _tls_inspector(),
        ],
        listener_filters_timeout=mesh.protocol_detection_timeout or timedelta(),
        continue_on_listener_filters_timeout=True,
        filter_chains=chains,
    )
    return built(LISTENER, listener, _origins(db, scope))


@query
def bound_inbound(db: Database, scope: InboundScope, port: InboundPort, binding: Binding) -> Built:
    """<address>_<port>: one port of a workload whose traffic is not captured: the proxy binds it itself."""
    listener = Listener(
        name=names.listener(binding.address, port.number),
        address={"socket_address": {"address": binding.address, "port_value": port.number}},
        traffic_direction="INBOUND",
        listener_filters=[_tls_inspector()],
        listener_filters_timeout=mesh_config(db).protocol_detection_timeout,
        continue_on_listener_filters_timeout=True,
        filter_chains=_port_chains(db, scope, port, None),
    )
    return built(LISTENER, listener, _origins(db, scope))


def _tls_inspector() -> dict[str, Any]:
    return {"name": "envoy.filters.listener.tls_inspector", "typed_config": pack(TlsInspector())}


def _origins(db: Database, scope: InboundScope) -> tuple[Origin, ...]:
    ports = inbound_ports(db, scope)
    policies = policies_for(db, scope.namespace, scope.labels)
    keys = [*(port.service.source for port in ports), *(key for found in policies.values() for key in found)]
    return tuple(Origin("", key) for key in dict.fromkeys(keys))


def _port_chains(
    db: Database, scope: InboundScope, port: InboundPort, match_port: int | None
) -> list[dict[str, Any]]:
    mode = mutual_tls_mode(db, scope.namespace, scope.labels, port.number)
    http = port.protocol.is_http
    filters = (
        _http_filters(db, scope, port)
        if http
        else _tcp_filters(db, scope, names.inbound_cluster(port.number))
    )
    opaque = _tcp_filters(db, scope, names.inbound_cluster(port.number))
    name = f"{_ANY_ADDRESS}_{port.number}"
    server = mesh_server(trust_domains(db), http=http)
    return list(_chains(mode, name, match_port, server, filters, opaque))


def _catch_all_chains(db: Database, scope: InboundScope) -> list[dict[str, Any]]:
    """Ports that no service declares: as plain TCP, under the workload's own mTLS mode and authorization.

    A port that has only a setting of its own in PeerAuthentication is held to that, too.
    """
    mode, ports = mutual_tls_policy(db, scope.namespace, scope.labels)
    declared = {port.number for port in inbound_ports(db, scope)}
    filters = _tcp_filters(db, scope, names.INBOUND_PASSTHROUGH)
    server = mesh_server(trust_domains(db), http=False)
    found: list[dict[str, Any]] = []
    for number, own in sorted(ports.items()):
        if number not in declared:
            found += _chains(own, f"virtualInbound-catchall-{number}", number, server, filters, filters)
    found += _chains(mode, "virtualInbound-catchall", None, server, filters, filters)
    return found


def _chains(
    mode: MutualTLSMode,
    name: str,
    port: int | None,
    server: TransportSocket,
    filters: Sequence[NetworkFilter],
    opaque: Sequence[NetworkFilter],
) -> Iterator[dict[str, Any]]:
    """The filter chains of one port. `opaque` takes the application's own TLS, which the proxy cannot read."""
    destination = {"destination_port": {"value": port}} if port is not None else {}
    if mode is MutualTLSMode.DISABLE:
        yield {"name": name, "filter_chain_match": destination, "filters": filters}
        return
    alpn = {} if mode is MutualTLSMode.STRICT else {"application_protocols": _MESH_ALPN}
    yield {
        "name": f"{name}-mtls",
        "filter_chain_match": {**destination, "transport_protocol": "tls", **alpn},
        "transport_socket": server,
        "filters": filters,
    }
    if mode is MutualTLSMode.STRICT:
        return
    yield {
        "name": f"{name}-tls",
        "filter_chain_match": {**destination, "transport_protocol": "tls"},
        "filters": opaque,
    }
    yield {
        "name": f"{name}-plaintext",
        "filter_chain_match": {**destination, "transport_protocol": "raw_buffer"},
        "filters": filters,
    }


def _http_filters(db: Database, scope: InboundScope, port: InboundPort) -> list[NetworkFilter]:
    cluster = names.inbound_cluster(port.number)
    route = {
        "name": "default",
        "match": {"prefix": "/"},
        "route": {"cluster": cluster, "timeout": {"seconds": 0}},
    }
    host = {"name": f"inbound|http|{port.number}", "domains": ["*"], "routes": [route]}
    routes = RouteConfiguration(name=cluster, virtual_hosts=[host], validate_clusters={"value": False})
    rbac = authorization.http_filters(
        authorization.authorization_filters(db, scope.namespace, scope.labels, True)
    )
    manager = http_connection_manager(
        mesh_config(db),
        f"inbound_{_ANY_ADDRESS}_{port.number}",
        inline_routes(routes),
        [*rbac, cors_filter(), fault_filter()],
        metrics=[denied_metrics()],
        # Istio's setting: the caller's certificate is appended to what a gateway in front forwarded.
        client_certificate="APPEND_FORWARD",
    )
    return [manager]


def _tcp_filters(db: Database, scope: InboundScope, cluster: str) -> list[NetworkFilter]:
    rbac = authorization.network_filters(
        authorization.authorization_filters(db, scope.namespace, scope.labels, False)
    )
    return [*rbac, tcp_proxy(mesh_config(db), cluster, cluster)]
