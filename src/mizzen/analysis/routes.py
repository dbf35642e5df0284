"""Every place of a VirtualService that names a destination, with its path."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mizzen.config.resource import Path
from mizzen.config.types.networking import Destination, HTTPRouteDestination, RouteDestination, VirtualService


class Target(NamedTuple):
    path: Path  # of the destination
    destination: Destination
    mirror: bool = False


def targets(spec: VirtualService) -> Iterator[Target]:
    """Of HTTP, TLS and TCP routes, then mirrors."""
    yield from _weighted("http", [route.route for route in spec.http])
    yield from _weighted("tls", [route.route for route in spec.tls])
    yield from _weighted("tcp", [route.route for route in spec.tcp])
    for index, http in enumerate(spec.http):
        if http.mirror is not None:
            yield Target(("spec", "http", index, "mirror"), http.mirror, mirror=True)
        for number, mirror in enumerate(http.mirrors):
            path = ("spec", "http", index, "mirrors", number, "destination")
            yield Target(path, mirror.destination, mirror=True)


def _weighted(
    protocol: str, rules: Sequence[Sequence[HTTPRouteDestination | RouteDestination]]
) -> Iterator[Target]:
    for index, rule in enumerate(rules):
        for number, weighted in enumerate(rule):
            yield Target(("spec", protocol, index, "route", number, "destination"), weighted.destination)
