"""Which workloads a policy is for: those that its selector covers, or the gateways that its targetRefs name.

Source: Istio's rules for RequestAuthentication, AuthorizationPolicy, Telemetry and WasmPlugin. With targetRefs a policy holds
for what they name and for nothing else. A Kubernetes Gateway is named by the label of the proxies that run it; what only a
waypoint can be (a Service, a ServiceEntry, a GatewayClass) names no proxy here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from mizzen.config.types.targets import PolicyTargetReference, WorkloadSelector
from mizzen.derive.workloads import covers
from mizzen.frozen import EMPTY, FrozenMap

GATEWAY_NAME_LABEL = "gateway.networking.k8s.io/gateway-name"
_GATEWAY = ("gateway.networking.k8s.io", "Gateway")


class Attachable(Protocol):
    """A policy that says itself whom it is for."""

    @property
    def selector(self) -> WorkloadSelector | None: ...
    @property
    def target_ref(self) -> PolicyTargetReference | None: ...
    @property
    def target_refs(self) -> tuple[PolicyTargetReference, ...]: ...


@dataclass(frozen=True, slots=True)
class Attachment:
    """Whom a policy is for, among the workloads of the namespace in which it counts."""

    selector: FrozenMap[str, str] = EMPTY
    gateways: tuple[str, ...] | None = None  # None: the policy has no targetRefs, the selector decides

    @classmethod
    def of(cls, policy: Attachable) -> Self:
        targets = policy.target_refs or ((policy.target_ref,) if policy.target_ref else ())
        if targets:
            return cls(gateways=tuple(one.name for one in targets if (one.group, one.kind) == _GATEWAY))
        return cls(policy.selector.match_labels if policy.selector else EMPTY)

    def holds_for(self, labels: Mapping[str, str]) -> bool:
        """Whether a workload with these labels is meant."""
        if self.gateways is not None:
            return labels.get(GATEWAY_NAME_LABEL) in self.gateways
        return covers(self.selector, labels)
