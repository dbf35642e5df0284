"""Does a controller say of an object that something is wrong with it?"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.inputs import STATUSES
from mizzen.analysis.kubernetes import KUBERNETES_GATEWAY
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.status import Condition
from mizzen.incremental import Database

_GATEWAY_API = frozenset({"Accepted", "Programmed", "ResolvedRefs"})

# Kind -> the conditions that mean trouble when they are False.
_WATCHED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "Service": frozenset({"istio.io/WaypointBound"}),
        "ServiceEntry": frozenset({"istio.io/WaypointBound"}),
        "AuthorizationPolicy": frozenset({"ZtunnelAccepted", "WaypointAccepted"}),
        KUBERNETES_GATEWAY: _GATEWAY_API,
        "HTTPRoute": _GATEWAY_API,
        "GRPCRoute": _GATEWAY_API,
    }
)


@analyzer(*_WATCHED, codes="IST0171")
def conditions(db: Database, resource: Resource[Any]) -> Findings:
    status = STATUSES(db, resource.key)
    for condition in status.conditions if status else ():
        if condition.type in _WATCHED[resource.key.kind] and _bad(condition):
            message = f"{condition.type} is {condition.status} ({condition.reason}): {condition.message}"
            yield Finding("IST0171", condition.path, message)


def _bad(condition: Condition) -> bool:
    # Istio says "True, PartiallyInvalid" where it took only a part of a policy.
    return condition.status == "False" or (
        condition.type == "WaypointAccepted" and condition.reason == "PartiallyInvalid"
    )
