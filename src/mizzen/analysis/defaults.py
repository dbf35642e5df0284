"""What Istio's offline analysis takes for granted: an ingress gateway that users do not write into their folders.

Its objects are of no file, so nothing is ever said about them. Any MeshConfig of the user's counts; without one Istio's
defaults do (they are the types' own).
"""

from typing import Final

from mizzen.config.decode import decode
from mizzen.config.resource import Located, ResourceKey

FILE: Final = "(Istio's defaults)"

_INGRESS_GATEWAY: Final = """
apiVersion: v1
kind: Pod
metadata:
  name: istio-ingressgateway-default
  namespace: istio-system
  labels: {istio: ingressgateway}
spec:
  containers:
  - name: istio-proxy
---
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  ports:
  - {name: http2, port: 80}
  - {name: https, port: 443}
  - {name: tcp, port: 31400}
  - {name: tls, port: 15443}
"""


def default_resources(present: set[ResourceKey]) -> tuple[Located, ...]:
    """Istio's default resources, but for those that the user has."""
    located = decode(_INGRESS_GATEWAY, FILE).located
    return tuple(each for each in located if each.resource.key not in present)
