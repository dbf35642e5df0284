"""HTTPRoute, the part of a VirtualService that most people write."""

import re
from binascii import a2b_base64
from datetime import timedelta
from typing import Final

from mizzen.config.resource import Path
from mizzen.config.types.networking import (
    CorsPolicy,
    Headers,
    HTTPDirectResponse,
    HTTPFaultInjection,
    HTTPMatchRequest,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
)
from mizzen.config.validation import rules
from mizzen.config.validation.rules import Findings, invalid, questionable

MAX_BODY_BYTES: Final = 1_048_576

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
_METHOD = re.compile(r"[A-Za-z]+|\*")


def validate(route: HTTPRoute, path: Path) -> Findings:
    yield from _action(route, path)
    for index, match in enumerate(route.match):
        yield from _match(match, (*path, "match", index))
    for index, weighted in enumerate(route.route):
        here = (*path, "route", index)
        yield from rules.destination(weighted.destination, (*here, "destination"))
        yield from headers(weighted.headers, (*here, "headers"))
    yield from rules.weights(route.route, (*path, "route"))
    yield from headers(route.headers, (*path, "headers"))
    yield from rules.at_least_1ms(route.timeout, (*path, "timeout"))
    yield from _mirrors(route, path)
    if route.retries:
        yield from retries(route.retries, (*path, "retries"))
    if route.fault:
        yield from _fault(route.fault, (*path, "fault"))
    if route.cors_policy:
        yield from _cors(route.cors_policy, (*path, "corsPolicy"))
    if route.redirect:
        yield from _redirect(route.redirect, (*path, "redirect"))
    if route.rewrite:
        yield from _rewrite(route.rewrite, (*path, "rewrite"))
    if route.direct_response:
        yield from _direct_response(route.direct_response, (*path, "directResponse"))


def _action(route: HTTPRoute, path: Path) -> Findings:
    actions = ("route", "redirect", "direct_response")
    given = [name for name in actions if getattr(route, name)]
    if len(given) > 1:
        yield invalid(
            path, f"only one of {', '.join(map(rules.camel, given))} can be set", "keep one of them"
        )
    if not given and route.delegate is None:
        yield invalid(path, "the route leads nowhere", "add route, redirect or directResponse")
    if route.delegate and given:
        yield invalid(path, f"delegate cannot be set with {', '.join(map(rules.camel, given))}")
    if route.redirect or route.direct_response:
        for name in ("rewrite", "mirror", "mirrors") + (("fault",) if route.redirect else ()):
            if getattr(route, name):
                yield invalid((*path, name), f"{name} has no meaning where nothing is forwarded", "remove it")


def _match(match: HTTPMatchRequest, path: Path) -> Findings:
    for name in ("uri", "scheme", "method", "authority"):
        yield from rules.string_match(getattr(match, name), (*path, name), prefix_may_be_empty=name == "uri")
    for field, matches in (("headers", match.headers), ("withoutHeaders", match.without_headers)):
        for name, string_match in matches.items():
            here = (*path, field, name)
            if not name.startswith("@request.auth.claims"):
                yield from rules.header_name(name, here)
            yield from rules.string_match(string_match, here)
    for name, string_match in match.query_params.items():
        yield from rules.string_match(string_match, (*path, "queryParams", name))
    if match.port:
        yield from rules.port(match.port, (*path, "port"))
    for index, gateway in enumerate(match.gateways):
        yield from rules.gateway_name(gateway, (*path, "gateways", index))
    yield from rules.labels(match.source_labels, (*path, "sourceLabels"))


def headers(given: Headers | None, path: Path) -> Findings:
    if given is None:
        return
    for direction, operations in (("request", given.request), ("response", given.response)):
        if operations is None:
            continue
        for name, members in (("set", operations.set), ("add", operations.add)):
            for header, value in members.items():
                yield from rules.header_name(header, (*path, direction, name, header))
                yield from rules.header_value(value, (*path, direction, name, header))
        for index, header in enumerate(operations.remove):
            here = (*path, direction, "remove", index)
            yield from rules.header_name(header, here)
            if header.startswith(":") or header.lower() == "host":
                yield invalid(here, f"{header} cannot be removed")


def _mirrors(route: HTTPRoute, path: Path) -> Findings:
    if route.mirror and route.mirrors:
        yield invalid(path, "only one of mirror, mirrors can be set", "move the mirror into mirrors")
    if route.mirror:
        yield from rules.destination(route.mirror, (*path, "mirror"))
    yield from rules.percentage(route.mirror_percentage, (*path, "mirrorPercentage"))
    yield from rules.percent(route.mirror_percent, (*path, "mirrorPercent"))
    for index, mirror in enumerate(route.mirrors):
        here = (*path, "mirrors", index)
        yield from rules.destination(mirror.destination, (*here, "destination"))
        yield from rules.percentage(mirror.percentage, (*here, "percentage"))


