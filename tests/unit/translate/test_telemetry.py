"""What proxies tell is the same settings for all of whom the same is wanted, and a Telemetry costs those whom it is for."""

from mizzen.xds.resource import LISTENER
from tests.support.mesh import Mesh, gateway, sidecar

SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.7, selector: {app: web}, ports: [{name: http, port: 80}, {name: tcp, port: 9000}]}
"""
QUIET = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: quiet, namespace: shop}
spec:
  selector: {matchLabels: {app: api}}
  metrics: [{overrides: [{disabled: true}]}]
"""
FRONT = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec:
  selector: {app: front}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: ["*"], gateways: [front], http: [{route: [{destination: {host: web}}]}]}
"""
TARGETED = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: edge, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: front}]
  accessLogging: [{providers: [{name: envoy}]}]
"""
OUTBOUND = ("0.0.0.0_80", "10.96.0.7_9000", "virtualOutbound")


def outbound(mesh: Mesh, view) -> dict[str, str]:
    """The versions of what the proxies of a view call through."""
    return {
        item.name: item.version
        for item in mesh.resources(view)
        if item.type_url == LISTENER and item.name in OUTBOUND
    }


def test_workloads_share_the_bytes_of_what_they_tell():
    mesh = Mesh(SERVICES)
    web = outbound(mesh, sidecar("shop", app="web", version="v1"))
    assert web.keys() == set(OUTBOUND)
    assert outbound(mesh, sidecar("shop", app="api", version="v2")) == web
    assert outbound(mesh, sidecar("other", app="batch")) == web


def test_a_telemetry_concerns_those_whom_it_is_for():
    mesh = Mesh(SERVICES)
    web, api = sidecar("shop", app="web"), sidecar("shop", app="api")
    before = outbound(mesh, web)
    mesh.apply(QUIET)
    assert outbound(mesh, web) == before
    quiet = outbound(mesh, api)
    assert all(quiet[name] != before[name] for name in OUTBOUND)
    mesh.remove("Telemetry", "shop", "quiet")
    assert outbound(mesh, api) == before


def test_target_refs_name_gateways():
    mesh = Mesh(SERVICES, FRONT, TARGETED)

    def logs_to_stdout(**labels: str) -> bool:
        found = mesh.message(gateway("shop", app="front", **labels), LISTENER, "0.0.0.0_80")
        return b"envoy.access_loggers.stdout" in found.filter_chains[0].filters[0].typed_config.value

    assert not logs_to_stdout()
    assert logs_to_stdout(**{"gateway.networking.k8s.io/gateway-name": "front"})
