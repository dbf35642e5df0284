"""What a matched route does: forward, redirect, answer; with retries, timeouts, rewrites, faults, header operations."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mizzen.config.types.networking import (
    ConsistentHashLB,
    Destination,
    HeaderOperations,
    Headers,
    HTTPDirectResponse,
    HTTPMatchRequest,
    HTTPMirrorPolicy,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
    HTTPRouteDestination,
    Percent,
    RedirectPortSelection,
)
from mizzen.proto.api import HeaderValueOption, PreviousHosts, PreviousPriorities, Route
from mizzen.translate.built import pack
from mizzen.translate.filter_order import CORS, FAULT
from mizzen.translate.http_filters.cors import cors_policy
from mizzen.translate.http_filters.fault import millionths, route_fault
from mizzen.translate.route_match import route_match

# Istio's default retry policy: two attempts, where the server cannot have acted on the request.
DEFAULT_RETRY = HTTPRetry(attempts=2)
# A plain 503 is not among them: the application itself may have answered it, after it acted (istio/istio#52111).
DEFAULT_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled"
_PREVIOUS_HOSTS = "envoy.retry_host_predicates.previous_hosts"
_PREVIOUS_PRIORITIES = "envoy.retry_priorities.previous_priorities"
# Envoy tries this many times to choose a host that the request has not met yet (Istio's setting).
_HOST_SELECTION_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class RouteContext:
    """What routes of one route configuration share.

    `cluster` names the cluster of a destination; `hashing` the consistent hashing that its DestinationRule asks for. `port`
    is where requests arrive, over TLS if `secure`.
    """

    cluster: Callable[[Destination], str]
    hashing: Callable[[Destination], ConsistentHashLB | None]
    port: int
    secure: bool = False
    retry_default: HTTPRetry = DEFAULT_RETRY


def http_route(context: RouteContext, settings: HTTPRoute, match: HTTPMatchRequest | None) -> Route:
    """One Envoy route for one match of a VirtualService's HTTP route."""
    name = ".".join(part for part in (settings.name, match.name if match else "") if part)
    route = Route(name=name, match=route_match(match))
    if match is not None and match.stat_prefix:
        route.stat_prefix = match.stat_prefix
    _apply_headers(route, settings.headers)
    if settings.redirect is not None:
        _redirect(context, route, settings.redirect)
    elif settings.direct_response is not None:
        _direct_response(route, settings.direct_response)
    else:
        _forward(context, route, settings, match)
    if settings.fault is not None:
        route.typed_per_filter_config[FAULT].CopyFrom(pack(route_fault(settings.fault)))
    if settings.cors_policy is not None:
        route.typed_per_filter_config[CORS].CopyFrom(pack(cors_policy(settings.cors_policy)))
    return route


def default_route(context: RouteContext, destination: Destination) -> Route:
    """The route of a service that no VirtualService concerns."""
    route = Route(name="default", match=route_match(None))
    _forward(context, route, HTTPRoute(route=(HTTPRouteDestination(destination=destination),)), None)
    return route


def _forward(
    context: RouteContext, route: Route, settings: HTTPRoute, match: HTTPMatchRequest | None
) -> None:
    action = route.route
    weighted = [destination for destination in settings.route if destination.weight > 0] or list(
        settings.route[:1]
    )
    if len(weighted) == 1:
        action.cluster = context.cluster(weighted[0].destination)
        _apply_headers(route, weighted[0].headers)
    for destination in weighted if len(weighted) > 1 else ():
        target = action.weighted_clusters.clusters.add(name=context.cluster(destination.destination))
        target.weight.value = destination.weight
        _apply_headers(target, destination.headers)
    # 0: no limit. Envoy's own default of 15 s would surprise (Istio does the same).
    if settings.timeout:
        action.timeout.FromTimedelta(settings.timeout)
    else:
        action.timeout.SetInParent()
        # Lets gRPC callers set a deadline of their own. Beside a timeout, Envoy would ignore the timeout.
        action.max_stream_duration.grpc_timeout_header_max.SetInParent()
    _retry(context, action, settings.retries)
    if settings.rewrite is not None:
        _rewrite(action, settings.rewrite, match)
    for mirror in _mirrors(settings):
        policy = action.request_mirror_policies.add(cluster=context.cluster(mirror.destination))
        share = millionths(mirror.percentage)
        policy.runtime_fraction.default_value.numerator = share["numerator"]
        policy.runtime_fraction.default_value.denominator = share["denominator"]
        policy.trace_sampled.value = False
    for destination in weighted:
        hashing = context.hashing(destination.destination)
        if hashing is not None:
            action.hash_policy.add(**_hash_policy(hashing))


