"""Does every rule, and every match, of a VirtualService ever take effect? The first that matches decides."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.networking import (
    HTTPMatchRequest,
    HTTPRoute,
    L4MatchAttributes,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
    VirtualService,
)
from mizzen.incremental import Database

Match = HTTPMatchRequest | L4MatchAttributes | TLSMatchAttributes
Rule = HTTPRoute | TCPRoute | TLSRoute


@analyzer("VirtualService", codes="IST0130 IST0131")
def virtual_service_rules(_db: Database, resource: Resource[VirtualService]) -> Findings:
    spec = resource.spec
    rules: tuple[tuple[str, Sequence[Rule]], ...] = (
        ("http", spec.http),
        ("tls", spec.tls),
        ("tcp", spec.tcp),
    )
    for protocol, of_protocol in rules:
        yield from _unused(protocol, of_protocol)


@dataclass(slots=True)
class _Seen:
    """What earlier matches take: match -> the rule that has it first, and the prefixes, by all but the URI."""

    exact: dict[Match, int]
    prefixes: dict[HTTPMatchRequest, list[tuple[str, int]]]

    def covering(self, match: Match) -> int | None:
        """The rule with an earlier match that takes everything that this prefix would take."""
        for rest, prefix in _as_prefix(match):
            for candidate in (rest, replace(rest, method=None)):
                for earlier, rule in self.prefixes.get(candidate, ()):
                    if prefix.startswith(earlier):
                        return rule
        return None

    def add(self, match: Match, rule: int) -> None:
        self.exact.setdefault(match, rule)
        for rest, prefix in _as_prefix(match):
            self.prefixes.setdefault(rest, []).append((prefix, rule))


def _as_prefix(match: Match) -> Iterator[tuple[HTTPMatchRequest, str]]:
    """The match without its URI, and the URI's prefix, if it is one."""
    if isinstance(match, HTTPMatchRequest) and match.uri is not None and match.uri.prefix is not None:
        yield replace(match, uri=None), match.uri.prefix


def _unused(protocol: str, rules: Sequence[Rule]) -> Findings:
    seen = _Seen({}, {})
    takes_all: int | None = None
    for number, rule in enumerate(rules):
        path = ("spec", protocol, number)
        if not rule.match:
            if takes_all is not None:
                message = f"{_called(rules, takes_all)} takes everything already; this rule is never reached"
                yield Finding("IST0130", path, message, "remove one of them, or give the earlier one a match")
            else:
                takes_all = number
            continue
        repeated = 0
        for index, written in enumerate(rule.match):
            match = _nameless(written)
            earlier = seen.exact.get(match)
            repeated += earlier is not None
            taken = earlier if earlier is not None else seen.covering(match)
            if taken is not None:
                message = f"{_called(rules, taken)} takes everything that this match would"
                yield Finding("IST0131", (*path, "match", index), message, "remove it, or move its rule up")
            seen.add(match, number)
        if repeated == len(rule.match):
            message = "earlier rules have all of its matches; this rule is never reached"
            yield Finding("IST0130", path, message, "remove it, or change its matches")


def _nameless(match: Match) -> Match:
    return replace(match, name="") if isinstance(match, HTTPMatchRequest) else match


def _called(rules: Sequence[Rule], number: int) -> str:
    rule = rules[number]
    name = rule.name if isinstance(rule, HTTPRoute) else ""
    return f'rule {number + 1} ("{name}")' if name else f"rule {number + 1}"
