"""Spans reach a collector in OTLP's JSON; one that cannot be reached costs nothing and is complained about once."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from mizzen.daemon.otlp import BATCH, MOST_WAITING, Event, Span, SpanExporter, request, traces_url
from mizzen.errors import UserError
from tests.support.collector import Collector
from tests.support.discovery import until

SPAN = Span("0" * 31 + "1", "0" * 15 + "2", "", "change", 1.5, 2.25)


@asynccontextmanager
async def exporting(endpoint: str):
    counted, pauses = Counter(), []

    def count(outcome, number):
        counted[outcome] += number

    async def sleep(seconds):
        pauses.append(seconds)
        await asyncio.sleep(0.001)

    exporter = SpanExporter(traces_url(endpoint), {"service.name": "mizzen"}, count, sleep)
    task = asyncio.create_task(exporter.run())
    try:
        yield exporter, counted, pauses
    finally:
        task.cancel()
        await asyncio.wait([task])


def test_the_form_is_that_of_otlp():
    span = Span(
        *(SPAN.trace_id, SPAN.span_id, "0" * 15 + "3", "push", 1.5, 2.000001),
        {"words": "a", "number": 7, "share": 0.5, "yes": True, "many": ("a", "b")},
        (Event("sent", 1.75, {"bytes": 3}),),
        "no such filter",
    )
    assert request({"service.name": "mizzen"}, [span]) == {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "mizzen"}}]},
                "scopeSpans": [
                    {
                        "scope": {"name": "mizzen"},
                        "spans": [
                            {
                                "traceId": "00000000000000000000000000000001",
                                "spanId": "0000000000000002",
                                "parentSpanId": "0000000000000003",
                                "name": "push",
                                "kind": 1,
                                "startTimeUnixNano": "1500000000",
                                "endTimeUnixNano": "2000001000",
                                "attributes": [
                                    {"key": "words", "value": {"stringValue": "a"}},
                                    {"key": "number", "value": {"intValue": "7"}},
                                    {"key": "share", "value": {"doubleValue": 0.5}},
                                    {"key": "yes", "value": {"boolValue": True}},
                                    {
                                        "key": "many",
                                        "value": {
                                            "arrayValue": {
                                                "values": [{"stringValue": "a"}, {"stringValue": "b"}]
                                            }
                                        },
                                    },
                                ],
                                "events": [
                                    {
                                        "name": "sent",
                                        "timeUnixNano": "1750000000",
                                        "attributes": [{"key": "bytes", "value": {"intValue": "3"}}],
                                    }
                                ],
                                "status": {"code": 2, "message": "no such filter"},
                            }
                        ],
                    }
                ],
            }
        ]
    }
    root = request({}, [SPAN])["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert "parentSpanId" not in root
    assert "status" not in root


async def test_spans_are_sent_in_batches():
    collector = Collector()
    async with collector.serving() as endpoint, exporting(endpoint) as (exporter, counted, _):
        for _ in range(BATCH + 1):
            exporter.put(SPAN)
        await until(lambda: counted["sent"] == BATCH + 1)
        assert len(collector.bodies) == 2
        assert collector.names() == ["change"] * (BATCH + 1)
        assert counted["dropped"] == 0


async def test_a_collector_that_cannot_be_reached_is_complained_about_once_and_asked_less_and_less(caplog):
    async with exporting("http://127.0.0.1:1") as (exporter, counted, pauses):
        for number in range(1, 12):
            exporter.put(SPAN)
            await until(lambda sent=number: counted["dropped"] == sent)
    assert len([line for line in caplog.messages if "traces are dropped" in line]) == 1
    assert "the collector at 127.0.0.1:1 cannot be used" in caplog.text
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses[-1] == 60.0


async def test_a_collector_that_is_well_again_is_used_again(caplog):
    caplog.set_level("INFO", logger="mizzen")
    collector = Collector()
    collector.status = 503
    async with collector.serving() as endpoint, exporting(endpoint) as (exporter, counted, pauses):
        exporter.put(SPAN)
        await until(lambda: counted["dropped"] == 1)
        collector.status = 200
        exporter.put(SPAN)
        await until(lambda: counted["sent"] == 1)
        exporter.put(SPAN)
        await until(lambda: counted["sent"] == 2)
        assert pauses == [0.5, 1.0, 0.5]
    assert "it answers 503" in caplog.text
    assert "takes traces again" in caplog.text


async def test_what_waits_is_bounded():
    counted = Counter()

    def count(outcome, number):
        counted[outcome] += number

    exporter = SpanExporter("http://127.0.0.1:1/v1/traces", {}, count)
    for _ in range(MOST_WAITING + 10):
        exporter.put(SPAN)
    assert counted == {"dropped": 10}


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("https://collector.example/otlp/", "https://collector.example/otlp/v1/traces"),
    ],
)
def test_spans_go_where_otlp_says(endpoint, url):
    assert traces_url(endpoint) == url


@pytest.mark.parametrize(
    "endpoint", ["localhost:4318", "grpc://a:1", "http://", "http://a:port", "http://[::1"]
)
def test_what_is_no_collector(endpoint):
    with pytest.raises(UserError, match=r"no address of an OpenTelemetry collector.*--otlp-endpoint"):
        traces_url(endpoint)
