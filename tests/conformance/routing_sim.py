"""The set `routing-sim`: where a connection goes, by the configuration that its proxy really gets.

Each case is a mesh, a proxy of it and a connection. The proxy's whole configuration is generated, and the connection is matched
against it in process, as Envoy matches (tests/support/simulation). Route tables are looked up by domain.

Names are taken as equal to Istio's, because what differs is Istio's simulation and not the mesh:

- It knows no DNS domain, so that a short name becomes "a.default" there and "a.default.svc.cluster.local" here.
- The filter chains of a Sidecar's ingress without `bind` are named after the workload's own address (1.1.1.1 in the simulation).
  Replicas share their configuration here, so the wildcard stands in its place.

Groups of later issues are not run: Kubernetes Ingress, and the TLSRoutes of the Gateway API (which these cases leave out).

Which address of Istio's pool a host is given is neither mesh's promise: where a case calls one, it is the one given here.
"""

import json
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from mizzen.config.decode import decode
from mizzen.derive.addresses import NO_ALLOCATION_LABEL, allocated_addresses
from mizzen.derive.inbound import instances_at
from mizzen.derive.inputs import RESOURCES
from mizzen.frozen import FrozenMap
from mizzen.model.name import IPV4_POOL
from mizzen.model.proxy import ProxyKind, ProxyView
from mizzen.proto.api import RouteConfiguration
from mizzen.xds.resource import LISTENER, ROUTE
from tests.conformance.outcome import Outcome, SetResult, Status
from tests.conformance.routing_sim_failing import FAILING
from tests.support.mesh import Mesh
from tests.support.simulation.call import Application, Call, Direction, Security
from tests.support.simulation.simulate import Configuration, simulate

Json = Any

NOT_ASKED = frozenset({"TestIngress", "TestTLSRouteTermination"})
"""Groups of which no issue has asked anything yet."""

_ADDRESS = "1.1.1.1"  # of Istio's simulated proxy
_DESTINATION = "1.3.3.7"  # of a call that names none: the address plays no part
_MESH_ALPN = {Application.HTTP: "istio-http/1.1", Application.HTTP2: "istio-h2", Application.TCP: "istio"}


def run(folder: Path) -> SetResult:
    calls = json.loads((folder / "call-cases.json").read_text())["cases"]
    tables = json.loads((folder / "route-table-cases.json").read_text())["cases"]
    asked = [case for case in calls if case["test"] not in NOT_ASKED]
    outcomes = [
        *(_outcome(case, case["test"], _call_differs) for case in asked),
        *(_outcome(case, "/".join(case["id"].split("/")[:2]), _table_differs) for case in tables),
    ]
    not_asked = Counter(case["test"] for case in calls if case["test"] in NOT_ASKED)
    return SetResult("routing-sim", outcomes, FAILING, not_asked, minimum_together=0.95)


def _outcome(case: Mapping[str, Any], group: str, differs: Any) -> Outcome:
    try:
        why = differs(case)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    return Outcome(case["id"], group, Status.FAILED if why else Status.PASSED, why)


def _call_differs(case: Mapping[str, Any]) -> str:
    """What is not as expected; "" where all is."""
    call, expected = _with_own_address(case)
    verdict = simulate(_configuration(case), _call(call, case["proxy"]))
    made = {
        "error": verdict.refusal.value if verdict.refusal else "",
        "listener": verdict.listener,
        "filter_chain": verdict.filter_chain,
        "route_config": verdict.route_config,
        "virtual_host": verdict.virtual_host,
        "route": verdict.route,
        "cluster": verdict.cluster,
    }
    asked = made if expected.pop("strict", False) else {"error": "", **expected}
    return ", ".join(
        f"{name}: expected {expected.get(name, '')!r}, got {made[name]!r}"
        for name in asked
        if _comparable(expected.get(name, "")) != _comparable(made[name])
    )


def _with_own_address(case: Mapping[str, Any]) -> tuple[Json, Json]:
    """The call and what is expected of it, with the address that our mesh gives to the host."""
    given = case["call"].get("address", _DESTINATION)
    if ip_address(given) not in IPV4_POOL:
        return case["call"], dict(case["expect"])
    allocated = _mesh(_objects(case)).db.value(allocated_addresses)
    own = next(found[0] for (_, host), found in allocated.items() if host == case["call"].get("host"))
    call, expected = json.loads(json.dumps([case["call"], case["expect"]]).replace(given, own))
    return call, expected


