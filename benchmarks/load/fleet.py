"""N simulated proxies in a process of its own: delta discovery over HTTP/2 and mTLS, subscribing and ACKing as Envoy does.

It reads orders, a JSON document a line, from its standard input, and answers each with one line. Times are of the
monotonic clock, which all processes of a machine share.

What is as Envoy's: clusters and listeners are asked for first; the endpoints of clusters and the routes of listeners
when they are known; clusters are not ACKed before the endpoints that they wait for came (warming); the endpoints of a
cluster that is gone are asked for no longer; a proxy that reconnects says which versions it holds.

Run by benchmarks.load.processes.
"""

import json
import os
import selectors
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.load.wire import (
    Content,
    Incoming,
    Reader,
    acknowledgement,
    opening,
    subscription,
    unsubscription,
)
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE

QUESTION = "type.googleapis.com/z.Question"
_FOLLOWING = {CLUSTER: ENDPOINT, LISTENER: ROUTE}
_HANDSHAKES = 64  # at the same time: the kernel's backlog and the daemon's patience are bounded
_READ_BYTES = 1 << 18
_AGAIN_SECONDS = 0.5  # after a loss; Envoy waits 0.1 s to 2 s

Versions = Mapping[str, Mapping[str, str]]
"""By type and name."""


class Proxy:
    """One connection and what its Envoy would hold."""

    __slots__ = (
        "_fleet",
        "_incoming",
        "_outgoing",
        "_sock",
        "_unsent",
        "_withheld",
        "awaited",
        "connected_at",
        "context",
        "ended",
        "held",
        "node",
        "stuck",
        "subscribed",
        "synced_at",
        "warming",
    )

    def __init__(self, fleet: "Fleet", node: str, context: ssl.SSLContext) -> None:
        self.node = node
        self.context = context
        self._fleet = fleet
        self.held: dict[str, list[Content]] = {}  # the contents that were taken, in order
        self.subscribed: dict[str, set[str] | Sequence[str]] = {}
        self.reset()

    def reset(self) -> None:
        self._sock: ssl.SSLSocket | None = None
        self._incoming = Incoming()
        self._outgoing = bytearray()  # frames
        self._unsent = bytearray()  # messages that wait for the server's window
        self._withheld = b""  # the ACK of clusters that wait for their endpoints
        self.warming: set[str] = set()
        self.awaited: set[str] = set()  # types of which something must come before it is synced
        self.connected_at = self.synced_at = 0.0
        self.ended = ""
        self.stuck = False

    # --- the connection

    @property
    def connected(self) -> bool:
        return self._sock is not None

    @property
    def shaking(self) -> bool:
        """In its handshake."""
        return self.connected and not self.connected_at

    def connect(self, address: tuple[str, int], *, warm: bool) -> None:
        self.reset()
        raw = socket.create_connection(address)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setblocking(False)
        self._sock = self.context.wrap_socket(
            raw, server_hostname=self._fleet.authority, do_handshake_on_connect=False
        )
        # What came for a name that was given up meanwhile is not used, and not asked for again.
        held = self.in_force() if warm else {}
        self.subscribed = {}
        if not warm:
            self.held.clear()
        self._outgoing += opening(self._fleet.authority)
        for type_url in (CLUSTER, LISTENER):
            versions = held.get(type_url, {})
            self._unsent += subscription(type_url, ["*"], versions, self.node if type_url == CLUSTER else "")
            self.awaited.add(type_url)
            following = _FOLLOWING[type_url]
            if following in held:
                names = sorted(held[following])
                self.subscribed[following] = names
                self._unsent += subscription(following, names, held[following])
        if warm:  # nothing may have to come: a question that is answered last of all tells when
            self.awaited = {QUESTION}
            self._unsent += subscription(QUESTION, ["anything new?"])
        self._fleet.selector.register(self._sock, selectors.EVENT_READ, self._handshake)
        self._handshake(selectors.EVENT_READ)

    def versions(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for type_url, contents in self.held.items():
            versions = found.setdefault(type_url, {})
            for content in contents:
                versions.update(content.versions)
                for name in content.removed:
                    versions.pop(name, None)
        return found

    def in_force(self) -> dict[str, dict[str, str]]:
        """The versions of what is used: of what has to be asked for, that which still is."""
        found: dict[str, dict[str, str]] = {}
        for type_url, versions in self.versions().items():
            asked_for = set(self.subscribed.get(type_url, versions))
            used = {name: version for name, version in versions.items() if name in asked_for}
            if used:
                found[type_url] = used
        return found

    def _handshake(self, _events: int) -> None:
        if self._sock is None:  # an order closed it in the same round
            return
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._fleet.selector.modify(
                self._sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self._handshake
            )
            return
        except OSError as error:
            self._end(str(error))
            self._fleet.shaken()
            return
        self.connected_at = time.monotonic()
        self._fleet.selector.modify(self._sock, selectors.EVENT_READ, self._ready)
        self._fleet.shaken()
        self._flush()

    def _ready(self, events: int) -> None:
        if self._sock is None:  # an order closed it in the same round
            return
        if events & selectors.EVENT_WRITE:
            self._flush()
        if not events & selectors.EVENT_READ or self.stuck:
            return
        while self._sock is not None:
            try:
                data = self._sock.recv(_READ_BYTES)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as error:
                self._end(str(error))
                return
            if not data:
                self._end(self._incoming.ended or "closed")
                return
            for message in self._incoming.feed(data):
                self._take(message)
            if self._incoming.ended:
                self._end(self._incoming.ended)
                return
        self._flush()

    def _flush(self) -> None:
        if self._sock is None:
            return
        if self._incoming.answers:
            self._outgoing += self._incoming.answers
            self._incoming.answers.clear()
        self._outgoing += self._incoming.windows.frames(self._unsent)
        waiting = False
        while self._outgoing:
            try:
                sent = self._sock.send(self._outgoing)
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                waiting = True
                break
            except OSError as error:
                self._end(str(error))
                return
            del self._outgoing[:sent]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if waiting else 0)
        if self._fleet.selector.get_key(self._sock).events != wanted:
            self._fleet.selector.modify(self._sock, wanted, self._ready)

    def _end(self, why: str) -> None:
        if self._sock is not None:
            self._fleet.selector.unregister(self._sock)
            self._sock.close()
            self._sock = None
        self.ended = why
        self._fleet.lost(self)

    def close(self) -> None:
        """The connection breaks; what is held stays, as in an Envoy."""
        if self._sock is not None:
            self._fleet.selector.unregister(self._sock)
            self._sock.close()
        self.reset()

    def get_stuck(self, *, stuck: bool) -> None:
        """It reads nothing more: neither the kernel's buffers nor anything else is emptied."""
        self.stuck = stuck
        if self._sock is not None:
            if stuck:
                self._fleet.selector.unregister(self._sock)
            else:
                self._fleet.selector.register(self._sock, selectors.EVENT_READ, self._ready)
                self._ready(selectors.EVENT_READ)

    # --- discovery

    def _take(self, message: bytes) -> None:
        nonce, content = self._fleet.reader.read(message)
        type_url = content.type_url
        self._keep(type_url, content)
        ack = acknowledgement(type_url, nonce)
        if type_url == CLUSTER:
            self.warming.update(content.follows)
            self._give_up(ENDPOINT, content.removed)
        following = _FOLLOWING.get(type_url)
        if following is not None and content.follows:
            self._ask(following, content.follows)
        if self.warming and type_url == CLUSTER:
            self._withheld = ack
        else:
            self._unsent += ack
        if type_url == ENDPOINT and self.warming:
            self.warming.difference_update(content.versions)
            if not self.warming and self._withheld:
                self._unsent += self._withheld
                self._withheld = b""
        self._fleet.took(self, content, len(message))
        self._note_synced(content)

    def _keep(self, type_url: str, content: Content) -> None:
        contents = self.held.setdefault(type_url, [])
        contents.append(content)
        if len(contents) > 32:
            merged = self.versions()[type_url]
            contents[:] = [Content(type_url, merged, (), ())]

    def _ask(self, type_url: str, names: Sequence[str]) -> None:
        known = self.subscribed.get(type_url)
        if known is None:
            self.subscribed[type_url] = names  # shared with the proxies of the same content
            self._unsent += self._fleet.subscription(type_url, names)
            if not self.synced_at:
                self.awaited.add(type_url)
            return
        if known is names:
            return
        known = known if isinstance(known, set) else set(known)
        new = [name for name in names if name not in known]
        if new:
            known.update(new)
            self.subscribed[type_url] = known
            self._unsent += subscription(type_url, new)

    def _give_up(self, type_url: str, names: Sequence[str]) -> None:
        """Nothing refers to these any more."""
        known = self.subscribed.get(type_url, ())
        gone = [name for name in names if name in known]
        if gone:
            self.subscribed[type_url] = set(known).difference(gone)
            self.warming.difference_update(gone)
            self._keep(type_url, Content(type_url, {}, gone, ()))
            self._unsent += unsubscription(type_url, gone)

    def _note_synced(self, content: Content) -> None:
        if self.synced_at:
            return
        self.awaited.discard(content.type_url)
        if not self.awaited and not self.warming and ENDPOINT in self.held:
            self.synced_at = time.monotonic()


