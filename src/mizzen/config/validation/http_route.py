"""HTTPRoute, the part of a VirtualService that most people write."""

import re
from binascii import a2b_base64
from datetime import timedelta
from typing import Final

from mizzen.config.resource import Path
from mizzen.config.types.networking import (
    CorsPolicy,
    HeaderOperations,
    Headers,
    HTTPDirectResponse,
    HTTPFaultAbort,
    HTTPFaultDelay,
    HTTPFaultInjection,
    HTTPMatchRequest,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
)
from mizzen.config.validation import headers, hosts, ports, references, regexes, rules
from mizzen.config.validation.rules import Findings, invalid, questionable

MAX_BODY_BYTES: Final = 1_048_576
LARGE_BODY_BYTES: Final = 102_400

# https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter: x-envoy-retry-on, -grpc-on
_RETRY_CONDITIONS: Final = frozenset(
    [
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "envoy-ratelimited",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    ]
)
_GRPC_STATUSES: Final = frozenset(
    [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ]
)
_REDIRECT_CODES: Final = (0, 301, 302, 303, 307, 308)  # those that Envoy can send; 0: not set
_STATUS = re.compile("[1-5][0-9][0-9]")
_METHODS: Final = frozenset(
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"]
)


def validate(route: HTTPRoute, path: Path, *, delegated: bool = False) -> Findings:
    """`delegated`: the route is one of a VirtualService to which others delegate."""
    yield from _action(route, path, delegated=delegated)
    for index, match in enumerate(route.match):
        yield from _match(match, (*path, "match", index))
    for index, weighted in enumerate(route.route):
        here = (*path, "route", index)
        yield from references.destination(weighted.destination, (*here, "destination"))
        yield from _headers(weighted.headers, (*here, "headers"))
    yield from rules.weights(route.route, (*path, "route"))
    yield from _headers(route.headers, (*path, "headers"))
    yield from rules.at_least_1ms(route.timeout, (*path, "timeout"))
    yield from _mirrors(route, path)
    if route.retries:
        yield from retries(route.retries, (*path, "retries"))
    if route.fault:
        yield from _fault(route.fault, (*path, "fault"))
    if route.cors_policy:
        yield from _cors(route.cors_policy, (*path, "corsPolicy"))
    if route.redirect:
        yield from _redirect(route.redirect, route.match, (*path, "redirect"))
    if route.rewrite:
        yield from _rewrite(route.rewrite, (*path, "rewrite"))
    if route.headers and route.headers.request:
        yield from _authority_set_twice(route.rewrite, route.headers.request, path)
    if route.direct_response:
        yield from _direct_response(route.direct_response, (*path, "directResponse"))


def _action(route: HTTPRoute, path: Path, *, delegated: bool) -> Findings:
    there = rules.given(route, ("route", "redirect", "direct_response"))
    if len(there) > 1:
        yield invalid(
            path, f"only one of {', '.join(map(rules.camel, there))} can be set", "keep one of them"
        )
    if route.delegate and delegated:
        yield invalid((*path, "delegate"), "what is delegated to cannot delegate further", "remove delegate")
    elif route.delegate and there:
        yield invalid(path, f"delegate cannot be set with {', '.join(map(rules.camel, there))}")
    elif not there and not route.delegate:
        yield invalid(path, "the route leads nowhere", "add route, redirect or directResponse")
    if route.redirect or route.direct_response:
        for name in rules.given(route, ("rewrite", "fault")):
            yield invalid((*path, name), f"{name} has no meaning where nothing is forwarded", "remove it")
        for name in rules.given(route, ("mirror", "mirrors")):
            yield questionable((*path, name), f"{name} has no effect where nothing is forwarded", "remove it")


def _match(match: HTTPMatchRequest, path: Path) -> Findings:
    for name in ("uri", "scheme", "method", "authority"):
        yield from regexes.string_match(
            getattr(match, name), (*path, name), prefix_may_be_empty=name == "uri"
        )
    for name, string_match in match.headers.items():
        here = (*path, "headers", name)
        yield from headers.matched_header_name(name, here)
        yield from regexes.string_match(string_match, here)
    for name, string_match in match.without_headers.items():
        here = (*path, "withoutHeaders", name)
        yield from headers.matched_header_name(name, here)
        if string_match.regex != "*":  # Istio reads it as "any value"
            yield from regexes.string_match(string_match, here)
    for name, string_match in match.query_params.items():
        if not name:
            yield invalid((*path, "queryParams"), "a query parameter has no name", "name it")
        yield from regexes.string_match(string_match, (*path, "queryParams", name))
    if match.port:
        yield from ports.port(match.port, (*path, "port"))
    for index, gateway in enumerate(match.gateways):
        yield from references.gateway_name(gateway, (*path, "gateways", index))
    yield from references.labels(match.source_labels, (*path, "sourceLabels"))
    if match.source_namespace and not hosts.is_label(match.source_namespace):
        yield invalid((*path, "sourceNamespace"), f'"{match.source_namespace}" is no namespace')


