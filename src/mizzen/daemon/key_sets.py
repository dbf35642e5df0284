"""Fetches the key sets by which proxies verify tokens: in the background, from addresses that are allowed, within bounds.

Who writes a RequestAuthentication has the daemon ask a server of their choice. So nothing is followed (no redirects, no proxy of
the environment), an address is judged after its name is resolved and is the one that is connected to, and answers are short
and soon. What was fetched is kept in the state folder: after a restart tokens are verified as before.

While no keys are known, tokens of their issuer are refused (`translate/http_filters/jwt_authn.py`). Where a refresh fails the
last keys stay for a day, in which somebody can look after it; then they are forgotten.
"""

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from prometheus_client import CollectorRegistry, Counter, Gauge

from mizzen.ca.files import read_private, write_private
from mizzen.config.json_web_keys import usable_keys
from mizzen.daemon.settings import Network
from mizzen.derive.inputs import KeySource
from mizzen.errors import UserError
from mizzen.http_body import TooLongError, read_at_most
from mizzen.processes import BackOff

FILE = "key-sets.json"
"""In the state folder."""

Address = IPv4Address | IPv6Address
MeshAddresses = Callable[[str, int], Iterable[tuple[str, int]]]
"""(host, port) -> where a service of the mesh answers; nothing for a host that is none."""

_log = logging.getLogger(__name__)
# Half of a second to one, doubling to five minutes at most.
_RETRY = BackOff(first_seconds=0.5, max_seconds=150.0, jitter=1.0)