@dataclass(slots=True)
class Taken:
    """Of one type, since the mark: when the first proxy took something, and each proxy its latest."""

    first: float
    last: dict[int, float]


_NONE = Taken(0.0, {})


class Fleet:
    """All proxies of this process, and what they took since the last mark."""

    def __init__(self, address: tuple[str, int], authority: str) -> None:
        self.address = address
        self.authority = authority
        self.selector = selectors.DefaultSelector()
        self.reader = Reader()
        self.proxies: list[Proxy] = []
        self._to_connect: deque[tuple[Proxy, bool]] = deque()
        self._shaking = 0
        self._again: deque[tuple[float, Proxy]] = deque()  # when, and who
        self._subscriptions: dict[tuple[str, int], tuple[Sequence[str], bytes]] = {}
        self._waiting: Callable[[], Any] | None = None
        self._deadline = 0.0
        self._commands = b""
        self._remembered: list[dict[str, dict[str, str]]] = []
        self.mark()

    def subscription(self, type_url: str, names: Sequence[str]) -> bytes:
        """Encoded once for all proxies of the same content."""
        key = type_url, id(names)
        if key not in self._subscriptions:
            self._subscriptions[key] = names, subscription(type_url, names)
        return self._subscriptions[key][1]

    # --- what the proxies tell

    def shaken(self) -> None:
        self._shaking -= 1
        self._connect_some()

    def lost(self, proxy: Proxy) -> None:
        """A connection was refused or broke: it comes again, as an Envoy does."""
        self.losses[proxy.ended] = self.losses.get(proxy.ended, 0) + 1
        self._again.append((time.monotonic() + _AGAIN_SECONDS, proxy))

    def _come_again(self) -> None:
        while self._again and self._again[0][0] <= time.monotonic():
            _, proxy = self._again.popleft()
            if not proxy.connected:
                self._to_connect.append((proxy, bool(proxy.held)))
        self._connect_some()

    def took(self, proxy: Proxy, content: Content, size_bytes: int) -> None:
        self.responses += 1
        self.resources += len(content.versions)
        self.bytes += size_bytes
        if not self._name or self._name in content.versions:
            taken = self._taken.get(content.type_url)
            if taken is None:
                taken = self._taken[content.type_url] = Taken(time.monotonic(), {})
            taken.last[id(proxy)] = time.monotonic()

    # --- orders

    def mark(self, name: str = "") -> dict[str, Any]:
        """Count anew what is taken (of responses that hold this name, if one is given)."""
        self._name = name
        self._taken: dict[str, Taken] = {}
        self.losses: dict[str, int] = {}
        self.responses = self.bytes = self.resources = 0
        return {}

    def add(self, proxies: Sequence[tuple[str, str]], roots: str) -> dict[str, Any]:
        """Proxies as (node ID, file of a certificate and its key)."""
        contexts: dict[str, ssl.SSLContext] = {}
        for node, credentials in proxies:
            if credentials not in contexts:
                context = ssl.create_default_context(cafile=roots)
                context.set_alpn_protocols(["h2"])
                context.load_cert_chain(credentials)
                contexts[credentials] = context
            self.proxies.append(Proxy(self, node, contexts[credentials]))
        return {}

    def connect(self, *, warm: bool = False) -> dict[str, Any]:
        """All that are not connected."""
        queued = {id(proxy) for proxy, _ in self._to_connect}
        for proxy in self.proxies:
            if not proxy.connected and id(proxy) not in queued:
                proxy.ended = ""
                proxy.synced_at = 0.0
                self._to_connect.append((proxy, warm))
        self._connect_some()
        return {"connecting": len(self._to_connect) + self._shaking}

    def _connect_some(self) -> None:
        while self._to_connect and self._shaking < _HANDSHAKES:
            proxy, warm = self._to_connect.popleft()
            self._shaking += 1
            try:
                proxy.connect(self.address, warm=warm)
            except OSError as error:
                self._shaking -= 1
                proxy.ended = str(error)
                self.lost(proxy)

    def disconnect(self, first: int = 0, last: int | None = None) -> dict[str, Any]:
        """Those of a range of places; all, if none is given."""
        leaving = self.proxies[first:last]
        gone = set(map(id, leaving))
        self._to_connect = deque(each for each in self._to_connect if id(each[0]) not in gone)
        for proxy in leaving:
            self._shaking -= proxy.shaking
            proxy.close()
        self._connect_some()
        return {}

    def get_stuck(self, first: int, last: int, *, stuck: bool) -> dict[str, Any]:
        for proxy in self.proxies[first:last]:
            proxy.get_stuck(stuck=stuck)
        return {}

    def synced(self) -> dict[str, Any]:
        times = [proxy.synced_at for proxy in self.proxies if proxy.synced_at]
        return {"synced": len(times), "last": max(times, default=0.0)}

    def taken(self, type_url: str) -> dict[str, Any]:
        taken = self._taken.get(type_url, _NONE)
        return {
            "count": len(taken.last),
            "first": taken.first,
            "last": max(taken.last.values(), default=0.0),
        }

    def status(self) -> dict[str, Any]:
        used = os.times()
        return {
            "responses": self.responses,
            "resources": self.resources,
            "bytes": self.bytes,
            "contents": self.reader.parsed,
            "cpu": used.user + used.system,
            "connected": sum(proxy.connected for proxy in self.proxies),
            "losses": self.losses,
        }

    def versions(self, place: int) -> dict[str, Any]:
        """What a proxy holds: to compare with what it should."""
        return self.proxies[place].versions()

    def remember(self) -> dict[str, Any]:
        """What each proxy holds now, to be compared later."""
        self._remembered = [proxy.in_force() for proxy in self.proxies]
        return {}

    def differences(self, most: int = 5) -> dict[str, Any]:
        """How many proxies hold something else than was remembered, and of `most` of them what: (before, now) by type and
        name.
        """
        pairs = [
            (proxy.node, before, proxy.in_force())
            for before, proxy in zip(self._remembered, self.proxies, strict=True)
        ]
        found = {node: _different(before, now) for node, before, now in pairs if before != now}
        return {"count": len(found), "found": dict(list(found.items())[:most])}

    # --- the loop

    def run(self) -> None:
        os.set_blocking(0, False)
        self.selector.register(0, selectors.EVENT_READ, self._read_orders)
        while True:
            wakes = [self._deadline] if self._waiting is not None else []
            wakes += [self._again[0][0]] if self._again else []
            timeout = max(0.0, min(wakes) - time.monotonic()) if wakes else None
            for key, events in self.selector.select(timeout):
                key.data(events)
            self._come_again()
            self._answer_waiting()

    def _read_orders(self, _events: int) -> None:
        data = os.read(0, 1 << 16)
        if not data:
            sys.exit(0)
        self._commands += data
        while b"\n" in self._commands:
            line, _, self._commands = self._commands.partition(b"\n")
            self._obey(json.loads(line))

    def _obey(self, order: Mapping[str, Any]) -> None:
        arguments = dict(order)
        what = arguments.pop("order")
        if what == "await":
            self._await(**arguments)
        else:
            _answer(getattr(self, what)(**arguments))

    def _await(self, count: int, seconds: float, what: str) -> None:
        """Answer when `count` proxies are synced, or have taken something of a type; or after `seconds`."""
        done: Callable[[], bool]
        if what == "synced":
            answer, done = self.synced, lambda: self.synced()["synced"] >= count
        else:
            answer, done = partial(self.taken, what), lambda: len(self._taken.get(what, _NONE).last) >= count
        self._deadline = time.monotonic() + seconds
        self._waiting = lambda: answer() if done() or time.monotonic() >= self._deadline else None
        self._answer_waiting()

    def _answer_waiting(self) -> None:
        if self._waiting is not None and (answer := self._waiting()) is not None:
            self._waiting = None
            _answer(answer)


def _different(before: Versions, now: Versions) -> dict[str, dict[str, tuple[str, str]]]:
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for type_url in before.keys() | now.keys():
        old, new = before.get(type_url, {}), now.get(type_url, {})
        for name in old.keys() | new.keys():
            if old.get(name) != new.get(name):
                found.setdefault(type_url, {})[name] = old.get(name, ""), new.get(name, "")
    return found


def _answer(document: Mapping[str, Any]) -> None:
    os.write(1, json.dumps(document).encode() + b"\n")


def main() -> None:
    host, port, authority = sys.argv[1:]
    Fleet((host, int(port)), authority).run()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
