"""Cases of routing-sim that are known to fail, each with the reason. A case that passes must go."""

from collections.abc import Mapping

_REFUSED = (
    "Istio sends Envoy two chains for one server name, which it refuses; here the older Gateway is served"
)
_NO_ROUTE = "the case has no VirtualService: the corpus lost what leads to the cluster that it expects"
_LOST = "Istio loses the routes of Ingresses that share a certificate; here they are merged and served"
_INBOUND = "inbound listeners are not at parity yet"

FAILING: Mapping[str, str] = {
    "TestGatewayConflicts/duplicate tls gateway/call": _REFUSED,
    "TestTLSRouteTermination/tlsroute with tls terminate/tls terminate request": _NO_ROUTE,
    "TestTLSRouteTermination/tlsroute mixed mode/terminate route reaches terminate backend": _NO_ROUTE,
    "TestIngress/ingress shared TLS cert conflict - beta first/https alpha": _LOST,
    "TestIngress/ingress shared TLS cert conflict - beta first/https beta": _LOST,
    "TestInboundSidecarTLSModes/sidecar TCP over TLS simple mode with peer auth on port disabled/plaintext": _INBOUND,
    "TestInboundSidecarTLSModes/sidecar http over mTLS mutual mode with peer auth on port disabled/plaintext": _INBOUND,
    "TestInboundSidecarTLSModes/sidecar http over mTLS mutual mode with peer auth on port disabled/http over tls": _INBOUND,
    "TestInboundSidecarTLSModes/sidecar tcp over mTLS mutual mode with peer auth on port disabled/plaintext": _INBOUND,
    "TestInboundSidecarTLSModes/sidecar tcp over mTLS mutual mode with peer auth on port disabled/http over tls": _INBOUND,
}