# Where clouds tell a machine its secrets, as far as these are not link-local anyway.
_METADATA = frozenset(
    map(ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd20:ce::254"))
)


@dataclass(frozen=True, slots=True)
class KeySetLimits:
    refresh_seconds: float = 20 * 60.0  # Istio's
    kept_seconds: float = 24 * 3600.0  # for how long the last keys stay when no refresh succeeds
    longest_timeout_seconds: float = 30.0  # of one fetch, whatever a rule asks for
    max_bytes: int = 1 << 20
    sources: int = 500  # beyond, tokens are refused
    concurrency: int = 8


class RefusedError(Exception):
    """A key set that cannot be had; the message says why."""


@dataclass(slots=True)
class _Watched:
    """One source. `fetched` is when the keys that are known were fetched; 0: none are known."""

    patience: float
    due: float = 0.0
    failures: int = 0
    fetched: float = 0.0
    busy: bool = False
    keys: str = ""


@dataclass(slots=True)
class KeySets:
    """Keeps what `want` asks for. `publish` is told of every change, "" for keys that are no longer known; `now` is wall-clock time
    in seconds, so that ages survive a restart; `chance` is in [0, 1).
    """

    folder: Path
    publish: Callable[[KeySource, str], None]
    mesh_addresses: MeshAddresses
    allowed: tuple[Network, ...]
    now: Callable[[], float]
    chance: Callable[[], float]
    registry: CollectorRegistry
    limits: KeySetLimits = KeySetLimits()
    _watched: dict[KeySource, _Watched] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _fetches: Counter = field(init=False)

    def __post_init__(self) -> None:
        self._fetches = Counter(
            "mizzen_key_set_fetches", "Tries to fetch a key set.", ["outcome"], registry=self.registry
        )
        unknown = Gauge(
            "mizzen_key_sets_unknown", "Key sets without which tokens are refused.", registry=self.registry
        )
        unknown.set_function(lambda: sum(not one.keys for one in self._watched.values()))
        for source, known in _remembered(self.folder / FILE).items():
            self._watched[source] = _Watched(0.0, fetched=known[0], keys=known[1])

    @property
    def known(self) -> Mapping[KeySource, str]:
        """At the start, what the last run had fetched."""
        return {source: one.keys for source, one in self._watched.items() if one.keys}

    def want(self, sources: Mapping[KeySource, timedelta]) -> None:
        """Exactly these, from now on; those that are new are fetched at once."""
        if len(sources) > self.limits.sources:
            _log.warning(
                "%d key sets are wanted, only %d are fetched: tokens of the other issuers are refused",
                len(sources),
                self.limits.sources,
            )
        wanted = dict(sorted(sources.items())[: self.limits.sources])
        for source in self._watched.keys() - wanted.keys():
            if self._watched.pop(source).keys:
                self.publish(source, "")
        for source, patience in wanted.items():
            seconds = min(patience.total_seconds(), self.limits.longest_timeout_seconds)
            self._watched.setdefault(source, _Watched(seconds)).patience = seconds
        self._wake.set()

    async def run(self) -> None:
        """Fetch until cancelled."""
        slots = asyncio.Semaphore(self.limits.concurrency)
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                now = self.now()
                for source, one in self._watched.items():
                    if one.due <= now and not one.busy:
                        one.busy = True
                        tasks.create_task(self._refresh(source, one, slots))
                pause = min((one.due - now for one in self._watched.values() if not one.busy), default=3600.0)
                with suppress(TimeoutError):
                    # Not wait_for: in Python 3.11 it loses a cancellation that comes together with what it waits for.
                    async with asyncio.timeout(max(pause, 0.05)):
                        await self._wake.wait()

    async def _refresh(self, source: KeySource, one: _Watched, slots: asyncio.Semaphore) -> None:
        try:
            async with slots:
                keys = await self.fetch(source, one.patience)
        except RefusedError as error:
            self._failed(source, one, str(error))
        else:
            self._fetched(source, one, keys)
        finally:
            one.busy = False
            self._wake.set()

    def _fetched(self, source: KeySource, one: _Watched, keys: str) -> None:
        self._fetches.labels("fetched").inc()
        if one.failures:
            _log.info("the keys at %s are here", source.uri)
        now = self.now()
        one.failures, one.fetched = 0, now
        one.due = now + self.limits.refresh_seconds * (0.9 + 0.2 * self.chance())
        if self._watched.get(source) is not one:
            return  # nobody wants it any more
        changed = keys != one.keys
        one.keys = keys
        self._remember()
        if changed:
            self.publish(source, keys)

    def _failed(self, source: KeySource, one: _Watched, why: str) -> None:
        self._fetches.labels("failed").inc()
        one.failures += 1
        now = self.now()
        one.due = now + _RETRY.delay_seconds(one.failures, self.chance())
        if one.keys and now - one.fetched > self.limits.kept_seconds:
            one.keys = ""
            self._remember()
            self.publish(source, "")
        if one.failures == 1 or not one.keys:
            effect = "the last ones stay in force" if one.keys else "tokens of this issuer are refused"
            level = logging.WARNING if one.failures == 1 else logging.DEBUG
            _log.log(level, "cannot fetch the keys at %s: %s; %s", source.uri, why, effect)

    def _remember(self) -> None:
        rows = [
            {"uri": source.uri, "discovered": source.discovered, "fetched": one.fetched, "keys": one.keys}
            for source, one in sorted(self._watched.items())
            if one.keys
        ]
        try:
            write_private(self.folder / FILE, json.dumps(rows).encode())
        except UserError as error:
            _log.warning("key sets will have to be fetched again after a restart: %s", error)

    async def fetch(self, source: KeySource, patience: float) -> str:
        """One key set, now. Raises RefusedError."""
        try:
            async with asyncio.timeout(patience), self._session() as session:
                uri = source.uri
                if source.discovered:
                    uri = _keys_of(await self._get(session, uri))
                keys = usable_keys((await self._get(session, uri)).decode(), secret=False)
        except TimeoutError:
            raise RefusedError(f"no answer within {patience:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError, TooLongError) as error:
            raise RefusedError(str(error) or type(error).__name__) from None
        if keys is None:
            raise RefusedError("the answer is no JSON Web Key Set with a public key for signatures")
        return keys

    def _session(self) -> aiohttp.ClientSession:
        resolver = _Resolver(self.mesh_addresses, self.require_allowed)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def _get(self, session: aiohttp.ClientSession, uri: str) -> bytes:
        parts = urlsplit(uri)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise RefusedError(f"{uri} is no http:// or https:// address")
        literal = _literal(parts.hostname)
        if literal is not None:  # aiohttp resolves no literals
            self.require_allowed(literal)
        async with session.get(uri, allow_redirects=False, headers={"Accept": "application/json"}) as answer:
            if answer.status != 200:
                raise RefusedError(f"the server answered with status {answer.status}")
            return await read_at_most(answer, self.limits.max_bytes)

    def require_allowed(self, address: Address) -> None:
        """Raises RefusedError for an address at which this machine, its link or its cloud would answer."""
        plain = getattr(address, "ipv4_mapped", None) or address
        if any(plain in network for network in self.allowed):
            return
        if (
            plain.is_loopback
            or plain.is_link_local
            or plain.is_unspecified
            or plain.is_multicast
            or plain.is_reserved
            or plain in _METADATA
        ):
            raise RefusedError(f"{address} is not asked: --allow-key-address would allow it")


class _Resolver(AbstractResolver):
    """Names of the mesh's services as the mesh knows them, all others as the system does. Only what is allowed comes out."""

    def __init__(self, mesh: MeshAddresses, require_allowed: Callable[[Address], None]) -> None:
        self._mesh = mesh
        self._require_allowed = require_allowed

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002  # aiohttp's interface
    ) -> list[ResolveResult]:
        found = list(self._mesh(host, port)) or await self._by_system(host, port)
        if not found:
            raise OSError(f"{host} has no address")
        for address, _ in found:
            self._require_allowed(ip_address(address))
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=number,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address, number in found
        ]

    async def _by_system(self, host: str, port: int) -> list[tuple[str, int]]:
        loop = asyncio.get_running_loop()
        rows = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(str(row[4][0]).partition("%")[0], port) for row in rows]

    async def close(self) -> None:
        pass


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _keys_of(body: bytes) -> str:
    """Where the document of OpenID Connect Discovery says that the keys are."""
    document = _document(body)
    uri = document.get("jwks_uri")
    if not isinstance(uri, str):
        raise RefusedError("the issuer's document names no jwks_uri")
    return uri


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError("the answer is no JSON") from None
    if not isinstance(found, dict):
        raise RefusedError("the answer is no JSON object")
    return found


def _remembered(file: Path) -> Mapping[KeySource, tuple[float, str]]:
    """What the last run had fetched; nothing where the file is absent or damaged."""
    try:
        rows = json.loads(read_private(file))
        return {
            KeySource(row["uri"], row["discovered"]): (float(row["fetched"]), str(row["keys"]))
            for row in rows
        }
    except (UserError, ValueError, KeyError, TypeError):
        return {}


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks that a setting allows. Raises UserError."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            raise UserError(f"{text!r} is no address and no network", "write 10.0.0.0/8") from None
    return tuple(found)