def _mirrors(settings: HTTPRoute) -> tuple[HTTPMirrorPolicy, ...]:
    if settings.mirrors or settings.mirror is None:
        return tuple(
            mirror for mirror in settings.mirrors if mirror.percentage is None or mirror.percentage.value > 0
        )
    whole = settings.mirror_percent if settings.mirror_percent is not None else settings.mirror_percent_snake
    share = settings.mirror_percentage or (Percent(value=float(whole)) if whole is not None else None)
    if share is not None and share.value <= 0:
        return ()
    return (HTTPMirrorPolicy(destination=settings.mirror, percentage=share),)


def _retry(context: RouteContext, action: Any, settings: HTTPRetry | None) -> None:
    retry = settings or context.retry_default
    if retry.attempts <= 0:
        return
    policy = action.retry_policy
    tokens = [token.strip() for token in (retry.retry_on or DEFAULT_RETRY_ON).split(",") if token.strip()]
    policy.retry_on = ",".join(token for token in tokens if not token.isdigit())
    codes = [int(token) for token in tokens if token.isdigit()]
    if codes:
        # Envoy reads the list only where this condition is named.
        if "retriable-status-codes" not in tokens:
            policy.retry_on += ",retriable-status-codes" if policy.retry_on else "retriable-status-codes"
        policy.retriable_status_codes.extend(codes)
    policy.num_retries.value = retry.attempts
    policy.host_selection_retry_max_attempts = _HOST_SELECTION_ATTEMPTS
    if retry.retry_ignore_previous_hosts is not False:
        policy.retry_host_predicate.add(name=_PREVIOUS_HOSTS, typed_config=pack(PreviousHosts()))
    if retry.retry_remote_localities:
        # Istio's setting: after two tries in one priority the next is asked.
        priorities = PreviousPriorities(update_frequency=2)
        policy.retry_priority.name = _PREVIOUS_PRIORITIES
        policy.retry_priority.typed_config.CopyFrom(pack(priorities))
    if retry.per_try_timeout is not None:
        policy.per_try_timeout.FromTimedelta(retry.per_try_timeout)
    if retry.backoff is not None:
        policy.retry_back_off.base_interval.FromTimedelta(retry.backoff)


def _rewrite(action: Any, rewrite: HTTPRewrite, match: HTTPMatchRequest | None) -> None:
    if rewrite.authority:
        action.host_rewrite_literal = rewrite.authority
        action.append_x_forwarded_host = True
    if rewrite.uri_regex_rewrite is not None:
        action.regex_rewrite.pattern.regex = rewrite.uri_regex_rewrite.match
        action.regex_rewrite.substitution = rewrite.uri_regex_rewrite.rewrite
    elif rewrite.uri:
        uri = match.uri if match else None
        if uri is not None and uri.prefix is None:
            # An exact or regex match is replaced whole.
            action.regex_rewrite.pattern.regex = ".*"
            action.regex_rewrite.substitution = rewrite.uri.replace("\\", "\\\\")
        else:
            action.prefix_rewrite = rewrite.uri