def _headers(given: Headers | None, path: Path) -> Findings:
    if given is None:
        return
    if given.request:
        yield from _operations(given.request, (*path, "request"), authority=True)
    if given.response:
        yield from _operations(given.response, (*path, "response"), authority=False)


def _operations(operations: HeaderOperations, path: Path, *, authority: bool) -> Findings:
    """`authority`: whether the host can be set."""
    for field, members in (("set", operations.set), ("add", operations.add)):
        for header, value in members.items():
            here = (*path, field, header)
            yield from headers.changed_header_name(header, here, authority=authority)
            yield from headers.header_value(value, here)
    for index, header in enumerate(operations.remove):
        yield from headers.changed_header_name(header, (*path, "remove", index), authority=False)


def _authority_set_twice(rewrite: HTTPRewrite | None, request: HeaderOperations, path: Path) -> Findings:
    current = rewrite.authority if rewrite else ""
    for field, members in (("set", request.set), ("add", request.add)):
        for header in filter(headers.is_authority, members):
            if current:
                here = (*path, "headers", "request", field, header)
                yield invalid(here, f"the host is set to {current} already", "set it once")
            current = members[header]


def _mirrors(route: HTTPRoute, path: Path) -> Findings:
    if route.mirror and route.mirrors:
        yield invalid(path, "only one of mirror, mirrors can be set", "move the mirror into mirrors")
    if route.mirror:
        yield from references.destination(route.mirror, (*path, "mirror"))
    if route.mirror_percentage:
        share = route.mirror_percentage.value
        yield from rules.percent(share, (*path, "mirrorPercentage", "value"))
    for name, field in (("mirror_percent", "mirrorPercent"), ("mirror_percent_snake", "mirror_percent")):
        if (whole := getattr(route, name)) is not None:
            yield from rules.percent(whole, (*path, field))
            yield questionable((*path, field), f"{field} is deprecated", "use mirrorPercentage")
    for index, mirror in enumerate(route.mirrors):
        here = (*path, "mirrors", index)
        yield from references.destination(mirror.destination, (*here, "destination"))
        yield from rules.percent(
            mirror.percentage.value if mirror.percentage else None, (*here, "percentage", "value")
        )


def retries(given: HTTPRetry, path: Path) -> Findings:
    yield from rules.at_least(0, given.attempts, (*path, "attempts"))
    if given.attempts == 0 and rules.given(given, ("per_try_timeout", "retry_on", "retry_remote_localities")):
        yield invalid(
            (*path, "attempts"), "with 0 attempts nothing is retried", "set attempts, or remove the others"
        )
    yield from rules.at_least_1ms(given.per_try_timeout, (*path, "perTryTimeout"))
    yield from rules.at_least_1ms(given.backoff, (*path, "backoff"))
    for condition in filter(None, (part.strip() for part in given.retry_on.split(","))):
        is_status = _STATUS.fullmatch(condition) is not None
        if condition not in _RETRY_CONDITIONS and not is_status:
            hint = f"use {', '.join(sorted(_RETRY_CONDITIONS))}, or an HTTP status"
            yield invalid((*path, "retryOn"), f'"{condition}" is no condition for a retry', hint)


def _fault(fault: HTTPFaultInjection, path: Path) -> Findings:
    yield from rules.at_least_one(fault, ("delay", "abort"), path, "the fault")
    if fault.delay:
        yield from _delay(fault.delay, (*path, "delay"))
    if fault.abort:
        yield from _abort(fault.abort, (*path, "abort"))


def _delay(delay: HTTPFaultDelay, path: Path) -> Findings:
    yield from rules.at_most_one(delay, ("fixed_delay", "exponential_delay"), path)
    yield from rules.at_least_1ms(delay.fixed_delay, (*path, "fixedDelay"))
    yield from rules.percentage(delay.percentage, (*path, "percentage"))
    yield from rules.percent(delay.percent, (*path, "percent"))
    if delay.exponential_delay is not None:
        yield invalid((*path, "exponentialDelay"), "exponentialDelay is not implemented", "use fixedDelay")
    elif delay.fixed_delay is None:
        yield questionable(path, "without fixedDelay it delays nothing", "add fixedDelay")


def _abort(abort: HTTPFaultAbort, path: Path) -> Findings:
    kinds = ("http_status", "grpc_status", "http2_error")
    yield from rules.at_most_one(abort, kinds, path)
    yield from rules.percentage(abort.percentage, (*path, "percentage"))
    if abort.http_status is not None and not 200 <= abort.http_status <= 599:
        yield invalid((*path, "httpStatus"), f"{abort.http_status} is not between 200 and 599")
    if abort.grpc_status is not None and abort.grpc_status not in _GRPC_STATUSES:
        hint = f"use one of {', '.join(sorted(_GRPC_STATUSES))}"
        yield invalid((*path, "grpcStatus"), f'"{abort.grpc_status}" is no gRPC status', hint)
    if abort.http2_error is not None:
        yield invalid((*path, "http2Error"), "http2Error is not implemented", "use httpStatus or grpcStatus")
    if not rules.given(abort, kinds):
        yield invalid(path, "it aborts with nothing", "add httpStatus or grpcStatus")