def _comparable(name: str) -> str:
    return name.replace(f"{_ADDRESS}_", "0.0.0.0_").removesuffix(".svc.cluster.local")


def _table_differs(case: Mapping[str, Any]) -> str:
    config = _configuration(case).routes.get(case["route_config"], RouteConfiguration())
    made = {
        domain: [route.route.cluster for route in host.routes]
        for host in config.virtual_hosts
        for domain in host.domains
    }
    expected = case["expect_virtual_hosts"] or {}
    return ", ".join(
        f"{domain}: expected {clusters}, got {made.get(domain)}"
        for domain, clusters in expected.items()
        if made.get(domain) != clusters
    )


def _call(given: Mapping[str, Any], proxy: Mapping[str, Any]) -> Call:
    security = Security(given.get("tls", "plaintext"))
    application = Application(given.get("protocol", "tcp"))
    host = given.get("host", "")
    alpn = given.get("alpn") or (_MESH_ALPN[application] if security is Security.MTLS else "")
    default = Direction.GATEWAY if proxy["type"] == "router" else Direction.OUTBOUND
    return Call(
        address=given.get("address", _DESTINATION),
        port=given["port"],
        direction=Direction(given.get("mode", default.value)),
        application=application,
        security=security,
        alpn=(alpn,) if alpn else (),
        sni=given.get("sni") or (host if security is Security.TLS else ""),
        host=host,
        path=given.get("path", "/"),
        secret=given.get("mtls_secret_name", "default"),
    )


def _configuration(case: Mapping[str, Any]) -> Configuration:
    return _generated(json.dumps(case["proxy"]), _objects(case))


def _objects(case: Mapping[str, Any]) -> str:
    allocates = case["proxy"].get("metadata", {}).get("DNSAutoAllocate") == "True"
    objects = [
        *(found if allocates else _unallocated(found) for found in case["config"]),
        *case["kubernetes"],
    ]
    if "mesh_config" in case:
        objects.append(_mesh_config(case["mesh_config"]))
    return json.dumps(objects)


def _unallocated(found: Mapping[str, Any]) -> Json:
    """The object as Istio's simulation sees it, in which nothing allocates addresses."""
    if found["kind"] != "ServiceEntry":
        return found
    metadata = found["metadata"]
    labels = {**metadata.get("labels", {}), NO_ALLOCATION_LABEL: "false"}
    return {**found, "metadata": {**metadata, "labels": labels}}


def _mesh_config(spec: Mapping[str, Any]) -> Json:
    api = {"apiVersion": "mesh.istio.io/v1alpha1", "kind": "MeshConfig"}
    return {**api, "metadata": {"name": "mesh"}, "spec": spec}


@lru_cache(maxsize=8)
def _generated(proxy: str, objects: str) -> Configuration:
    """The configuration of a proxy. Neighbouring cases have it in common."""
    mesh = _mesh(objects)
    view = _view(mesh, json.loads(proxy))
    listeners = mesh.messages(view, LISTENER).values()
    return Configuration(list(listeners), mesh.messages(view, ROUTE))


@lru_cache(maxsize=8)
def _mesh(objects: str) -> Mesh:
    mesh = Mesh()
    with mesh.db.batch():
        for item in json.loads(objects):
            decoded = decode(json.dumps(item), "case")
            # Istio's simulation validates nothing: what is broken takes part as far as it can be read.
            for located in (*decoded.located, *decoded.salvaged):
                mesh.db.set(RESOURCES, located.resource.key, located.resource)
    return mesh


def _view(mesh: Mesh, proxy: Mapping[str, Any]) -> ProxyView:
    namespace = proxy.get("namespace", "default")
    addresses = proxy.get("ip_addresses", [_ADDRESS])
    instances = (found for one in addresses for found in mesh.db.value(instances_at, namespace, one))
    labels = FrozenMap(proxy.get("labels", {}))
    return ProxyView(ProxyKind(proxy["type"]), namespace, labels, instances=tuple(instances))
