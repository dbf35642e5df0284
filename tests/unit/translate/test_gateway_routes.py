"""Several VirtualServices for one host of a gateway: one order of routes, however they come."""

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from mizzen.xds.resource import ROUTE
from tests.support.mesh import Mesh, gateway

GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {app: edge}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
"""
VIRTUAL_SERVICE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop, {created}}}
spec:
  hosts: [one.test]
  gateways: [edge]
  http:
  - {{name: {name}-path, match: [{{uri: {{prefix: /{name}}}}}], route: [{{destination: {{host: web}}}}]}}
  - {{name: {name}-rest, route: [{{destination: {{host: web}}}}]}}
"""
DATES = (None, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z")
dated = st.dictionaries(st.sampled_from("abcde"), st.sampled_from(DATES), min_size=1)


def text_of(name, date):
    created = f'creationTimestamp: "{date}"' if date else ""
    return VIRTUAL_SERVICE.format(name=name, created=created)


def routes(texts):
    message = Mesh(GATEWAY, *texts).message(gateway("shop", app="edge"), ROUTE, "http.80")
    (host,) = message.virtual_hosts
    return [route.name for route in host.routes]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(dated, st.randoms(use_true_random=False))
def test_the_oldest_comes_first_and_what_takes_everything_last(found, random):
    arrival = list(found.items())
    random.shuffle(arrival)
    oldest_first = sorted(found, key=lambda name: (found[name] is None, found[name] or "", name))
    assert routes(text_of(*item) for item in arrival) == [
        f"{name}-{part}" for part in ("path", "rest") for name in oldest_first
    ]