def retries(given: HTTPRetry, path: Path) -> Findings:
    yield from rules.at_least(0, given.attempts, (*path, "attempts"))
    if given.attempts == 0 and (given.per_try_timeout or given.retry_on or given.retry_remote_localities):
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
    if fault.abort is None and fault.delay is None:
        yield invalid(path, "the fault does nothing", "add delay or abort")
    if delay := fault.delay:
        here = (*path, "delay")
        yield from rules.at_most_one(delay, ("fixed_delay", "exponential_delay"), here)
        yield from rules.at_least_1ms(delay.fixed_delay, (*here, "fixedDelay"))
        yield from rules.at_least_1ms(delay.exponential_delay, (*here, "exponentialDelay"))
        yield from rules.percentage(delay.percentage, (*here, "percentage"))
        yield from rules.percent(delay.percent, (*here, "percent"))
        if delay.fixed_delay is None and delay.exponential_delay is None:
            yield questionable(here, "without fixedDelay it delays nothing", "add fixedDelay")
    if abort := fault.abort:
        here = (*path, "abort")
        yield from rules.at_most_one(abort, ("http_status", "grpc_status", "http2_error"), here)
        yield from rules.percentage(abort.percentage, (*here, "percentage"))
        if abort.http_status is not None and not 200 <= abort.http_status <= 599:
            yield invalid((*here, "httpStatus"), f"{abort.http_status} is not between 200 and 599")
        if abort.grpc_status is not None and abort.grpc_status not in _GRPC_STATUSES:
            hint = f"use one of {', '.join(sorted(_GRPC_STATUSES))}"
            yield invalid((*here, "grpcStatus"), f'"{abort.grpc_status}" is no gRPC status', hint)


def _cors(policy: CorsPolicy, path: Path) -> Findings:
    for index, origin in enumerate(policy.allow_origins):
        yield from rules.string_match(origin, (*path, "allowOrigins", index))
    for index, method in enumerate(policy.allow_methods):
        if _METHOD.fullmatch(method) is None:
            yield invalid((*path, "allowMethods", index), f'"{method}" is no HTTP method')
    for field, names in (("allowHeaders", policy.allow_headers), ("exposeHeaders", policy.expose_headers)):
        for index, name in enumerate(names):
            yield from rules.header_name(name, (*path, field, index))
    yield from rules.at_least_1ms(policy.max_age, (*path, "maxAge"))
    if policy.max_age and policy.max_age % timedelta(seconds=1):
        yield invalid((*path, "maxAge"), "browsers count whole seconds only", "round it to seconds")


def _redirect(redirect: HTTPRedirect, path: Path) -> Findings:
    yield from rules.at_most_one(redirect, ("port", "derive_port"), path)
    if not any(
        getattr(redirect, name)
        for name in ("uri", "authority", "scheme", "prefix_rewrite", "port", "derive_port")
    ):
        yield invalid(
            path, "the redirect leads to where the request came", "add uri, authority, scheme or port"
        )
    if redirect.uri and redirect.prefix_rewrite:
        yield invalid(path, "only one of uri, prefixRewrite can be set")
    if redirect.redirect_code not in _REDIRECT_CODES:
        codes = ", ".join(str(code) for code in _REDIRECT_CODES[1:])
        yield invalid((*path, "redirectCode"), f"{redirect.redirect_code} is none of {codes}")
    if redirect.scheme not in ("", "http", "https"):
        yield invalid((*path, "scheme"), f'"{redirect.scheme}" is neither http nor https')
    if redirect.port is not None:
        yield from rules.port(redirect.port, (*path, "port"))


def _rewrite(rewrite: HTTPRewrite, path: Path) -> Findings:
    if not rewrite.uri and not rewrite.authority and rewrite.uri_regex_rewrite is None:
        yield invalid(path, "the rewrite changes nothing", "add uri, authority or uriRegexRewrite")
    if rewrite.uri and rewrite.uri_regex_rewrite:
        yield invalid(path, "only one of uri, uriRegexRewrite can be set")
    if regex := rewrite.uri_regex_rewrite:
        if not regex.match or not regex.rewrite:
            yield invalid((*path, "uriRegexRewrite"), "match and rewrite must both be set")
        yield from rules.regex(regex.match, (*path, "uriRegexRewrite", "match"))


def _direct_response(response: HTTPDirectResponse, path: Path) -> Findings:
    if not 200 <= response.status <= 599:
        yield invalid((*path, "status"), f"{response.status} is not between 200 and 599")
    if response.body is None:
        return
    body = (*path, "body")
    if (response.body.string is None) == (response.body.bytes is None):
        yield invalid(body, "exactly one of string, bytes must be set")
    size = len((response.body.string or "").encode())
    if response.body.bytes is not None:
        try:
            size = len(a2b_base64(response.body.bytes, strict_mode=True))
        except ValueError:
            yield invalid((*body, "bytes"), "this is not base64")
    if size > MAX_BODY_BYTES:
        yield invalid(body, f"the body has {size} bytes, more than {MAX_BODY_BYTES}")
