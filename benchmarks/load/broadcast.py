"""The least that a push to all proxies can cost here: a server that computes nothing and sends everybody the same bytes.

It has the daemon's gRPC server, its TLS and its CA, so that the fleet connects to it with the same certificates; what it
lacks is everything that makes a daemon. A line on its standard input, the size of a response in bytes, is an event: one
delta response of that size, with a nonce and a version that are new, goes to all streams at once. When all ACKs are read,
it says so by a line.

Run by benchmarks.load.processes as `python -m benchmarks.load.broadcast STATE_DIR PORT`, while the daemon runs or not.
"""

import asyncio
import gc
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grpclib.const import Cardinality, Handler
from grpclib.server import Stream

from mizzen.ca.plugged import open_authority
from mizzen.ca.server_identity import ServedAs, ServerIdentity
from mizzen.proto.api import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from mizzen.rpc.server import RpcServer, send, send_now
from mizzen.xds.encoding import delta_response, resource_head
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER

_DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_TRUST_DOMAIN = "cluster.local"

_AdsStream = Stream[Any, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A resource on the wire."""

    head: bytes
    body: bytes


def response_of(size_bytes: int, number: int) -> bytes:
    """A response with one resource, of so many bytes or the few that the smallest one takes."""
    smallest = _response(number, body_bytes=0)
    if size_bytes <= len(smallest):
        return smallest
    # What the lengths of the lengths add is found by trying: a few bytes.
    room = size_bytes - len(smallest)
    return _response(number, room - (len(_response(number, room)) - size_bytes))


def _response(number: int, body_bytes: int) -> bytes:
    head = resource_head(ENDPOINT, "broadcast", str(number), body_bytes)
    return delta_response(ENDPOINT, [Part(head, bytes(body_bytes))], (), _nonce(number), str(number))


def _nonce(number: int) -> str:
    return f"{number:x}"


class Broadcaster:
    """Serves delta discovery as far as the fleet needs it: something of each type that it asks for first, once."""

    def __init__(self) -> None:
        self._streams: set[_AdsStream] = set()
        self._events = 0
        self._expected = 0  # ACKs of the last event

    def __mapping__(self) -> dict[str, Handler]:
        kind = Cardinality.STREAM_STREAM
        return {_DELTA: Handler(self._delta, kind, DeltaDiscoveryRequest, DeltaDiscoveryResponse)}

    async def _delta(self, stream: _AdsStream) -> None:
        await stream.recv_message()
        for type_url in (CLUSTER, LISTENER, ENDPOINT):
            await send(stream, delta_response(type_url, (), (), "first", "0"))
        self._streams.add(stream)
        try:
            async for request in stream:
                self._acked(request.response_nonce)
        finally:
            self._streams.discard(stream)

    def _acked(self, nonce: str) -> None:
        if nonce == _nonce(self._events):
            self._expected -= 1
            if self._expected == 0:
                print("done", flush=True)

    async def broadcast(self, size_bytes: int) -> None:
        self._events += 1
        self._expected = len(self._streams)
        message = response_of(size_bytes, self._events)
        slow = [stream for stream in self._streams if not send_now(stream, message)]
        await asyncio.gather(*(send(stream, message) for stream in slow))


async def _serve(state_dir: Path, port: int) -> None:
    now = datetime.now(UTC)
    authority = open_authority(state_dir / "ca", _TRUST_DOMAIN, now=now, random_bytes=os.urandom)
    identity = ServerIdentity(authority, ServedAs(_TRUST_DOMAIN), clock=lambda: datetime.now(UTC))
    broadcaster = Broadcaster()
    server = RpcServer([broadcaster], tls=identity.context)
    await server.start(port=port)
    print("ready", flush=True)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    async for line in orders:
        await broadcaster.broadcast(int(line))
    await server.close()


def main() -> None:
    state_dir, port = sys.argv[1:]
    gc.disable()  # it lives for a few events: nothing may come between them
    asyncio.run(_serve(Path(state_dir), int(port)))


if __name__ == "__main__":
    main()
