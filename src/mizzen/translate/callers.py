"""By what of its callers a cluster differs: what nobody tells apart is shared by the whole mesh, byte for byte."""

from dataclasses import dataclass

from mizzen.frozen import EMPTY, FrozenMap
from mizzen.model.proxy import ProxyKind, ProxyView

REGION = "topology.kubernetes.io/region"
ZONE = "topology.kubernetes.io/zone"
SUB_ZONE = "topology.istio.io/subzone"
NETWORK = "topology.istio.io/network"
HOST = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class Caller:
    """What may make a difference of a proxy, besides its scope: whether it is a gateway, whether it knows which address
    was called (`captures`), and where it stands.
    """

    edge: bool = False
    captures: bool = True
    locality: str = ""  # region/zone/sub-zone
    labels: FrozenMap[str, str] = EMPTY


ANYONE = Caller()


@dataclass(frozen=True, slots=True)
class Distinction:
    """What does make a difference: to one cluster, or, added up, to many."""

    edge: bool = False
    captures: bool = False
    locality: bool = False
    labels: frozenset[str] = frozenset()

    def __or__(self, other: "Distinction") -> "Distinction":
        return Distinction(
            edge=self.edge or other.edge,
            captures=self.captures or other.captures,
            locality=self.locality or other.locality,
            labels=self.labels | other.labels,
        )

    def of(self, caller: Caller) -> Caller:
        """What is left of a caller where only this makes a difference."""
        named = {name: caller.labels[name] for name in sorted(self.labels) if name in caller.labels}
        return Caller(
            edge=caller.edge and self.edge,
            captures=caller.captures or not self.captures,
            locality=caller.locality if self.locality else "",
            labels=FrozenMap(named),
        )


NONE = Distinction()


def caller(view: ProxyView) -> Caller:
    """The proxies of a view as callers. Where they stand is among their labels, too (Istio's topology labels)."""
    labels = FrozenMap({**topology(view.locality, view.network, view.node), **view.labels})
    edge = view.kind is ProxyKind.GATEWAY
    return Caller(edge, not edge and view.binding is None, view.locality, labels)


def topology(locality: str, network: str, node: str) -> dict[str, str]:
    """The labels that say where something stands."""
    region, zone, sub_zone = split(locality)
    found = {REGION: region, ZONE: zone, SUB_ZONE: sub_zone, NETWORK: network, HOST: node}
    return {name: value for name, value in found.items() if value}


def split(locality: str) -> tuple[str, str, str]:
    """Region, zone and sub-zone of a locality; "" for what it does not name."""
    region, _, rest = locality.partition("/")
    zone, _, sub_zone = rest.partition("/")
    return region, zone, sub_zone
