"""The checks of a case: what its responses must be. Each yields what is wrong, nothing where all is well."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.conformance.routing_e2e.echo.wire import Result, Seen

Json = Any
_HTTP_SCHEMES = frozenset({"http", "https", "ws"})
_MOST_SHOWN = 400

# Istio writes gRPC's codes as Go does.
_GRPC_CODES = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
]
_FORBIDDEN = 403
_PERMISSION_DENIED = 7


@dataclass(frozen=True)
class Responses:
    """What came back of a case's requests. `received` counts, by service, the requests that arrived with its unique id."""

    scheme: str
    results: Sequence[Result]
    received: Mapping[str, int]


def objections(checks: Sequence[Json], responses: Responses) -> Iterator[str]:
    """Everything that is wrong with the responses, by the given checks."""
    if not responses.results:
        yield "there are no responses"
    for check in checks:
        for name, expected in check.items():
            if name in _PARAMETERS:
                continue
            if name in _EACH:
                yield from _of_each(name, expected, responses)
            elif name in _ALL:
                yield from _ALL[name](expected, check, responses)
            else:
                yield f"the runner does not know the check {name}"


def _of_each(name: str, expected: Json, responses: Responses) -> Iterator[str]:
    for result in responses.results:
        wrong = next(iter(_EACH[name](expected, result, responses.scheme)), None)
        if wrong is not None:
            yield f"{name}: {wrong}"
            return


def _shown(result: Result) -> str:
    if result.error:
        return f"error {result.error!r}"
    return f"status {result.status}, body {result.body[:_MOST_SHOWN]!r}"


def _ok(expected: bool, result: Result, scheme: str) -> Iterator[str]:
    succeeded = not result.error and (scheme not in _HTTP_SCHEMES or result.status == 200)
    if succeeded != expected:
        yield _shown(result)


def _no_error(expected: bool, result: Result, _: str) -> Iterator[str]:
    if bool(result.error) == expected:
        yield _shown(result)


def _error(expected: bool, result: Result, _: str) -> Iterator[str]:
    if bool(result.error) != expected:
        yield f"there is an answer: {_shown(result)}" if expected else _shown(result)


def _status(expected: int, result: Result, _: str) -> Iterator[str]:
    if result.error or result.status != expected:
        yield f"{expected} expected: {_shown(result)}"


def _status_not(unwanted: int, result: Result, _: str) -> Iterator[str]:
    if result.error or result.status == unwanted:
        yield _shown(result)


def _error_or_status(expected: int, result: Result, _: str) -> Iterator[str]:
    if not result.error and result.status != expected:
        yield _shown(result)


def _error_or_status_not(unwanted: int, result: Result, _: str) -> Iterator[str]:
    if not result.error and result.status == unwanted:
        yield _shown(result)


def _error_contains(expected: str | Sequence[str], result: Result, _: str) -> Iterator[str]:
    wanted = [expected] if isinstance(expected, str) else expected
    if not any(text in result.error for text in wanted):
        yield f"{wanted} expected: {_shown(result)}"


def _body_contains(expected: str | Sequence[str], result: Result, _: str) -> Iterator[str]:
    wanted = [expected] if isinstance(expected, str) else expected
    if not any(text in result.body for text in wanted):
        yield f"{wanted} expected: {_shown(result)}"


def _body_not_contains(unwanted: str, result: Result, _: str) -> Iterator[str]:
    if unwanted in result.body:
        yield _shown(result)


def _grpc_status(expected: str, result: Result, _: str) -> Iterator[str]:
    if result.grpc_status != _GRPC_CODES.index(expected):
        yield f"{expected} expected, got {result.grpc_status}: {_shown(result)}"


def _forbidden(expected: bool, result: Result, scheme: str) -> Iterator[str]:
    if scheme == "tcp":
        forbidden = bool(result.error)
    elif scheme == "grpc":
        forbidden = result.grpc_status == _PERMISSION_DENIED
    else:
        forbidden = result.status == _FORBIDDEN
    if forbidden != expected:
        yield _shown(result)


def _response_headers(expected: Mapping[str, str], result: Result, _: str) -> Iterator[str]:
    for name, value in expected.items():
        found = result.header(name)
        if (found or "") != value:
            yield f"{name} is {found!r}, {value!r} expected"


def _seen(check: Callable[[Json, Seen], Iterator[str]]) -> Callable[[Json, Result, str], Iterator[str]]:
    """A check of what the server saw."""

    def of_result(expected: Json, result: Result, _: str) -> Iterator[str]:
        if result.seen is None:
            yield f"no server answered: {_shown(result)}"
        else:
            yield from check(expected, result.seen)

    return of_result


def _ext_authz(expected: Mapping[str, Any], result: Result, _: str) -> Iterator[str]:
    """What the authorizer told the server, or, where it denied, the caller."""
    if expected["allowed"]:
        read = result.seen.header if result.seen else lambda _: None
        wanted = expected["request_headers_seen_by_server"]
    else:
        read, wanted = result.header, expected["response_headers_seen_by_client"]
    for name, conditions in wanted.items():
        found = read(name) or ""
        for text in conditions.get("contains", ()):
            if text not in found:
                yield f"{name} is {found!r}, which lacks {text!r}"
        for text in conditions.get("not_contains", ()):
            if text in found:
                yield f"{name} is {found!r}, which has {text!r}"


def _equals(read: Callable[[Seen], str]) -> Callable[[Json, Result, str], Iterator[str]]:
    @_seen
    def check(expected: str, seen: Seen) -> Iterator[str]:
        if read(seen) != expected:
            yield f"{read(seen)!r}, {expected!r} expected"

    return check


