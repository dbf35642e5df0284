"""Rules of a VirtualService that no request can reach, and matches that change nothing.

Only what is certain without knowing the requests is told: rules after one that matches everything, matches that are there
twice, and prefixes under a prefix that was matched before.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path
from mizzen.config.types.networking import HTTPMatchRequest, HTTPRoute, StringMatch, TCPRoute, TLSRoute
from mizzen.config.validation.rules import Findings

MAX_PREFIXES: Final = 128
"""Compared with one another; more of them would take quadratic time."""


def http(routes: Sequence[HTTPRoute], path: Path) -> Findings:
    yield from _repeated(routes, path)
    yield from _shadowed(routes, path)


def layer4(routes: Sequence[TCPRoute] | Sequence[TLSRoute], path: Path) -> Findings:
    yield from _repeated(routes, path)


def _repeated(routes: Sequence[HTTPRoute | TCPRoute | TLSRoute], path: Path) -> Findings:
    if len(routes) == 1 and len(routes[0].match) < 2:
        return
    first_rule: dict[object, tuple[int, int]] = {}
    takes_all: int | None = None
    for index, route in enumerate(routes):
        if not route.match:
            if takes_all is not None:
                yield _unreachable((*path, index), f"rule {takes_all} has no match either, so it takes all")
            takes_all = index
            continue
        repeated = 0
        for position, match in enumerate(route.match):
            named = isinstance(match, HTTPMatchRequest) and match.name
            meant = replace(match, name="") if named else match
            if (first := first_rule.setdefault(meant, (index, position))) != (index, position):
                repeated += 1
                message = f"the same match stands in rule {first[0]} before, so this one changes nothing"
                yield _ineffective((*path, index, "match", position), message)
        if repeated == len(route.match):
            yield _unreachable((*path, index), "all its matches stand in rules before it")


def _shadowed(routes: Sequence[HTTPRoute], path: Path) -> Findings:
    """Prefixes that begin with a prefix of a match before, where the rest of the match asks for no less."""
    before: list[tuple[str, int, HTTPMatchRequest]] = []
    for index, route in enumerate(routes):
        for position, match in enumerate(route.match):
            prefix = match.uri.prefix if match.uri else None
            if not prefix:
                continue
            for shorter, rule, other in before:
                if prefix != shorter and prefix.startswith(shorter) and _is_wider(other, match):
                    message = f'rule {rule} takes the prefix "{shorter}" before, and "{prefix}" with it'
                    yield _ineffective((*path, index, "match", position), message)
                    break
            if len(before) < MAX_PREFIXES:
                before.append((prefix, index, match))


def _is_wider(one: HTTPMatchRequest, other: HTTPMatchRequest) -> bool:
    """Whether whatever `other` takes is taken by `one` as far as it is not the path that decides."""
    if one.port not in (0, other.port) or (one.ignore_uri_case, one.source_namespace) != (
        other.ignore_uri_case,
        other.source_namespace,
    ):
        return False
    if one.gateways != other.gateways or one.source_labels != other.source_labels:
        return False
    singles = ((one.scheme, other.scheme), (one.method, other.method), (one.authority, other.authority))
    maps = (
        (one.headers, other.headers),
        (one.query_params, other.query_params),
        (one.without_headers, other.without_headers),
    )
    return all(mine is None or mine == its for mine, its in singles) and all(
        _asks_no_more(mine, its) for mine, its in maps
    )


def _asks_no_more(one: Mapping[str, StringMatch], other: Mapping[str, StringMatch]) -> bool:
    return all(other.get(name) == match for name, match in one.items())


def _unreachable(path: Path, reason: str) -> Finding:
    return Finding("IST0130", path, f"no request reaches this rule: {reason}", "move it up, or remove it")


def _ineffective(path: Path, message: str) -> Finding:
    return Finding("IST0131", path, message, "move it up, or remove it", at_value=True)
