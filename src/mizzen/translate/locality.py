"""Locality load balancing: which endpoints a proxy prefers, by where it stands and where they stand.

Source: Istio's `localityLbSetting` of DestinationRule and MeshConfig, `zoneAwareLbSetting`, and a service's traffic
distribution. Weights (`distribute`) always hold. Failing over needs outlier detection, or Envoy would never leave the nearest
endpoints; it is on wherever there is outlier detection, unless somebody turns it off.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import ceil

from mizzen.config.types.networking import (
    LocalityDistribute,
    LocalityFailover,
    LocalityLoadBalancerSetting,
    ZoneAwareLoadBalancerSetting,
)
from mizzen.derive.destination_rules import RuleKeys
from mizzen.derive.mesh import mesh_config
from mizzen.derive.services import service
from mizzen.incremental import Database, query
from mizzen.model.service import ServiceRef, TrafficDistribution
from mizzen.model.workload import Endpoint
from mizzen.proto.api import Cluster
from mizzen.translate.callers import (
    HOST,
    NETWORK,
    NONE,
    REGION,
    SUB_ZONE,
    ZONE,
    Caller,
    Distinction,
    split,
    topology,
)
from mizzen.translate.traffic_policy import effective_policy

_DISTRIBUTIONS = {
    TrafficDistribution.PREFER_CLOSE: (NETWORK, REGION, ZONE, SUB_ZONE),
    TrafficDistribution.PREFER_SAME_ZONE: (NETWORK, REGION, ZONE),
    TrafficDistribution.PREFER_SAME_NODE: (NETWORK, REGION, ZONE, SUB_ZONE, HOST),
}
"""What endpoints must have in common with their caller to be preferred, the most important first."""

# Envoy's default (and the API's) number of endpoints below which it does not look at zones.
_MIN_CLUSTER_SIZE = 6


@dataclass(frozen=True, slots=True)
class LocalityBalancing:
    """The setting in force for a cluster.

    `distribute` stands alone. Else endpoints have priorities: by `labels`, then, where `by_region` or `by_place`, by how
    near they are. `zones` is the least number of endpoints for which Envoy itself balances between zones; None: it does not.
    """

    distribute: tuple[LocalityDistribute, ...] = ()
    labels: tuple[str, ...] = ()
    failover: tuple[LocalityFailover, ...] = ()
    by_place: bool = False
    by_region: bool = False
    zones: int | None = None

    @property
    def distinction(self) -> Distinction:
        """What of a caller changes its endpoints."""
        names = frozenset(label.partition("=")[0] for label in self.labels if "=" not in label)
        return Distinction(
            locality=bool(self.distribute) or self.by_place or self.by_region,
            labels=names,
        )


@query
def locality_balancing(
    db: Database, ref: ServiceRef, port: int, subset: str, rules: RuleKeys
) -> LocalityBalancing | None:
    """The setting in force: the DestinationRule's, else what the service itself prefers, else the mesh's."""
    policy = effective_policy(db, rules, subset, port)
    ejects = policy.outlier_detection is not None
    own = policy.load_balancer
    if own is not None and own.zone_aware_lb_setting is not None:
        return _zones(own.zone_aware_lb_setting, ejects=ejects)
    if own is not None and own.locality_lb_setting is not None:
        return _localities(own.locality_lb_setting, ejects=ejects)
    found = service(db, ref)
    if found is not None and found.traffic_distribution in _DISTRIBUTIONS:
        return LocalityBalancing(labels=_DISTRIBUTIONS[found.traffic_distribution])
    mesh = mesh_config(db)
    if mesh.zone_aware_lb_setting is not None:
        return _zones(mesh.zone_aware_lb_setting, ejects=ejects)
    return _localities(mesh.locality_lb_setting or LocalityLoadBalancerSetting(), ejects=ejects)


def _localities(setting: LocalityLoadBalancerSetting, *, ejects: bool) -> LocalityBalancing | None:
    if setting.enabled is False:
        return None
    if setting.distribute:
        return LocalityBalancing(distribute=setting.distribute)
    if not ejects:
        return None
    labels, failover = setting.failover_priority, setting.failover
    return LocalityBalancing(labels=labels, failover=failover, by_place=bool(failover) or not labels)


def _zones(setting: ZoneAwareLoadBalancerSetting, *, ejects: bool) -> LocalityBalancing | None:
    """Endpoints of other regions are for when those of the own are gone; within the region Envoy finds the share of
    each zone.
    """
    if setting.enabled is False:
        return None
    labels = setting.failover_priority if ejects else ()
    failover = setting.failover if ejects else ()
    zones = setting.min_cluster_size or _MIN_CLUSTER_SIZE
    return LocalityBalancing(labels=labels, failover=failover, by_region=True, zones=zones)


def distinction(balancing: LocalityBalancing | None) -> Distinction:
    """What of a caller changes the endpoints of a cluster."""
    return NONE if balancing is None else balancing.distinction


def apply_locality_balancing(cluster: Cluster, balancing: LocalityBalancing | None) -> None:
    """Envoy heeds weights of localities only where it is told to: otherwise they would distort least request."""
    if balancing is None:
        return
    if balancing.zones is not None:
        cluster.common_lb_config.zone_aware_lb_config.min_cluster_size.value = balancing.zones
    elif balancing.distribute or balancing.labels or balancing.failover:
        cluster.common_lb_config.locality_weighted_lb_config.SetInParent()


# --- endpoints --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """Endpoints of one locality and priority (0 is the first choice). `weight` is their share together."""

    locality: str
    members: tuple[Endpoint, ...]
    weight: int
    priority: int = 0
    place: tuple[str, str, str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", split(self.locality))


def grouped(
    endpoints: Iterable[Endpoint], balancing: LocalityBalancing | None, caller: Caller
) -> list[Group]:
    """Endpoints by locality, as a caller is to use them."""
    localities: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        localities.setdefault(endpoint.locality, []).append(endpoint)
    groups = [_group(locality, members) for locality, members in sorted(localities.items())]
    if balancing is None:
        return groups
    if balancing.distribute:
        return _distributed(groups, balancing.distribute, caller.locality)
    if balancing.labels:
        groups = [part for group in groups for part in _by_labels(group, balancing.labels, caller)]
    if balancing.by_place or balancing.by_region:
        near = _region_distance if balancing.by_region else _distance
        groups = _by_place(groups, balancing.failover, split(caller.locality), near)
    return _without_gaps(groups)


def _group(locality: str, members: Iterable[Endpoint], priority: int = 0) -> Group:
    held = tuple(members)
    return Group(locality, held, sum(endpoint.weight for endpoint in held), priority)


def _distributed(groups: list[Group], shares: tuple[LocalityDistribute, ...], locality: str) -> list[Group]:
    """The weights of the first entry that means the caller's locality. What it does not name gets nothing."""
    entry = next((one for one in shares if _means(one.from_, split(locality))), None)
    if entry is None:
        return groups
    left = dict(enumerate(groups))
    made: dict[int, Group] = {}
    # What names more of a locality comes first, so that a wildcard is for the rest.
    for target, share in sorted(entry.to.items(), key=lambda item: (-_specificity(item[0]), item[0])):
        named = {index: group for index, group in left.items() if _means(target, group.place)}
        total = sum(group.weight for group in named.values())
        for index, group in named.items():
            del left[index]
            if share:
                made[index] = replace(group, weight=ceil(group.weight * share / total))
    return [made[index] for index in sorted(made)]


