"""A DestinationRule's traffic policy for one port of one subset: the rule's, overlaid by the subset's and the port's.

Source: Istio: settings of a port replace the whole policy above them, and what they leave out is the default; a subset's
policy overrides the rule's section by section; what no rule says of a connection pool or of outlier detection, MeshConfig's
defaultTrafficPolicy says, field by field.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from mizzen.config.resource import ResourceKey
from mizzen.config.types.message import Message
from mizzen.config.types.networking import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    LoadBalancerSettings,
    OutlierDetection,
    ProxyProtocol,
    RetryBudget,
    TrafficPolicy,
    TunnelSettings,
)
from mizzen.derive.destination_rules import RuleKeys, picks_callers, subsets, traffic_policy
from mizzen.derive.mesh import mesh_config
from mizzen.incremental import Database, query
from mizzen.translate.built import Origin

_Section = TypeVar("_Section", bound=Message)

_OF_PORTS = ("load_balancer", "connection_pool", "outlier_detection", "tls")
_OF_ALL_PORTS = ("proxy_protocol", "retry_budget")


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """The sections in force. `picks_callers`: by a rule with a workloadSelector, that is for named workloads only."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None
    picks_callers: bool = False


@query
def effective_policy(db: Database, rules: RuleKeys, subset: str, port: int) -> EffectivePolicy:
    """The sections in force, each from the most specific place that has it."""
    general = traffic_policy(db, rules)
    sections = _at_port(general[1], port)[0] if general is not None else {}
    own = _subset_policy(db, rules, subset)
    if own is not None:
        named, replaces = _at_port(own, port)
        if replaces:
            sections |= dict.fromkeys(_OF_PORTS)
        sections |= {name: value for name, value in named.items() if value is not None}
    default = mesh_config(db).default_traffic_policy
    if default is not None:
        for name in ("connection_pool", "outlier_detection"):
            sections[name] = overlaid(sections.get(name), getattr(default, name))
    return EffectivePolicy(**sections, picks_callers=picks_callers(db, rules))


def _at_port(policy: TrafficPolicy, port: int) -> tuple[dict[str, Any], bool]:
    """A policy's sections for a port, and whether settings of that port alone made them."""
    for settings in policy.port_level_settings:
        if settings.port is not None and settings.port.number == port:
            return {name: getattr(settings, name) for name in _OF_PORTS}, True
    return {name: getattr(policy, name) for name in (*_OF_PORTS, *_OF_ALL_PORTS)}, False


def _subset_policy(db: Database, rules: RuleKeys, subset: str) -> TrafficPolicy | None:
    found = (declared for _, _, declared in subsets(db, rules) if declared.name == subset)
    return next((declared.traffic_policy for declared in found), None)


def overlaid(own: _Section | None, base: _Section | None) -> _Section | None:
    """Settings over a baseline: a field that is not set is the baseline's, at any depth."""
    if own is None or base is None:
        return base if own is None else own
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(own):
        ours, theirs = getattr(own, field.name), getattr(base, field.name)
        if isinstance(ours, Message) and isinstance(theirs, Message):
            values[field.name] = overlaid(ours, theirs)
        elif ours == field.default:
            values[field.name] = theirs
    return msgspec.structs.replace(own, **values)


def tunnel(db: Database, rules: RuleKeys, subset: str) -> TunnelSettings | None:
    """The HTTP proxy through which TCP goes. Istio: a subset has its own or none; ports make no difference."""
    if subset:
        own = _subset_policy(db, rules, subset)
        return own.tunnel if own is not None else None
    general = traffic_policy(db, rules)
    return general[1].tunnel if general is not None else None


def policy_origins(db: Database, rules: RuleKeys, subset: str) -> tuple[Origin, ...]:
    """The rules and the subset that made a cluster what it is."""
    found: list[Origin] = []
    declared: tuple[ResourceKey, int] | None = next(
        ((key, index) for key, index, candidate in subsets(db, rules) if candidate.name == subset), None
    )
    if subset and declared:
        found.append(Origin("", declared[0], ("spec", "subsets", declared[1])))
    general = traffic_policy(db, rules)
    if general is not None:
        found.append(Origin("", general[0], ("spec", "trafficPolicy")))
    return tuple(found)