def _cors(policy: CorsPolicy, path: Path) -> Findings:
    for index, origin in enumerate(policy.allow_origins):
        here = (*path, "allowOrigins", index)
        if not (origin.exact or origin.prefix or origin.regex):
            yield invalid(here, "the origin is empty", "add exact, prefix or regex")
        else:
            yield from regexes.string_match(origin, here)
    for index, method in enumerate(policy.allow_methods):
        if method not in _METHODS:
            hint = f"use one of {', '.join(sorted(_METHODS))}"
            yield invalid((*path, "allowMethods", index), f'"{method}" is no HTTP method', hint)
    for field, names in (("allowHeaders", policy.allow_headers), ("exposeHeaders", policy.expose_headers)):
        for index, name in enumerate(names):
            yield from headers.header_name(name, (*path, field, index))
    yield from rules.at_least_1ms(policy.max_age, (*path, "maxAge"))
    if policy.max_age and policy.max_age % timedelta(seconds=1):
        yield invalid((*path, "maxAge"), "browsers count whole seconds only", "round it to seconds")


def _redirect(redirect: HTTPRedirect, matches: tuple[HTTPMatchRequest, ...], path: Path) -> Findings:
    yield from rules.at_most_one(redirect, ("port", "derive_port"), path)
    yield from rules.at_most_one(redirect, ("uri", "prefix_rewrite"), path)
    ways = ("uri", "authority", "scheme", "prefix_rewrite", "port", "derive_port")
    if not rules.given(redirect, ways):
        yield invalid(
            path, "the redirect leads to where the request came", "add uri, authority, scheme or port"
        )
    if redirect.prefix_rewrite and any(match.uri and match.uri.prefix is None for match in matches):
        message = "prefixRewrite replaces the prefix that was matched, but a match has none"
        yield invalid((*path, "prefixRewrite"), message, "match uri by prefix, or use uri")
    if redirect.redirect_code not in _REDIRECT_CODES:
        codes = ", ".join(str(code) for code in _REDIRECT_CODES[1:])
        yield invalid((*path, "redirectCode"), f"{redirect.redirect_code} is none of {codes}")
    if redirect.scheme not in ("", "http", "https"):
        yield invalid((*path, "scheme"), f'"{redirect.scheme}" is neither http nor https')
    if redirect.port is not None:
        yield from ports.port(redirect.port, (*path, "port"))
    for name in ("uri", "authority", "prefix_rewrite"):
        yield from headers.part_of_url(getattr(redirect, name), (*path, rules.camel(name)))


def _rewrite(rewrite: HTTPRewrite, path: Path) -> Findings:
    yield from rules.at_least_one(rewrite, ("uri", "authority", "uri_regex_rewrite"), path, "the rewrite")
    yield from rules.at_most_one(rewrite, ("uri", "uri_regex_rewrite"), path)
    for name in ("uri", "authority"):
        yield from headers.part_of_url(getattr(rewrite, name), (*path, name))
    if regex := rewrite.uri_regex_rewrite:
        yield from headers.part_of_url(regex.rewrite, (*path, "uriRegexRewrite", "rewrite"))
        if not regex.match or not regex.rewrite:
            yield invalid((*path, "uriRegexRewrite"), "match and rewrite must both be set")
        else:
            yield from regexes.regex(regex.match, (*path, "uriRegexRewrite", "match"))


def _direct_response(response: HTTPDirectResponse, path: Path) -> Findings:
    if not 200 <= response.status <= 599:
        yield invalid((*path, "status"), f"{response.status} is not between 200 and 599")
    if response.body is None:
        return
    body = (*path, "body")
    if (response.body.string is None) == (response.body.bytes is None):
        yield invalid(body, "exactly one of string, bytes must be set")
    size = len((response.body.string or "").encode(errors="replace"))
    if response.body.bytes is not None:
        try:
            size = len(a2b_base64(response.body.bytes, strict_mode=True))
        except ValueError:
            yield invalid((*body, "bytes"), "this is not base64")
    if size > MAX_BODY_BYTES:
        yield invalid(body, f"the body has {size} bytes, more than {MAX_BODY_BYTES}")
    elif size > LARGE_BODY_BYTES:
        message = f"the body has {size} bytes, which every proxy with this route has to hold"
        yield questionable(body, message, f"stay below {LARGE_BODY_BYTES}, or serve it from a workload")