def _means(pattern: str, place: tuple[str, str, str]) -> bool:
    region, zone, sub_zone = split(pattern)
    return region in {"*", place[0]} and zone in {"*", "", place[1]} and sub_zone in {"*", "", place[2]}


def _specificity(pattern: str) -> int:
    return sum(part not in {"", "*"} for part in split(pattern))


def _by_labels(group: Group, labels: tuple[str, ...], caller: Caller) -> list[Group]:
    """The more of the labels, in their order, an endpoint has in common with the caller, the better. "name=value" asks
    for a value, whatever the caller's is.
    """
    wanted = [
        (name, value if given else caller.labels.get(name, "")) for name, given, value in _parts(labels)
    ]
    parts: dict[int, list[Endpoint]] = {}
    for endpoint in group.members:
        held = {**topology(endpoint.locality, endpoint.network, endpoint.node), **endpoint.labels}
        differs = next((at for at, (name, value) in enumerate(wanted) if held.get(name, "") != value), None)
        parts.setdefault(0 if differs is None else len(wanted) - differs, []).append(endpoint)
    return [_group(group.locality, members, priority) for priority, members in sorted(parts.items())]


def _parts(labels: tuple[str, ...]) -> list[tuple[str, str, str]]:
    return [label.partition("=") for label in labels]


_FARTHEST = 4  # a region beyond the one to fail over to


def _distance(own: tuple[str, str, str], other: tuple[str, str, str]) -> int:
    """0 in the same sub-zone, 1 in the zone, 2 in the region, 3 elsewhere."""
    if own[0] != other[0]:
        return 3
    if own[1] != other[1]:
        return 2
    return int(own[2] != other[2])


def _region_distance(own: tuple[str, str, str], other: tuple[str, str, str]) -> int:
    return 0 if own[0] == other[0] else 3


def _by_place(
    groups: list[Group],
    failover: tuple[LocalityFailover, ...],
    own: tuple[str, str, str],
    near: Callable[[tuple[str, str, str], tuple[str, str, str]], int],
) -> list[Group]:
    """The nearer the better; of other regions the one that `failover` names for the caller's first. Within what the labels
    have said already.
    """
    target = next((entry.to for entry in failover if entry.from_ == own[0]), None)
    made = []
    for group in groups:
        distance = near(own, group.place)
        if own[0] != group.place[0] and target is not None and group.place[0] != target:
            distance = _FARTHEST
        made.append(replace(group, priority=group.priority * (_FARTHEST + 1) + distance))
    return made


def _without_gaps(groups: list[Group]) -> list[Group]:
    """Envoy wants priorities from 0 on without gaps."""
    rank = {priority: index for index, priority in enumerate(sorted({group.priority for group in groups}))}
    return [replace(group, priority=rank[group.priority]) for group in groups]
