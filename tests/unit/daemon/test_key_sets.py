"""Key sets come from a real server, over real connections, or not at all; time and chance are the test's."""

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from ipaddress import ip_address, ip_network

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from mizzen.daemon.key_sets import FILE, KeySetLimits, KeySets, RefusedError
from mizzen.derive.inputs import KeySource
from mizzen.errors import UserError

KEY = {
    "kty": "EC",
    "crv": "P-256",
    "kid": "one",
    "x": "kfYKM7PZTkvSLIyV0wjHFJ0QtITBOOpS0Jqaq8aca-A",
    "y": "U9QlHBALDtmQ1AUM4EzU85P3_czSENVynQIJHY92Lm8",
}
SECRET = {"kty": "oct", "kid": "two", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}
LOOPBACK = (ip_network("127.0.0.0/8"),)
PATIENCE = timedelta(seconds=5)


class Issuer:
    """A server whose answers the test sets; `asked` counts."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, json.dumps({"keys": [KEY]}), {}
        self.asked: list[str] = []
        self.pause = 0.0
        self.port = 0

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        await asyncio.sleep(self.pause)
        if request.path.endswith("openid-configuration"):
            return web.json_response({"jwks_uri": f"{self.base}/keys"})
        return web.Response(status=self.status, text=self.body, headers=self.headers)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def source(self) -> KeySource:
        return KeySource(f"{self.base}/keys")

    @asynccontextmanager
    async def running(self):
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            await runner.cleanup()


@pytest.fixture
async def issuer():
    async with Issuer().running() as made:
        yield made


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def made(tmp_path):
    """A KeySets, and what it has published."""

    def make(
        *,
        allowed=LOOPBACK,
        clock: Callable[[], float] | None = None,
        mesh=lambda _host, _port: (),
        limits: KeySetLimits | None = None,
    ):
        published: list[tuple[str, str]] = []
        key_sets = KeySets(
            tmp_path,
            lambda source, keys: published.append((source.uri, keys)),
            mesh,
            allowed=allowed,
            now=clock or Clock(),
            chance=lambda: 0.5,
            registry=CollectorRegistry(),
            limits=limits or KeySetLimits(),
        )
        return key_sets, published

    return make


async def refusal(key_sets: KeySets, source: KeySource, patience: float = 5.0) -> str:
    with pytest.raises(RefusedError) as refused:
        await key_sets.fetch(source, patience)
    return str(refused.value)


@asynccontextmanager
async def running(key_sets: KeySets):
    task = asyncio.create_task(key_sets.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def asked_more_than(issuer: Issuer, times: int) -> bool:
    return len(issuer.asked) > times


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


async def test_what_is_usable_is_fetched(issuer, made):
    issuer.body = json.dumps({"keys": [KEY, SECRET, {"kty": "RSA"}], "more": 1})
    key_sets, _ = made()
    assert json.loads(await key_sets.fetch(issuer.source, 5)) == {"keys": [KEY]}


async def test_an_issuer_says_where_its_keys_are(issuer, made):
    key_sets, _ = made()
    await key_sets.fetch(KeySource(f"{issuer.base}/.well-known/openid-configuration", discovered=True), 5)
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (302, "", "status 302"),
        (500, "{}", "status 500"),
        (200, "no json", "no JSON Web Key Set"),
        (200, '{"keys": []}', "no JSON Web Key Set"),
        (200, json.dumps({"keys": [SECRET]}), "no JSON Web Key Set"),
        (200, "[" * 100_000, "no JSON Web Key Set"),
        (200, " " * (1 << 20) + "{}", "longer than"),
    ],
)
async def test_an_answer_that_is_no_key_set(issuer, made, status, body, why):
    issuer.status, issuer.body, issuer.headers = (
        status,
        body,
        {"Location": "/elsewhere"} if status == 302 else {},
    )
    key_sets, _ = made()
    assert why in await refusal(key_sets, issuer.source)
    assert issuer.asked == ["/keys"]  # and nowhere else


async def test_nobody_waits_for_a_slow_server(issuer, made):
    issuer.pause = 2
    key_sets, _ = made()
    assert "no answer within" in await refusal(key_sets, issuer.source, 0.2)


async def test_this_machine_its_link_and_its_cloud_are_not_asked(issuer, made):
    key_sets, _ = made(allowed=())
    assert "is not asked" in await refusal(key_sets, issuer.source)
    assert "is not asked" in await refusal(key_sets, KeySource(f"http://localhost:{issuer.port}/keys"))
    assert issuer.asked == []


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "169.254.169.254", "224.0.0.1", "168.63.129.16"),
        *("::1", "::", "fe80::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "fd00:ec2::254", "ff02::1"),
    ],
)
def test_addresses_that_are_refused(made, address):
    key_sets, _ = made(allowed=())
    with pytest.raises(RefusedError):
        key_sets.require_allowed(ip_address(address))


@pytest.mark.parametrize("address", ["10.0.0.1", "192.0.2.7", "2001:db8::1", "::ffff:10.0.0.1"])
def test_addresses_that_are_not(made, address):
    key_sets, _ = made(allowed=())
    if address == "2001:db8::1":
        address = "2a00:1450::1"
    key_sets.require_allowed(ip_address(address))


async def test_a_name_is_judged_by_what_it_leads_to_and_that_is_connected_to(issuer, made):
    """A name that leads elsewhere at the second look finds nobody who looks twice."""
    asked = []

    def mesh(host, port):
        asked.append(host)
        return [("127.0.0.1", issuer.port)] if len(asked) == 1 else [("169.254.169.254", 80)]

    key_sets, _ = made(mesh=mesh)
    await key_sets.fetch(KeySource("http://keys.shop.svc.cluster.local:8000/keys"), 5)
    assert asked == ["keys.shop.svc.cluster.local"]
    assert "169.254.169.254 is not asked" in await refusal(key_sets, KeySource("http://keys:8000/keys"))


async def test_what_is_wanted_is_kept_fresh_and_what_is_not_is_forgotten(issuer, made):
    clock = Clock()
    key_sets, published = made(clock=clock)
    async with running(key_sets):
        key_sets.want({issuer.source: PATIENCE})
        await until(lambda: published)
        first = issuer.body
        issuer.body = json.dumps({"keys": [{**KEY, "kid": "next"}]})
        clock.now += 19 * 60
        key_sets.want({issuer.source: PATIENCE})
        await asyncio.sleep(0.1)
        assert len(issuer.asked) == 1
        clock.now += 4 * 60
        key_sets.want({issuer.source: PATIENCE})
        await until(lambda: len(published) == 2)
        key_sets.want({})
    assert [json.loads(keys)["keys"][0]["kid"] if keys else "" for _, keys in published] == [
        "one",
        "next",
        "",
    ]
    assert first != issuer.body


async def test_when_a_refresh_fails_the_last_keys_stay_for_a_day(issuer, made):
    clock = Clock()
    key_sets, published = made(clock=clock)
    async with running(key_sets):
        key_sets.want({issuer.source: PATIENCE})
        await until(lambda: published)
        issuer.status = 500
        tries = 1
        for hours, expected in ((1, 1), (22, 1), (2, 2)):
            clock.now += hours * 3600
            key_sets.want({issuer.source: PATIENCE})
            await until(partial(asked_more_than, issuer, tries))
            tries = len(issuer.asked)
            await asyncio.sleep(0.1)
            assert len(published) == expected
    assert published[-1][1] == ""


async def test_a_server_that_fails_is_asked_less_and_less_often(issuer, made):
    clock = Clock()
    issuer.status = 503
    key_sets, _ = made(clock=clock)
    async with running(key_sets):
        for pause in (0.0, 0.75, 1.5, 3.0):
            clock.now += pause - 0.1 if pause else 0
            key_sets.want({issuer.source: PATIENCE})
            asked = len(issuer.asked)
            if pause:
                await asyncio.sleep(0.1)
                assert len(issuer.asked) == asked
                clock.now += 0.2
                key_sets.want({issuer.source: PATIENCE})
            await until(partial(asked_more_than, issuer, asked))
            await asyncio.sleep(0.05)


async def test_a_restart_knows_what_was_fetched(issuer, made, tmp_path):
    key_sets, published = made()
    async with running(key_sets):
        key_sets.want({issuer.source: PATIENCE})
        await until(lambda: published)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    again, _ = made()
    assert dict(again.known) == {issuer.source: published[0][1]}
    (tmp_path / FILE).write_text("{")
    (tmp_path / FILE).chmod(0o600)
    damaged, _ = made()
    assert dict(damaged.known) == {}


async def test_more_than_can_be_kept(issuer, made, caplog):
    key_sets, published = made(limits=KeySetLimits(sources=2))
    async with running(key_sets):
        key_sets.want({KeySource(f"{issuer.base}/{number}"): PATIENCE for number in range(4)})
        await until(lambda: len(published) == 2)
        await asyncio.sleep(0.1)
    assert len(issuer.asked) == 2
    assert "only 2 are fetched" in caplog.text


def test_a_state_folder_that_cannot_be_written_stops_nothing(made, tmp_path, caplog, monkeypatch):
    def full(_path, _content):
        raise UserError("the disk is full")

    monkeypatch.setattr("mizzen.daemon.key_sets.write_private", full)
    key_sets, published = made()
    source = KeySource("http://issuer/keys")
    key_sets.want({source: PATIENCE})
    key_sets._fetched(source, key_sets._watched[source], "{}")
    assert published == [("http://issuer/keys", "{}")]
    assert "fetched again after a restart" in caplog.text
