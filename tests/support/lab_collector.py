"""A receiver of OTLP for labs: prints each span and each line of a log as JSON. Run as a workload's application.

The messages are Envoy's: its binary has the descriptors of OTLP, too.
"""

import asyncio
import json
import os
from typing import Any

from grpclib.const import Cardinality, Handler
from grpclib.server import Server, Stream

from mizzen.proto.api import message_class

TRACES, LOGS = (f"opentelemetry.proto.collector.{kind}.v1." for kind in ("trace", "logs"))


def attributes(values: Any) -> dict[str, str]:
    return {each.key: each.value.string_value for each in values}


async def take_spans(stream: "Stream[Any, Any]") -> None:
    request = await stream.recv_message()
    assert request is not None
    for group in request.resource_spans:
        service = attributes(group.resource.attributes).get("service.name", "")
        for span in (span for scope in group.scope_spans for span in scope.spans):
            found = {
                "trace": span.trace_id.hex(),
                "span": span.span_id.hex(),
                "parent": span.parent_span_id.hex(),
                "service": service,
                "kind": span.kind,
                "name": span.name,
                "attributes": attributes(span.attributes),
            }
            print(json.dumps({"span": found}), flush=True)
    await stream.send_message(message_class(TRACES + "ExportTraceServiceResponse")())


async def take_logs(stream: "Stream[Any, Any]") -> None:
    request = await stream.recv_message()
    assert request is not None
    for group in request.resource_logs:
        for record in (record for scope in group.scope_logs for record in scope.log_records):
            found = {"body": record.body.string_value, "attributes": attributes(record.attributes)}
            print(json.dumps({"line": found}), flush=True)
    await stream.send_message(message_class(LOGS + "ExportLogsServiceResponse")())


class Collector:
    def __mapping__(self) -> dict[str, Handler]:
        return {
            f"/{package}{service}/Export": Handler(
                take,
                Cardinality.UNARY_UNARY,
                message_class(f"{package}Export{service}Request"),
                message_class(f"{package}Export{service}Response"),
            )
            for package, service, take in (
                (TRACES, "TraceService", take_spans),
                (LOGS, "LogsService", take_logs),
            )
        }


async def main() -> None:
    server = Server([Collector()])
    await server.start(os.environ["HOST"], 4317)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
