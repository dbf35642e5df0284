"""Cases of routing-sim that are known to fail, each with the reason. A case that passes must go."""

from collections.abc import Mapping

FAILING: Mapping[str, str] = {
    "TestGatewayConflicts/duplicate tls gateway/call": "Istio makes a listener that Envoy refuses; here the older Gateway holds",
}
