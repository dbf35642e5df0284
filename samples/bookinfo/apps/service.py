"""What the services of the sample share: answering, calling each other, and telling who they are.

A service knows nothing of the mesh. It listens on HOST and PORT, calls others by name over plain HTTP, and carries on the
headers by which a request is followed through the mesh.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlsplit
from urllib.request import Request as Outgoing
from urllib.request import urlopen

VERSION = os.environ.get("SERVICE_VERSION", "v1")
CARRIED_ON = ("x-request-id", "traceparent", "tracestate", "end-user", "x-chaos")
_CALL_SECONDS = 20.0


@dataclass(frozen=True)
class Request:
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case

    def carried_on(self) -> dict[str, str]:
        return {name: self.headers[name] for name in CARRIED_ON if name in self.headers}


@dataclass(frozen=True)
class Answer:
    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


Route = Callable[[Request], Answer]


def json_answer(value: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(value, indent=2).encode() + b"\n", status)


def call(url: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """The status and body of a GET; status 0 where no answer came."""
    try:
        with urlopen(Outgoing(url, headers=dict(headers)), timeout=_CALL_SECONDS) as answer:  # noqa: S310  # our own URLs
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()
    except (OSError, HTTPException) as error:
        print(f"{url}: {error}", file=sys.stderr, flush=True)
        return 0, str(error).encode()


def whoami(request: Request) -> Answer:
    """Who answered, and what reached it; x-forwarded-client-cert names the caller."""
    workload = os.environ.get("MIZZEN_WORKLOAD", "")
    return json_answer({"workload": workload, "version": VERSION, "headers": dict(request.headers)})


def serve(routes: Mapping[str, Route]) -> None:
    """Answer until terminated. A key that ends with / stands for every path below it; the longest one counts."""
    table = {"/whoami": whoami, "/health": lambda _request: json_answer({"status": "healthy"}), **routes}
    address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "9080")))
    server = _Server(address, type("Handler", (_Handler,), {"routes": table}))
    signal.signal(signal.SIGTERM, _leave)
    print(f"listening on {address[0]}:{address[1]}", flush=True)
    server.serve_forever()


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # connections that wait to be accepted; the default of 5 refuses small bursts


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    routes: Mapping[str, Route]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(url.path, dict(parse_qsl(url.query)), headers)
        self._send(self._route(url.path)(request))

    def _route(self, path: str) -> Route:
        below = [key for key in self.routes if key.endswith("/") and path.startswith(key)]
        longest = max(below, key=len, default="")
        return self.routes.get(path) or self.routes.get(longest) or _not_found

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)


def _not_found(request: Request) -> Answer:
    return json_answer({"error": f"nothing is at {request.path}"}, 404)
