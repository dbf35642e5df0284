"""Spans to an OpenTelemetry collector: OTLP over HTTP in JSON, no more of the protocol than that.

Source of the form: opentelemetry-proto, `collector/trace/v1` and its JSON mapping (IDs in hexadecimal, numbers of 64 bits as text).
Tracing must cost nobody anything: what the collector does not take in time is dropped, and counted.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from mizzen.errors import UserError

_log = logging.getLogger(__name__)

MOST_WAITING: Final = 4096
"""Spans. When so many wait, new ones are dropped."""
BATCH: Final = 128
_COLLECTING_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 5.0

Value = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """Something at one moment of a span. `at` in seconds since the epoch."""

    name: str
    at: float
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of work. IDs in hexadecimal (32 and 16 digits), times in seconds since the epoch; `parent_id` "" for the root."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start: float
    end: float
    attributes: Mapping[str, Value] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    error: str = ""  # what went wrong; "": nothing did


def traces_url(endpoint: str) -> str:
    """Where spans go, by a collector's base URL. Raises UserError."""
    try:
        parts = urlsplit(endpoint)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UserError(
            f"{endpoint!r} is no address of an OpenTelemetry collector",
            "give one such as http://localhost:4318 with --otlp-endpoint or OTEL_EXPORTER_OTLP_ENDPOINT",
        )
    return f"{endpoint.rstrip('/')}/v1/traces"


class SpanExporter:
    """`put` costs next to nothing and never waits; `run` sends. `counted` is told how many were `sent` or `dropped`."""

    def __init__(
        self,
        url: str,
        resource: Mapping[str, Value],
        counted: Callable[[str, int], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = url
        self._resource = resource
        self._counted = counted
        self._sleep = sleep
        self._waiting: deque[Span] = deque()
        self._wanted = asyncio.Event()
        self._failures = 0  # in a row

    def put(self, span: Span) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._counted("dropped", 1)
            return
        self._waiting.append(span)
        self._wanted.set()

    async def run(self) -> None:
        """Until cancelled. Spans are collected for a moment; while the collector fails they wait longer and longer."""
        timeout = aiohttp.ClientTimeout(total=_PATIENCE_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                await self._wanted.wait()
                await self._sleep(min(_COLLECTING_SECONDS * 2**self._failures, _LONGEST_PAUSE_SECONDS))
                while self._waiting and await self._send(session):
                    pass
                if not self._waiting:
                    self._wanted.clear()

    async def _send(self, session: aiohttp.ClientSession) -> bool:
        """One batch. False where the collector did not take it: it is lost."""
        batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        body = msgspec.json.encode(request(self._resource, batch))
        headers = {"Content-Type": "application/json"}
        try:
            async with session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                reason = "" if response.status == 200 else f"it answers {response.status}"
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the daemon
            reason = str(error) or type(error).__name__
        self._counted("dropped" if reason else "sent", len(batch))
        self._tell(reason)
        return not reason

    def _tell(self, reason: str) -> None:
        """Once when it begins to fail, and once when it is well again."""
        where = urlsplit(self._url)
        if reason and not self._failures:
            _log.warning(
                "traces are dropped: the collector at %s:%s cannot be used: %s",
                where.hostname,
                where.port,
                reason,
            )
        elif self._failures and not reason:
            _log.info("the collector at %s:%s takes traces again", where.hostname, where.port)
        self._failures = min(self._failures + 1, 16) if reason else 0


def request(resource: Mapping[str, Value], spans: Iterable[Span]) -> dict[str, Any]:
    """An ExportTraceServiceRequest."""
    scope = {"scope": {"name": "mizzen"}, "spans": [_span(span) for span in spans]}
    return {"resourceSpans": [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}]}


_INTERNAL: Final = 1  # SpanKind
_ERROR: Final = 2  # Status.StatusCode


def _span(span: Span) -> dict[str, Any]:
    found: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": _INTERNAL,
        "startTimeUnixNano": _nanoseconds(span.start),
        "endTimeUnixNano": _nanoseconds(span.end),
        "attributes": _attributes(span.attributes),
        "events": [
            {
                "name": event.name,
                "timeUnixNano": _nanoseconds(event.at),
                "attributes": _attributes(event.attributes),
            }
            for event in span.events
        ],
    }
    if span.parent_id:
        found["parentSpanId"] = span.parent_id
    if span.error:
        found["status"] = {"code": _ERROR, "message": span.error}
    return found


def _nanoseconds(seconds: float) -> str:
    return str(round(seconds * 1e6) * 1000)


def _attributes(found: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in found.items()]


def _value(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
    return {"arrayValue": {"values": [{"stringValue": each} for each in value]}}
