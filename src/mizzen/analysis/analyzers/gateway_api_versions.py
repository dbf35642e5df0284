"""Are the CRDs of the Gateway API new enough to be read?"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.incremental import Database

_BUNDLE = "gateway.networking.k8s.io/bundle-version"
# The releases of the Gateway API since which Istio reads these kinds in the version that it watches.
_MINIMUM: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "grpcroutes.gateway.networking.k8s.io": (1, 1, 0),
        "backendtlspolicies.gateway.networking.k8s.io": (1, 4, 0),
        "tlsroutes.gateway.networking.k8s.io": (1, 5, 0),
    }
)
_VERSION = re.compile(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[-+].*)?")


@analyzer("CustomResourceDefinition", codes="IST0176")
def gateway_api_versions(_db: Database, resource: Resource[Any]) -> Findings:
    minimum = _MINIMUM.get(resource.key.name)
    installed = _VERSION.fullmatch(resource.annotations.get(_BUNDLE, ""))
    if minimum is None or installed is None:
        return
    if tuple(map(int, installed.groups())) < minimum:
        needed = ".".join(map(str, minimum))
        message = f"it is of Gateway API {installed.string}; objects of this kind are read from {needed} on"
        yield Finding(
            "IST0176", ("metadata", "annotations", _BUNDLE), message, f"install Gateway API {needed} or newer"
        )