@_seen
def _server_saw_headers(expected: Mapping[str, str], seen: Seen) -> Iterator[str]:
    """An empty text: the header is absent."""
    for name, value in expected.items():
        found = seen.header(name)
        if (found or "") != value:
            yield f"{name} is {found!r}, {value!r} expected"


@_seen
def _server_saw_xff(expected: Mapping[str, Any], seen: Seen) -> Iterator[str]:
    entries = [entry.strip() for entry in (seen.header("x-forwarded-for") or "").split(",")]
    if len(entries) != expected["entries"]:
        yield f"{len(entries)} entries, {expected['entries']} expected: {entries}"
    for name, value in expected.items():
        number = name.removeprefix("entry_")
        if number.isdigit() and entries[int(number)] != value:
            yield f"entry {number} is not {value}: {entries}"


@_seen
def _no_headers_except(expected: Mapping[str, Any], seen: Seen) -> Iterator[str]:
    for name in (key.lower() for key, _ in seen.headers):
        has_prefix = name.startswith(expected["forbidden_prefix"]) and name not in expected["allowed"]
        if has_prefix or name in expected["forbidden"]:
            yield f"the header {name} is there"


@_seen
def _no_header_prefix(prefix: str, seen: Seen) -> Iterator[str]:
    for name in (key.lower() for key, _ in seen.headers):
        if name.startswith(prefix):
            yield f"the header {name} is there"


@_seen
def _mtls(expected: bool, seen: Seen) -> Iterator[str]:
    found = seen.header("x-forwarded-client-cert")
    if (found is not None) != expected:
        yield f"X-Forwarded-Client-Cert is {found!r}"


def _distribution(expected: Mapping[str, int], check: Json, responses: Responses) -> Iterator[str]:
    """Counts by service, "namespace/name" or the name alone; a service that is not listed is expected to answer nothing."""
    counts = Counter(result.seen.service for result in responses.results if result.seen is not None)
    if any("/" not in service for service in expected):
        counts = Counter({service.partition("/")[2]: count for service, count in counts.items()})
    for service in sorted({*expected, *counts}):
        if abs(counts[service] - expected.get(service, 0)) > check["tolerance"]:
            failures = Counter(_shown(result) for result in responses.results if result.seen is None)
            yield f"{dict(counts)}, {dict(expected)} expected; without a server: {dict(failures)}"
            return


def _same_workload(expected: bool, _: Json, responses: Responses) -> Iterator[str]:
    counts = Counter(result.seen.workload for result in responses.results if result.seen is not None)
    if (len(counts) == 1) != expected:
        yield f"answered by {dict(counts)}"


def _mirrored(expected: Mapping[str, Any], _: Json, responses: Responses) -> Iterator[str]:
    primary, mirror = (responses.received.get(expected[side], 0) for side in ("primary", "mirror"))
    share = 100 * mirror / primary if primary else 0.0
    if not primary or abs(share - expected["percent"]) > expected["tolerance_percent"]:
        yield f"{mirror} of {primary} were mirrored"


def _dns_answer_set(expected: Sequence[str], _: Json, responses: Responses) -> Iterator[str]:
    for result in responses.results:
        if result.error or set(result.addresses) != set(expected):
            yield f"{sorted(result.addresses)} {result.error}, {sorted(expected)} expected"


def _any(alternatives: Sequence[Sequence[Json]], _: Json, responses: Responses) -> Iterator[str]:
    wrong = [list(objections(checks, responses)) for checks in alternatives]
    if all(wrong):
        yield " and ".join("; ".join(one) for one in wrong)


_PARAMETERS = frozenset({"tolerance", "of", "match"})
_EACH: Mapping[str, Callable[[Any, Result, str], Iterator[str]]] = {
    "ok": _ok,
    "no_error": _no_error,
    "error": _error,
    "status": _status,
    "status_not": _status_not,
    "error_or_status": _error_or_status,
    "error_or_status_not": _error_or_status_not,
    "error_contains": _error_contains,
    "error_contains_any": _error_contains,
    "body_contains": _body_contains,
    "body_contains_any": _body_contains,
    "body_not_contains": _body_not_contains,
    "tcp_response_contains": _body_contains,
    "tcp_closed": _error,
    "grpc_status": _grpc_status,
    "forbidden_by_rbac": _forbidden,
    "response_headers": _response_headers,
    "server_saw_headers": _server_saw_headers,
    "server_saw_host": _equals(lambda seen: seen.host),
    "server_saw_protocol": _equals(lambda seen: seen.protocol),
    "server_saw_alpn": _equals(lambda seen: seen.alpn),
    "server_saw_sni": _equals(lambda seen: seen.sni),
    "server_saw_url_path": _equals(lambda seen: seen.path),
    "server_saw_proxy_protocol": _equals(lambda seen: seen.proxy_protocol),
    "server_saw_xff": _server_saw_xff,
    "server_saw_no_headers_except": _no_headers_except,
    "server_saw_no_header_prefix": _no_header_prefix,
    "mtls": _mtls,
    "ext_authz": _ext_authz,
}
_ALL: Mapping[str, Callable[[Any, Json, Responses], Iterator[str]]] = {
    "distribution": _distribution,
    "all_responses_from_same_workload": _same_workload,
    "mirrored_percent": _mirrored,
    "dns_answer_set": _dns_answer_set,
    "any": _any,
}
