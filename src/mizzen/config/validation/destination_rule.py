"""DestinationRule. Traffic policies are in traffic_policy.py."""

from mizzen.config.resource import Path, Resource
from mizzen.config.types.networking import DestinationRule, Subset
from mizzen.config.validation import hosts, references, rules
from mizzen.config.validation.rules import Findings, invalid
from mizzen.config.validation.traffic_policy import traffic_policy


def validate(resource: Resource[DestinationRule]) -> Findings:
    spec = resource.spec
    yield from hosts.wildcard_host(spec.host, ("spec", "host"))
    if spec.traffic_policy:
        yield from traffic_policy(spec.traffic_policy, ("spec", "trafficPolicy"))
    yield from rules.unique((subset.name for subset in spec.subsets), ("spec", "subsets"), "the subset")
    for index, subset in enumerate(spec.subsets):
        yield from _subset(subset, ("spec", "subsets", index))
    own, chosen = resource.key.namespace, spec.workload_selector
    yield from references.export_to(
        spec.export_to, ("spec", "exportTo"), own=own, own_only=chosen is not None
    )
    path = ("spec", "workloadSelector", "matchLabels")
    yield from references.selector(chosen.match_labels if chosen else None, path)


def _subset(subset: Subset, path: Path) -> Findings:
    if not hosts.is_label(subset.name):
        hint = "use letters, digits and '-'"
        yield invalid((*path, "name"), f'"{subset.name}" is no name of a subset', hint)
    yield from references.labels(subset.labels, (*path, "labels"))
    if subset.traffic_policy:
        yield from traffic_policy(subset.traffic_policy, (*path, "trafficPolicy"))
