"""A DestinationRule's traffic policy for one port of one subset: the rule's, overlaid by the subset's and the port's.

Source: Istio: a port-level setting replaces the whole of each section it names; a subset's policy overrides the rule's
section by section.
"""

from dataclasses import dataclass
from typing import Any

from mizzen.config.resource import ResourceKey
from mizzen.config.types.networking import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    LoadBalancerSettings,
    OutlierDetection,
    TrafficPolicy,
)
from mizzen.derive.destination_rules import RuleKeys, subsets, traffic_policy
from mizzen.incremental import Database, query
from mizzen.translate.built import Origin


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None


@query
def effective_policy(db: Database, rules: RuleKeys, subset: str, port: int) -> EffectivePolicy:
    """The sections in force, each from the most specific place that has it."""
    layers: list[TrafficPolicy] = []
    for _, _, declared in subsets(db, rules):
        if declared.name == subset and declared.traffic_policy is not None:
            layers.append(declared.traffic_policy)
    general = traffic_policy(db, rules)
    if general is not None:
        layers.append(general[1])
    return EffectivePolicy(
        load_balancer=_section(layers, port, "load_balancer"),
        connection_pool=_section(layers, port, "connection_pool"),
        outlier_detection=_section(layers, port, "outlier_detection"),
        tls=_section(layers, port, "tls"),
    )


def _section(layers: list[TrafficPolicy], port: int, name: str) -> Any:
    for policy in layers:
        for settings in policy.port_level_settings:
            if (
                settings.port is not None
                and settings.port.number == port
                and getattr(settings, name) is not None
            ):
                return getattr(settings, name)
        if getattr(policy, name) is not None:
            return getattr(policy, name)
    return None


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
