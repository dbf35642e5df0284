"""Localities, and load balancing by them."""

from collections.abc import Iterable
from typing import Final

from mizzen.config.resource import Path
from mizzen.config.types.networking import (
    LocalityDistribute,
    LocalityFailover,
    LocalityLoadBalancerSetting,
    ZoneAwareLoadBalancerSetting,
)
from mizzen.config.validation.rules import Findings, at_least, invalid, questionable

_REGION: Final = "topology.kubernetes.io/region"
_WITHIN_A_REGION: Final = ("topology.kubernetes.io/zone", "topology.istio.io/subzone")


def locality_lb(setting: LocalityLoadBalancerSetting, path: Path, *, outlier_detection: bool) -> Findings:
    """`outlier_detection`: whether it is configured beside; without it nothing ever fails over."""
    if setting.distribute and setting.failover:
        yield invalid(path, "only one of distribute, failover can be set", "keep one of them")
    for index, share in enumerate(setting.distribute):
        yield from _distribute(share, (*path, "distribute", index))
    yield from localities((share.from_ for share in setting.distribute), (*path, "distribute"))
    yield from _failover(setting.failover, (*path, "failover"))
    for label in setting.failover_priority if setting.failover else ():
        if label in (_REGION, *_WITHIN_A_REGION):
            yield invalid(
                (*path, "failoverPriority"),
                f'failover and the label "{label}" say the same',
                "keep one of them",
            )
    yield from _needs_outlier_detection(setting, path, outlier_detection=outlier_detection)


def zone_aware_lb(setting: ZoneAwareLoadBalancerSetting, path: Path, *, outlier_detection: bool) -> Findings:
    """Envoy spreads over zones by itself, so only regions are left to fail over to."""
    yield from _failover(setting.failover, (*path, "failover"))
    for label in setting.failover_priority:
        if label in _WITHIN_A_REGION:
            message = f'"{label}" is what zone-aware load balancing looks at by itself'
            yield invalid((*path, "failoverPriority"), message, "remove it")
        if label == _REGION and setting.failover:
            yield invalid(
                (*path, "failoverPriority"),
                f'failover and the label "{label}" say the same',
                "keep one of them",
            )
    yield from at_least(1, setting.min_cluster_size, (*path, "minClusterSize"))
    yield from _needs_outlier_detection(setting, path, outlier_detection=outlier_detection)


def _needs_outlier_detection(
    setting: LocalityLoadBalancerSetting | ZoneAwareLoadBalancerSetting,
    path: Path,
    *,
    outlier_detection: bool,
) -> Findings:
    if (setting.failover or setting.failover_priority) and not outlier_detection:
        yield questionable(
            path, "without outlierDetection no endpoint ever counts as failed", "add outlierDetection"
        )


def _distribute(share: LocalityDistribute, path: Path) -> Findings:
    for locality, weight in share.to.items():
        if not 1 <= weight <= 100:
            yield invalid((*path, "to", locality), f"the weight {weight} is not between 1 and 100")
    if (total := sum(share.to.values())) != 100:
        yield invalid((*path, "to"), f"the weights sum to {total}", "they must sum to 100")
    yield from localities(share.to, (*path, "to"))


def _failover(failovers: Iterable[LocalityFailover], path: Path) -> Findings:
    for index, failover in enumerate(failovers):
        if failover.from_ == failover.to:
            yield invalid(
                (*path, index), f'"{failover.to}" cannot fail over to itself', "name another region"
            )
        for field, region in (("from", failover.from_), ("to", failover.to)):
            if "/" in region or "*" in region:
                yield invalid(
                    (*path, index, field), f'"{region}" is no region', "write a region's name alone"
                )


def localities(texts: Iterable[str], path: Path) -> Findings:
    """Written as "region/zone/subzone", with "*" for what is left open at the end. None may be part of another."""
    seen: set[tuple[str, ...]] = set()
    around: set[tuple[str, ...]] = set()  # what the seen ones are parts of
    for text in texts:
        parts = tuple(text.split("/", 2))
        if not all(parts) or "*" in text[:-1]:
            hint = 'write it as "region/zone/subzone"; a "*" only as its last part'
            yield invalid(path, f'"{text}" is no locality', hint)
            continue
        known = parts[:-1] if parts[-1] == "*" else parts
        within = {known[:length] for length in range(len(known) + 1)}
        if known in around or within & seen:
            yield invalid(path, f'"{text}" overlaps with one before it', "name each locality once")
        seen.add(known)
        around |= within
