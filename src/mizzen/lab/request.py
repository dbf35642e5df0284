"""Sends HTTP requests from inside a workload: `python -m mizzen.lab.request`, JSON in on stdin, JSON out on stdout.

Where nothing captures the traffic, http_proxy leads to the sidecar.
"""

import http.client
import os
import sys
import time
from urllib.parse import urlsplit

import msgspec

from mizzen.lab.protocol import CallRequest, Response

_MAX_BODY_BYTES = 4 << 20


def exchange(call: CallRequest, proxy: str = "", connect: tuple[str, int] | None = None) -> Response:
    """One request on a new connection: to `connect`, to the proxy, or where the URL points."""
    url = urlsplit(call.url)
    if url.scheme != "http" or not url.hostname:
        return Response(status=0, error=f"{call.url!r} is not an http:// URL")
    via = urlsplit(proxy) if proxy else url
    host, port = connect or (via.hostname or "", via.port or http.client.HTTP_PORT)
    started = time.monotonic()
    connection = http.client.HTTPConnection(host, port, timeout=call.timeout_seconds)
    target = call.url if proxy else (url.path or "/") + (f"?{url.query}" if url.query else "")
    headers = {"Host": url.netloc, "User-Agent": "mizzen-lab", **call.headers}
    try:
        connection.request(call.method, target, call.body or None, headers)
        answer = connection.getresponse()
        body = answer.read(_MAX_BODY_BYTES)
        seconds = time.monotonic() - started
        return Response(answer.status, tuple(answer.getheaders()), body, seconds=seconds)
    except (OSError, http.client.HTTPException) as error:
        seconds = time.monotonic() - started
        return Response(status=0, error=str(error) or type(error).__name__, seconds=seconds)
    finally:
        connection.close()


def main() -> None:
    call = msgspec.json.decode(sys.stdin.buffer.read(), type=CallRequest)
    proxy = os.environ.get("http_proxy", "")
    answers = [exchange(call, proxy) for _ in range(call.count)]
    sys.stdout.buffer.write(msgspec.json.encode(answers))


if __name__ == "__main__":
    main()
