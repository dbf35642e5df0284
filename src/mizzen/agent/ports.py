"""The ports of a workload's proxy and agent, Istio's numbers."""

from typing import Final

OUTBOUND: Final = 15001
INBOUND: Final = 15006
HBONE: Final = 15008
STATUS: Final = 15020
READINESS: Final = 15021
DNS: Final = 15053
ENVOY_METRICS: Final = 15090
