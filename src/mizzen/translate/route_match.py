"""VirtualService matches as Envoy's RouteMatch."""

from mizzen.config.types.networking import HTTPMatchRequest, StringMatch
from mizzen.proto.api import Route, RouteMatch
from mizzen.translate.claims import claim_matcher, claim_path
from mizzen.translate.matchers import header_matcher, is_catch_all, string_matcher


def route_match(match: HTTPMatchRequest | None) -> RouteMatch:
    """One match of an HTTP route; None matches everything. What depends on the caller (sourceLabels, gateways, port)
    was decided before: Envoy sees what it must decide per request.
    """
    if match is None:
        return RouteMatch(prefix="/")
    found = _path(match.uri, ignore_case=match.ignore_uri_case)
    for name, value in sorted(match.headers.items()):
        _add_header(found, name, value, invert=False)
    for name, value in sorted(match.without_headers.items()):
        _add_header(found, name, value, invert=True)
    for name, pseudo_header in (
        (":method", match.method),
        (":authority", match.authority),
        (":scheme", match.scheme),
    ):
        if pseudo_header is not None:
            found.headers.append(header_matcher(name, pseudo_header))
    for name, value in sorted(match.query_params.items()):
        parameter = found.query_parameters.add(name=name)
        if is_catch_all(value):
            parameter.present_match = True
        else:
            parameter.string_match.CopyFrom(type(parameter.string_match)(**string_matcher(value)))
    return found


def _add_header(found: RouteMatch, name: str, value: StringMatch | None, *, invert: bool) -> None:
    """A name that stands for a claim of a verified token is never looked for among the headers, which anybody can send."""
    claim = claim_path(name)
    if claim:
        found.dynamic_metadata.append(claim_matcher(claim, value, invert=invert))
    else:
        found.headers.append(header_matcher(name, value, invert=invert))


def _path(uri: StringMatch | None, *, ignore_case: bool) -> RouteMatch:
    if uri is None:
        return RouteMatch(prefix="/")
    if uri.regex is not None:
        return RouteMatch(safe_regex={"regex": uri.regex})
    if uri.exact is not None:
        return RouteMatch(path=uri.exact, case_sensitive={"value": not ignore_case})
    return RouteMatch(prefix=uri.prefix or "/", case_sensitive={"value": not ignore_case})


def is_catch_all_route(route: Route) -> bool:
    """Whether every request matches."""
    match = route.match
    everywhere = match.prefix == "/" or match.safe_regex.regex == ".*"
    return everywhere and not (match.headers or match.query_parameters or match.dynamic_metadata)
