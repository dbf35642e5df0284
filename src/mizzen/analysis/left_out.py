"""Istio's messages that Mizzen never gives, and why. A test compares this table with Istio's list."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_PRECHECK: Final = "of `istioctl x precheck`: it asks a running cluster before Istio is installed"
_UPGRADE: Final = "of `istioctl x precheck --from-version`: it compares Istio's own releases"

LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        "InsufficientPermissions": _PRECHECK,
        "UnsupportedKubernetesVersion": _PRECHECK,
        "LocalhostListener": "of `istioctl x precheck`: it lists the sockets inside of running Pods",
        "UnsupportedGatewayAPIVersion": f"{_PRECHECK}; GatewayAPICRDVersionBelowMinimum says it of each CRD",
        "FutureUnsupportedGatewayAPIVersion": f"{_PRECHECK}; GatewayAPICRDVersionBelowMinimum says it of each CRD",
        "UnknownUpgradeCompatibility": _UPGRADE,
        "UpdateIncompatibility": _UPGRADE,
    }
)
"""Istio's name of the message -> the reason."""
