"""Every place of a VirtualService that names a destination, with its path."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mizzen.config.resource import Path
from mizzen.config.types.networking import Destination, HTTPRoute, TCPRoute, TLSRoute, VirtualService


class Target(NamedTuple):
    path: Path  # of the destination
    destination: Destination
    mirror: bool = False


def targets(spec: VirtualService) -> Iterator[Target]:
    """Of HTTP, TLS and TCP routes, then mirrors."""
    protocols: tuple[tuple[str, Sequence[HTTPRoute | TLSRoute | TCPRoute]], ...]
    protocols = (("http", spec.http), ("tls", spec.tls), ("tcp", spec.tcp))
    for protocol, routes in protocols:
        for index, route in enumerate(routes):
            for number, weighted in enumerate(route.route):
                path = ("spec", protocol, index, "route", number, "destination")
                yield Target(path, weighted.destination)
    for index, http in enumerate(spec.http):
        if http.mirror is not None:
            yield Target(("spec", "http", index, "mirror"), http.mirror, mirror=True)
        for number, mirror in enumerate(http.mirrors):
            path = ("spec", "http", index, "mirrors", number, "destination")
            yield Target(path, mirror.destination, mirror=True)
