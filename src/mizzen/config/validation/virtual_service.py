"""VirtualService: HTTP routes are in http_route.py."""

from mizzen.config.resource import Path
from mizzen.config.types.networking import (
    L4MatchAttributes,
    RouteDestination,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
    VirtualService,
)
from mizzen.config.validation import http_route, rules
from mizzen.config.validation.rules import Findings, invalid, questionable


def validate(spec: VirtualService) -> Findings:
    yield from _hosts(spec)
    for index, gateway in enumerate(spec.gateways):
        yield from rules.gateway_name(gateway, ("spec", "gateways", index))
    yield from rules.export_to(spec.export_to, ("spec", "exportTo"))
    if not (spec.http or spec.tls or spec.tcp):
        yield invalid(("spec",), "there is no route", "add http, tls or tcp")
    for index, route in enumerate(spec.http):
        yield from http_route.validate(route, ("spec", "http", index))
    for index, tls in enumerate(spec.tls):
        yield from _tls_route(tls, spec.hosts, ("spec", "tls", index))
    for index, tcp in enumerate(spec.tcp):
        yield from _tcp_route(tcp, ("spec", "tcp", index))


def _hosts(spec: VirtualService) -> Findings:
    if not spec.hosts and spec.gateways:
        yield invalid(
            ("spec", "hosts"), "there are no hosts", "add hosts; without them it can only be delegated to"
        )
    elif not spec.hosts:
        message = "there are no hosts, so it acts only if another VirtualService delegates to it"
        yield questionable(("spec",), message, "add hosts: Mizzen does not delegate yet")
    on_mesh = not spec.gateways or "mesh" in spec.gateways
    for index, host in enumerate(spec.hosts):
        path = ("spec", "hosts", index)
        yield from rules.wildcard_host(host, path)
        if host == "*" and on_mesh:
            yield invalid(
                path, 'the host "*" cannot be used in sidecars (gateway "mesh")', "name hosts, or a gateway"
            )
    yield from rules.unique((host.lower() for host in spec.hosts), ("spec", "hosts"), "the host")


def _tls_route(route: TLSRoute, hosts: tuple[str, ...], path: Path) -> Findings:
    if not route.match:
        yield invalid(path, "there is no match", "add match with sniHosts")
    for index, match in enumerate(route.match):
        here = (*path, "match", index)
        yield from _match(match, here)
        if not match.sni_hosts:
            yield invalid(here, "there are no sniHosts")
        for position, sni in enumerate(match.sni_hosts):
            place = (*here, "sniHosts", position)
            yield from rules.wildcard_host(sni, place)
            if not rules.is_address(sni) and not any(_covers(host, sni) for host in hosts):
                yield invalid(
                    place, f'"{sni}" is not among the hosts of the VirtualService', "add it to spec.hosts"
                )
    yield from _destinations(route.route, path)


def _covers(host: str, sni: str) -> bool:
    if host.startswith("*"):
        return sni.lower().endswith(host[1:].lower())
    return host.lower() == sni.lower()


def _tcp_route(route: TCPRoute, path: Path) -> Findings:
    for index, match in enumerate(route.match):
        yield from _match(match, (*path, "match", index))
    yield from _destinations(route.route, path)


def _match(match: L4MatchAttributes | TLSMatchAttributes, path: Path) -> Findings:
    yield from rules.subnets(match.destination_subnets, (*path, "destinationSubnets"))
    if match.port:
        yield from rules.port(match.port, (*path, "port"))
    yield from rules.labels(match.source_labels, (*path, "sourceLabels"))
    for index, gateway in enumerate(match.gateways):
        yield from rules.gateway_name(gateway, (*path, "gateways", index))


def _destinations(routes: tuple[RouteDestination, ...], path: Path) -> Findings:
    if not routes:
        yield invalid(path, "there is no destination", "add route")
    for index, route in enumerate(routes):
        yield from rules.destination(route.destination, (*path, "route", index, "destination"))
    yield from rules.weights(routes, (*path, "route"))
