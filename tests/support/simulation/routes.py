"""Which virtual host and which route take a request: Envoy's domain search and RouteMatch."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from mizzen.proto.api import HeaderMatcher, Route, RouteConfiguration, RouteMatch, StringMatcher, VirtualHost
from tests.support.simulation.call import Call


def virtual_host_for(config: RouteConfiguration, host: str) -> VirtualHost | None:
    """The virtual host with the best domain: equal, then the longest "*suffix", the longest "prefix*", then "*"."""
    sought = host.lower()
    if config.ignore_port_in_host_matching:
        sought = re.sub(r":\d+$", "", sought)
    ranked = [
        (rank, virtual_host)
        for virtual_host in config.virtual_hosts
        for domain in virtual_host.domains
        if (rank := _rank(domain.lower(), sought)) is not None
    ]
    return max(ranked, key=lambda found: found[0])[1] if ranked else None


def _rank(domain: str, host: str) -> tuple[int, int] | None:
    """How well a domain fits a host; None where it does not."""
    if domain == host:
        return 3, 0
    if domain == "*":
        return 0, 0
    if domain.startswith("*") and host.endswith(domain[1:]) and len(host) >= len(domain):
        return 2, len(domain)
    if domain.endswith("*") and host.startswith(domain[:-1]) and len(host) >= len(domain):
        return 1, len(domain)
    return None


def route_for(virtual_host: VirtualHost, call: Call) -> Route | None:
    """The first route that matches."""
    return next((route for route in virtual_host.routes if _matches(route.match, call)), None)


def _matches(match: RouteMatch, call: Call) -> bool:
    headers = {
        ":authority": call.host,
        ":path": call.path,
        ":method": call.method,
        ":scheme": "http" if call.is_plaintext else "https",
        **call.headers,
    }
    query = dict(parse_qsl(urlsplit(call.path).query, keep_blank_values=True))
    return (
        _path_matches(match, call.path.partition("?")[0])
        and all(_header_matches(one, headers) for one in match.headers)
        and all(
            one.name in query
            and (not one.HasField("string_match") or _text_matches(one.string_match, query[one.name]))
            for one in match.query_parameters
        )
    )


def _path_matches(match: RouteMatch, path: str) -> bool:
    folded = match.HasField("case_sensitive") and not match.case_sensitive.value
    given = path.lower() if folded else path
    match kind := match.WhichOneof("path_specifier"):
        case "prefix" | "path" | "path_separated_prefix":
            wanted = getattr(match, kind)
            wanted = wanted.lower() if folded else wanted
            if kind == "prefix":
                return given.startswith(wanted)
            return given == wanted or (kind == "path_separated_prefix" and given.startswith(wanted + "/"))
        case "safe_regex":
            return re.fullmatch(match.safe_regex.regex, path) is not None
    raise NotImplementedError(f"paths are matched by {kind}")


def _header_matches(matcher: HeaderMatcher, headers: Mapping[str, str]) -> bool:
    value = headers.get(matcher.name.lower())
    if value is None:
        if matcher.WhichOneof("header_match_specifier") == "present_match":
            return not matcher.present_match
        return matcher.treat_missing_header_as_empty and _value_matches(matcher, "") != matcher.invert_match
    return _value_matches(matcher, value) != matcher.invert_match


def _value_matches(matcher: HeaderMatcher, value: str) -> bool:
    match kind := matcher.WhichOneof("header_match_specifier"):
        case "present_match":
            return matcher.present_match
        case "string_match":
            return _text_matches(matcher.string_match, value)
    raise NotImplementedError(f"headers are matched by {kind}")


def _text_matches(matcher: StringMatcher, value: str) -> bool:
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return re.fullmatch(matcher.safe_regex.regex, value) is not None
    wanted = getattr(matcher, kind) if kind else ""
    if matcher.ignore_case:
        wanted, value = wanted.lower(), value.lower()
    match kind:
        case "exact":
            return value == wanted
        case "prefix":
            return value.startswith(wanted)
        case "suffix":
            return value.endswith(wanted)
        case "contains":
            return wanted in value
    raise NotImplementedError(f"text is matched by {kind}")