def _redirect(context: RouteContext, route: Route, settings: HTTPRedirect) -> None:
    action: Any = route.redirect
    action.SetInParent()
    if settings.uri:
        if settings.uri.startswith("%PREFIX()%"):
            action.prefix_rewrite = settings.uri.removeprefix("%PREFIX()%")
        else:
            action.path_redirect = settings.uri
    elif settings.prefix_rewrite:
        action.prefix_rewrite = settings.prefix_rewrite
    action.host_redirect = settings.authority
    if settings.scheme:
        action.scheme_redirect = settings.scheme
    action.port_redirect = _redirect_port(context, settings)
    action.response_code = _REDIRECT_CODES.get(settings.redirect_code, 0)


def _redirect_port(context: RouteContext, settings: HTTPRedirect) -> int:
    """0 leaves the port as the request names it. Source: Istio, which knows a request's port from where it arrives, and does
    not write the default port of the scheme.
    """
    scheme = settings.scheme or ("https" if context.secure else "http")
    if settings.derive_port is RedirectPortSelection.FROM_PROTOCOL_DEFAULT:
        return _DEFAULT_PORTS.get(scheme, 0)  # written: else the port that the request names would stay
    port = settings.port or 0
    if settings.derive_port is RedirectPortSelection.FROM_REQUEST_PORT:
        port = context.port
    return 0 if port == _DEFAULT_PORTS.get(scheme) else port


_DEFAULT_PORTS = {"http": 80, "https": 443}

# RedirectAction.RedirectResponseCode by HTTP status.
_REDIRECT_CODES = {301: 0, 302: 1, 303: 2, 307: 3, 308: 4}


def _direct_response(route: Route, settings: HTTPDirectResponse) -> None:
    route.direct_response.status = settings.status
    if settings.body is not None:
        if settings.body.bytes is not None:
            route.direct_response.body.inline_bytes = base64.b64decode(settings.body.bytes)
        else:
            route.direct_response.body.inline_string = settings.body.string or ""


def _hash_policy(hashing: ConsistentHashLB) -> dict[str, Any]:
    if hashing.http_header_name:
        return {"header": {"header_name": hashing.http_header_name}}
    if hashing.http_cookie is not None:
        cookie: dict[str, Any] = {"name": hashing.http_cookie.name, "path": hashing.http_cookie.path}
        if hashing.http_cookie.ttl is not None:
            cookie["ttl"] = hashing.http_cookie.ttl
        cookie["attributes"] = [{"name": a.name, "value": a.value} for a in hashing.http_cookie.attributes]
        return {"cookie": cookie}
    if hashing.http_query_parameter_name:
        return {"query_parameter": {"name": hashing.http_query_parameter_name}}
    return {"connection_properties": {"source_ip": hashing.use_source_ip is not False}}


def _apply_headers(target: Any, headers: Headers | None) -> None:
    """Header operations on anything of Envoy's that has them: a route, a weighted cluster."""
    if headers is None:
        return
    for prefix, operations in (("request", headers.request), ("response", headers.response)):
        if operations is not None:
            getattr(target, f"{prefix}_headers_to_add").extend(_header_values(operations))
            removed = (name for name in operations.remove if not _is_protected(name))
            getattr(target, f"{prefix}_headers_to_remove").extend(removed)
    for name, value in sorted(headers.request.set.items()) if headers.request else ():
        if name.lower() in _HOST_HEADERS:
            rewriting = target.route if isinstance(target, Route) else target
            rewriting.host_rewrite_literal = value


_HOST_HEADERS = frozenset({"host", ":authority"})


def _is_protected(name: str) -> bool:
    """Envoy refuses operations on these headers; setting the host is a rewrite (Istio's rule)."""
    return name.startswith(":") or name.lower() in _HOST_HEADERS


def _header_values(operations: HeaderOperations) -> list[HeaderValueOption]:
    return [
        HeaderValueOption(header={"key": name, "value": value}, append_action=action)
        for action, headers in (
            (HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD, operations.set),
            (HeaderValueOption.HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD, operations.add),
        )
        for name, value in sorted(headers.items())
        if not _is_protected(name)
    ]
