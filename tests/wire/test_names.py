"""The mesh's names, from the daemon's folder to the agent's table: the agent's own subscription against the whole daemon."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from mizzen.agent.daemon import Daemon, Daemons
from mizzen.agent.name_discovery import NameDiscovery
from mizzen.agent.settings import HostPort
from mizzen.proto.api import DeltaDiscoveryResponse, NameTable
from mizzen.translate.name_table import NAME_TABLE
from tests.support.daemon import identity, node_id
from tests.support.discovery import until
from tests.wire.test_daemon import SERVICE, WORKLOAD, World

HEADLESS = """
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: tcp, port: 5432}]}
"""
NEW = SERVICE.format(name="new", namespace="shop")


class Agent:
    """What an agent follows of a daemon, wherever that is just now."""

    def __init__(self, workload: str = "shop/cart-0", account: str = "cart") -> None:
        self.workload = workload
        self.identity = identity("shop", account)

    @asynccontextmanager
    async def following(self, world: World):
        address = HostPort("127.0.0.1", world.daemon.port)
        daemon = Daemon(address, world.settings.state_dir / "ca" / "root-cert.pem")
        self.names = NameDiscovery(Daemons((daemon,)), node_id(self.workload), "shop", captures_ipv6=True)
        self.names.use(await world.daemon.credentials(self.identity))
        running = asyncio.create_task(self.names.run())
        try:
            yield self
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def find(self, name: str) -> tuple[str, ...] | None:
        found = self.names.table.find(name) if self.names.table is not None else None
        return found.addresses if found is not None else None

    async def finds(self, name: str, *addresses: str) -> None:
        """Wait until the name has these addresses, or any where none are named."""
        await until(lambda: self.find(name) == addresses if addresses else self.find(name))


@pytest.fixture
async def world(tmp_path):
    async with World(tmp_path).serving() as world:
        yield world


async def test_changes_reach_the_agent_and_are_not_done_before_they_do(world):
    async with Agent().following(world) as agent:
        await agent.finds("search")
        world.write("new.yaml", NEW)
        await agent.finds("new.shop")
        change = await world.change("Service shop/new")
        assert change["proxies"] == {"shop/cart-0": "acked"}
        (world.config / "new.yaml").unlink()
        await until(lambda: agent.find("new") is None)
        assert agent.find("search")


async def test_instances_come_and_go_and_others_endpoints_concern_no_agent(world):
    world.write("db.yaml", HEADLESS)
    async with Agent().following(world) as agent:
        await agent.finds("search")
        world.write("db-0.yaml", WORKLOAD.format(name="db", namespace="shop", address="10.0.0.9"))
        await agent.finds("db-0.db", "10.0.0.9")
        assert agent.find("db") == ("10.0.0.9",)
        world.write("search-0.yaml", WORKLOAD.format(name="search", namespace="shop", address="10.7.7.7"))
        change = await world.change("WorkloadEntry shop/search-0")
        assert change["proxies"] == {}


async def test_an_agent_is_no_second_proxy(world):
    async with world.proxy() as proxy, Agent().following(world) as agent:
        await agent.finds("search")
        status = await world.until(lambda status: len(of_cart(status)["sync"]) == 5)
        assert [one["typeName"] for one in of_cart(status)["sync"]][-1] == "names"
        assert len(status["workloads"]) == 3
        assert await metric(world, "pilot_xds ") == 1
        world.write("new.yaml", NEW)
        await agent.finds("new")
        await proxy.receive()
        pending = (await world.daemon.ask("status"))["changes"][0]["proxies"]
        assert pending == {"shop/cart-0": "pending"}, "the proxy itself has not answered"


def of_cart(status):
    return next(one for one in status["workloads"] if one["name"] == "shop/cart-0")


async def test_a_daemon_that_is_away_leaves_the_names_and_one_that_is_back_says_what_is_new(tmp_path):
    world, agent = World(tmp_path), Agent()
    world.write("old.yaml", SERVICE.format(name="old", namespace="shop"))
    async with AsyncExitStack() as stack:
        async with world.serving():
            await stack.enter_async_context(agent.following(world))
            await agent.finds("old")
        await until(lambda: not agent.names.connected)
        assert agent.find("old")
        world.write("new.yaml", NEW)
        (world.config / "old.yaml").unlink()
        world.settings = replace(world.settings, listen_port=world.daemon.port)
        async with world.serving():
            await agent.finds("new")
            await until(lambda: agent.find("old") is None)
            assert await metric(world, 'pilot_xds_pushes_total{type="names"}') == 2, (
                "what is new, what is gone"
            )
            assert await metric(world, 'mizzen_xds_sent_bytes_total{type="names"}') < 500


async def test_with_a_new_certificate_the_agent_goes_on(world):
    async with Agent().following(world) as agent:
        await agent.finds("search")
        agent.names.use(await world.daemon.credentials(agent.identity))
        async with asyncio.timeout(5):
            while agent.names.connected:  # it may be for less than a millisecond
                await asyncio.sleep(0)
        await until(lambda: agent.names.connected)
        world.write("new.yaml", NEW)
        await agent.finds("new")


async def test_an_agent_gets_the_names_of_its_own_workload_alone(world, caplog):
    async with Agent(account="search").following(world) as agent:
        await until(lambda: "may not run shop/cart-0" in caplog.text)
        await until(lambda: not agent.names.connected)
        assert agent.names.table is None


async def test_a_piece_that_cannot_be_read_is_refused_and_the_names_stay():
    names, sent = a_discovery(), []
    await names._answer(Sink(sent), piece("a.example.com", "10.0.0.1"))
    for broken in (piece("b.example.com", "nowhere"), piece("b.example.com", encoded=b"\xff")):
        await names._answer(Sink(sent), broken)
    assert [request.HasField("error_detail") for request in sent] == [False, True, True]
    assert set(names.table.names) == {"a.example.com"}


async def test_allocated_addresses_of_ipv6_are_answered_where_the_proxy_takes_them():
    for captures_ipv6, expected in ((True, ("2001:2::1", "fd00::1")), (False, ("fd00::1",))):
        names = a_discovery(captures_ipv6=captures_ipv6)
        await names._answer(Sink([]), piece("a.example.com", "2001:2::1", "fd00::1"))
        assert names.table.find("a.example.com").addresses == expected


def a_discovery(*, captures_ipv6: bool = True) -> NameDiscovery:
    daemon = Daemon(HostPort("127.0.0.1", 1), Path("none"))
    return NameDiscovery(Daemons((daemon,)), "node", "shop", captures_ipv6=captures_ipv6)


class Sink:
    def __init__(self, sent) -> None:
        self.sent = sent

    async def send_message(self, message) -> None:
        self.sent.append(message)


def piece(host: str, *addresses: str, encoded: bytes = b"") -> DeltaDiscoveryResponse:
    table = NameTable(table=[{"key": host, "value": {"ips": addresses}}])
    resource = {"type_url": NAME_TABLE, "value": encoded or table.SerializeToString()}
    return DeltaDiscoveryResponse(resources=[{"name": host, "version": "1", "resource": resource}])


async def metric(world, name: str) -> float:
    connector = aiohttp.UnixConnector(str(world.settings.state_dir / "admin.sock"))
    async with aiohttp.ClientSession(connector=connector) as session:
        text = await (await session.get("http://localhost/metrics")).text()
    return float(next(line for line in text.splitlines() if line.startswith(name)).split()[-1])
