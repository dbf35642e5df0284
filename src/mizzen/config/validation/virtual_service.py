"""VirtualService: HTTP routes are in http_route.py, rules on what no request can reach in unreachable.py."""

from mizzen.config.resource import Path, Resource
from mizzen.config.types.networking import (
    L4MatchAttributes,
    RouteDestination,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
    VirtualService,
)
from mizzen.config.validation import headers, hosts, http_route, ports, references, rules, unreachable
from mizzen.config.validation.rules import Findings, invalid, questionable

MESH = "mesh"
"""The "gateway" that stands for all sidecars."""


def validate(resource: Resource[VirtualService]) -> Findings:
    spec = resource.spec
    behind_gateways = bool(spec.gateways) and MESH not in spec.gateways
    yield from _hosts(spec, behind_gateways=behind_gateways)
    for index, gateway in enumerate(spec.gateways):
        yield from references.gateway_name(gateway, ("spec", "gateways", index))
    yield from references.export_to(spec.export_to, ("spec", "exportTo"), own=resource.key.namespace)
    if not (spec.http or spec.tls or spec.tcp):
        yield invalid(("spec",), "there is no route", "add http, tls or tcp")
    for index, route in enumerate(spec.http):
        yield from http_route.validate(route, ("spec", "http", index), delegated=not spec.hosts)
    for index, tls in enumerate(spec.tls):
        yield from _tls_route(tls, spec.hosts, ("spec", "tls", index), behind_gateways=behind_gateways)
    for index, tcp in enumerate(spec.tcp):
        yield from _tcp_route(tcp, ("spec", "tcp", index))
    if not behind_gateways:
        yield from _claims(spec)
    yield from unreachable.http(spec.http, ("spec", "http"))
    yield from unreachable.layer4(spec.tls, ("spec", "tls"))
    yield from unreachable.layer4(spec.tcp, ("spec", "tcp"))


def _hosts(spec: VirtualService, *, behind_gateways: bool) -> Findings:
    if not spec.hosts:
        yield from _delegate(spec)
    matches_sni = any(match.sni_hosts for route in spec.tls for match in route.match)
    for index, host in enumerate(spec.hosts):
        path = ("spec", "hosts", index)
        if hosts.is_address(host):
            continue
        if behind_gateways:
            yield from hosts.gateway_bound_host(host, path, sni=matches_sni)
        elif host == "*":
            message = 'the host "*" cannot be used in sidecars (gateway "mesh")'
            yield invalid(path, message, "name hosts, or a gateway")
        else:
            yield from hosts.wildcard_host(host, path)
    yield from _overlaps(spec.hosts)


_MAX_HOSTS = 256  # compared with one another: more would take quadratic time


def _overlaps(names: tuple[str, ...]) -> Findings:
    yield from rules.unique((name.lower() for name in names), ("spec", "hosts"), "the host")
    if len(names) > _MAX_HOSTS:
        return
    for index, name in enumerate(names):
        for other in names[:index]:
            if name.lower() != other.lower() and hosts.overlap(name, other):
                yield invalid(
                    ("spec", "hosts", index), f'"{name}" overlaps with "{other}"', "keep one of them"
                )
                break


def _delegate(spec: VirtualService) -> Findings:
    """Without hosts it is one to which others delegate."""
    for name in ("gateways", "tls", "tcp"):
        if getattr(spec, name):
            message = f"without hosts others can only delegate HTTP routes to it, so {name} has no meaning"
            yield invalid(("spec", name), message, f"add hosts, or remove {name}")


def _claims(spec: VirtualService) -> Findings:
    for index, route in enumerate(spec.http):
        for position, match in enumerate(route.match):
            for field, names in (("headers", match.headers), ("withoutHeaders", match.without_headers)):
                for name in names:
                    if headers.is_claim(name):
                        path = ("spec", "http", index, "match", position, field, name)
                        message = f"{name}: only gateways can route by claims of a JWT"
                        yield invalid(path, message, "name a gateway in spec.gateways, and not mesh")


def _tls_route(route: TLSRoute, names: tuple[str, ...], path: Path, *, behind_gateways: bool) -> Findings:
    if not route.match:
        yield invalid(path, "there is no match", "add match with sniHosts")
    for index, match in enumerate(route.match):
        here = (*path, "match", index)
        yield from _match(match, here)
        if not match.sni_hosts:
            yield invalid(here, "there are no sniHosts", "add sniHosts")
        for position, sni in enumerate(match.sni_hosts):
            place = (*here, "sniHosts", position)
            yield from _sni_host(sni, names, place, behind_gateways=behind_gateways)
    yield from _destinations(route.route, path)


def _sni_host(sni: str, names: tuple[str, ...], path: Path, *, behind_gateways: bool) -> Findings:
    if hosts.is_address(sni):
        yield questionable(
            path, f'"{sni}" is an address, and hardly any client sends one in SNI', "name a host"
        )
        return
    malformed = list(
        hosts.gateway_bound_host(sni, path, sni=True) if behind_gateways else hosts.wildcard_host(sni, path)
    )
    yield from malformed
    if not malformed and not any(hosts.covers(name, sni) for name in names):
        yield invalid(path, f'"{sni}" is not among the hosts of the VirtualService', "add it to spec.hosts")


def _tcp_route(route: TCPRoute, path: Path) -> Findings:
    for index, match in enumerate(route.match):
        yield from _match(match, (*path, "match", index))
    yield from _destinations(route.route, path)


def _match(match: L4MatchAttributes | TLSMatchAttributes, path: Path) -> Findings:
    yield from hosts.subnets(match.destination_subnets, (*path, "destinationSubnets"))
    if match.port:
        yield from ports.port(match.port, (*path, "port"))
    yield from references.labels(match.source_labels, (*path, "sourceLabels"))
    for index, gateway in enumerate(match.gateways):
        yield from references.gateway_name(gateway, (*path, "gateways", index))


def _destinations(routes: tuple[RouteDestination, ...], path: Path) -> Findings:
    if not routes:
        yield invalid(path, "there is no destination", "add route")
    for index, route in enumerate(routes):
        yield from references.destination(route.destination, (*path, "route", index, "destination"))
    yield from rules.weights(routes, (*path, "route"))
