"""The whole daemon over real TLS: a folder of YAML at one end, scripted proxies at the other."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from mizzen.daemon.settings import Settings
from mizzen.proto.api import ClusterLoadAssignment, RouteConfiguration
from mizzen.sources import files
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.support.daemon import Reached, identity, running_daemon
from tests.support.discovery import names_of

SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80}}]}}
"""
WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}-0, namespace: {namespace}}}
spec: {{address: {address}, labels: {{app: {name}}}, serviceAccount: {name}}}
"""
ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: search, namespace: {namespace}}}
spec:
  hosts: [{host}]
  exportTo: ["{export_to}"]
  http:
  - timeout: {timeout}
    route: [{{destination: {{host: {host}}}}}]
"""
SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {egress: [{hosts: ["./*"]}]}
"""
SEARCH = "outbound|80||search.shop.svc.cluster.local"
CART = identity("shop", "cart")


class World:
    """A daemon, its folder, and what proxies have taken."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config"
        self.settings = Settings(
            config=(self.config,),
            state_dir=folder / "state",
            listen_port=0,
            admin_port=0,
        )
        self.config.mkdir()
        for name, address in (("cart", "10.0.0.1"), ("search", "10.0.0.2")):
            self.write(f"{name}.yaml", SERVICE.format(name=name, namespace="shop"))
            self.write(f"{name}-0.yaml", WORKLOAD.format(name=name, namespace="shop", address=address))
        self.write(
            "bank.yaml",
            SERVICE.format(name="vault", namespace="bank")
            + "---"
            + WORKLOAD.format(name="vault", namespace="bank", address="10.0.1.1"),
        )
        self.daemon: Reached

    def write(self, name: str, text: str) -> None:
        (self.config / f".{name}").write_text(text)
        (self.config / f".{name}").rename(self.config / name)

    @asynccontextmanager
    async def serving(self):
        async with running_daemon(self.settings) as self.daemon:
            yield self

    @asynccontextmanager
    async def proxy(self, workload: str = "shop/cart-0", account=CART):
        """A proxy that holds everything, once the daemon knows that it does."""
        async with self.daemon.proxy(await self.daemon.join(account), workload) as proxy:
            await take_all(proxy)
            await self.until(lambda status: synced(status, workload))
            yield proxy

    async def until(self, condition):
        """The status, once the condition holds for it."""
        async with asyncio.timeout(10):
            while not condition(status := await self.daemon.ask("status")):
                await asyncio.sleep(0.02)
        return status

    async def change(self, *objects: str):
        """The record of the change of these objects, once all proxies have answered."""

        def recorded(status):
            return [
                change
                for change in status["changes"]
                if set(objects) <= set(change["objects"]) and "pending" not in change["proxies"].values()
            ]

        return recorded(await self.until(recorded))[0]


async def take_all(proxy, held=None) -> list[str]:
    """As Envoy at its start: clusters, their endpoints, listeners, their routes. Returns what came."""
    held = held or {}
    came = []
    for type_url, names in ((CLUSTER, ()), (ENDPOINT, (SEARCH,)), (LISTENER, ()), (ROUTE, ("80",))):
        await proxy.subscribe(type_url, *names, held=held.get(type_url))
        if type_url not in held:
            came += await proxy.take(type_url)
    return came


def synced(status, workload: str) -> bool:
    found = next(one for one in status["workloads"] if one["name"] == workload)
    return bool(found["sync"]) and all(one["state"] == "synced" for one in found["sync"])


def addresses(response) -> list[str]:
    (found,) = response.resources
    message = ClusterLoadAssignment.FromString(found.resource.value)
    return [
        endpoint.endpoint.address.socket_address.address
        for locality in message.endpoints
        for endpoint in locality.lb_endpoints
    ]


@pytest.fixture
async def world(tmp_path):
    async with World(tmp_path).serving() as world:
        yield world


async def test_from_a_token_to_an_acknowledged_change(world):
    async with world.proxy() as proxy:
        assert SEARCH in proxy.held[CLUSTER]
        world.write(
            "routes.yaml", ROUTES.format(namespace="shop", host="search", export_to="*", timeout="3s")
        )
        response = await proxy.receive(ROUTE)
        await proxy.ack(response)
        (found,) = response.resources
        config = RouteConfiguration.FromString(found.resource.value)
        (search,) = (host for host in config.virtual_hosts if host.name.startswith("search.shop."))
        assert search.routes[0].route.timeout.seconds == 3
        change = await world.change("VirtualService shop/search")
        assert change["proxies"] == {"shop/cart-0": "acked"}
        await proxy.silent()


async def test_a_refusal_reaches_the_status_with_the_line_that_made_it(world):
    async with world.proxy() as proxy:
        world.write(
            "routes.yaml", ROUTES.format(namespace="shop", host="search", export_to="*", timeout="3s")
        )
        await proxy.nack(await proxy.receive(ROUTE), "no such route")
        change = await world.change("VirtualService shop/search")
        assert change["proxies"] == {"shop/cart-0": "rejected"}
        (rejection,) = (await world.daemon.ask("status"))["rejections"]
        assert rejection["error"] == "no such route"
        assert f"VirtualService shop/search at {world.config}/routes.yaml:9:5" in rejection["origins"]


async def refusal(world, context, workload: str, metadata=None) -> GRPCError:
    async def ask():
        async with world.daemon.proxy(context, workload, metadata=metadata) as proxy:
            await proxy.subscribe(CLUSTER)
            await proxy.receive()

    with pytest.raises(GRPCError) as caught:
        await ask()
    return caught.value


async def test_the_identity_in_the_certificate_decides(world):
    refused = await refusal(world, await world.daemon.join(CART), "shop/search-0")
    assert refused.status is Status.PERMISSION_DENIED
    assert "may not run shop/search-0" in refused.message


async def test_without_a_certificate_there_is_nothing(world):
    refused = await refusal(world, world.daemon.context(), "shop/cart-0")
    assert refused.status is Status.UNAUTHENTICATED


async def test_what_another_namespace_keeps_to_itself_sends_this_proxy_nothing(world):
    async with world.proxy() as shop, world.proxy("bank/vault-0", identity("bank", "vault")) as bank:
        route = ROUTES.format(
            namespace="bank", host="vault.bank.svc.cluster.local", export_to=".", timeout="3s"
        )
        world.write("routes.yaml", route)
        assert await bank.take(ROUTE) == ["80"]
        change = await world.change("VirtualService bank/search")
        assert change["proxies"] == {"bank/vault-0": "acked"}
        await shop.silent()


async def test_a_sidecar_shrinks_what_a_proxy_gets_and_what_it_leaves_out_sends_nothing(world):
    async with world.proxy() as cart, world.proxy("bank/vault-0", identity("bank", "vault")) as bank:
        vault = "outbound|80||vault.bank.svc.cluster.local"
        assert vault in cart.held[CLUSTER]
        world.write("sidecar.yaml", SIDECAR)
        await cart.take(ROUTE)
        assert await cart.take(CLUSTER) == [f"-{vault}"]
        await world.change("Sidecar shop/default")

        world.write("more.yaml", SERVICE.format(name="more", namespace="bank"))
        assert "outbound|80||more.bank.svc.cluster.local" in await bank.take(CLUSTER)
        await cart.silent()
        world.write("vault-0.yaml", WORKLOAD.format(name="vault", namespace="bank", address="10.0.1.9"))
        await cart.silent()


async def test_an_endpoint_is_its_load_assignment_and_nothing_else(world):
    async with world.proxy() as proxy:
        world.write("search-0.yaml", WORKLOAD.format(name="search", namespace="shop", address="10.7.7.7"))
        response = await proxy.receive(ENDPOINT)
        await proxy.ack(response)
        assert names_of(response) == [SEARCH]
        assert addresses(response) == ["10.7.7.7"]
        await world.change("WorkloadEntry shop/search-0")
        await proxy.silent()


async def test_who_drains_gets_no_new_traffic_until_it_is_well(world):
    search = await world.daemon.join(identity("shop", "search"))
    async with world.proxy() as proxy:
        for healthy, expected in ((False, []), (True, ["10.0.0.2"])):
            await world.daemon.report_health(search, "shop/search-0", healthy=healthy, reason="draining")
            response = await proxy.receive(ENDPOINT)
            await proxy.ack(response)
            assert addresses(response) == expected
            workloads = {one["name"]: one for one in (await world.daemon.ask("status"))["workloads"]}
            assert workloads["shop/search-0"]["healthReason"] == ("" if healthy else "draining")
        await proxy.silent()


async def test_a_comment_is_no_change_but_its_lines_count(world):
    async with world.proxy() as proxy:
        revision = (await world.daemon.ask("status"))["revision"]
        world.write("cart.yaml", "# why\n" + SERVICE.format(name="cart", namespace="shop"))
        world.write(
            "routes.yaml", ROUTES.format(namespace="shop", host="search", export_to="*", timeout="3s")
        )
        assert await proxy.take(ROUTE) == ["80"]
        change = await world.change("VirtualService shop/search")
        assert change["objects"] == ["VirtualService shop/search"]
        assert change["revision"] == revision + 1


async def test_after_a_restart_what_did_not_change_is_not_sent_again(tmp_path):
    world = World(tmp_path)
    async with world.serving(), world.proxy() as proxy:
        held = proxy.held
    world.write("search-0.yaml", WORKLOAD.format(name="search", namespace="shop", address="10.7.7.7"))
    async with world.serving():
        context = await world.daemon.join(CART)
        async with world.daemon.proxy(context, "shop/cart-0") as proxy:
            proxy.held = held
            assert await take_all(proxy, held) == []
            response = await proxy.receive(ENDPOINT)
            await proxy.ack(response)
            assert addresses(response) == ["10.7.7.7"]
            await world.until(lambda status: synced(status, "shop/cart-0"))
            await proxy.silent()


async def test_a_broken_file_costs_a_diagnostic_and_nothing_else(world):
    async with world.proxy() as proxy:
        world.write("search-0.yaml", "{{{")
        status = await world.until(lambda status: status["diagnostics"])
        assert any("search-0.yaml" in found["location"] for found in status["diagnostics"])
        await proxy.silent()
        world.write("search-0.yaml", WORKLOAD.format(name="search", namespace="shop", address="10.7.7.7"))
        assert await proxy.take(ENDPOINT) == [SEARCH]
        assert not (await world.daemon.ask("status"))["diagnostics"]


async def test_a_file_that_cannot_be_read_is_named_and_what_it_held_stays(world, monkeypatch):
    def unreadable(name, *arguments, **named):
        if name.endswith("/search-0.yaml"):
            raise PermissionError(13, "Permission denied")
        return open(name, *arguments, **named)  # noqa: PTH123  # as the source does

    async with world.proxy() as proxy:
        monkeypatch.setattr(files, "open", unreadable, raising=False)
        (world.config / "search-0.yaml").touch()
        (found,) = (await world.until(lambda status: status["diagnostics"]))["diagnostics"]
        assert found["code"] == "MZ0005"
        assert "search-0.yaml" in found["location"]
        assert "Permission denied" in found["message"]
        await proxy.silent()


async def test_what_is_wrong_between_objects_is_shown_while_it_is_wrong(world):
    routes = ROUTES.format(namespace="shop", host="search", export_to="*", timeout="1s")
    world.write("routes.yaml", routes.replace("{host: search}", "{host: search, subset: v9}"))
    (found,) = (await world.until(lambda status: status["diagnostics"]))["diagnostics"]
    assert (found["code"], found["resource"]) == ("IST0101", "VirtualService shop/search")
    assert found["location"].endswith("routes.yaml:10:42")
    world.write("routes.yaml", routes)
    await world.until(lambda status: not status["diagnostics"])


GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: search, namespace: shop}
spec:
  template: {serviceAccount: search, labels: {app: search}}
  probe: {httpGet: {port: 8080, path: /health}}
"""


async def test_a_workload_registers_itself_and_is_called_when_it_is_well(world):
    world.write("group.yaml", GROUP)
    await world.change("WorkloadGroup shop/search")
    member, context = "shop/search-10-0-0-1", await world.daemon.join(identity("shop", "search"))
    metadata = {"WORKLOAD_GROUP": "search"}
    async with world.proxy() as caller:
        refused = await refusal(world, context, member, metadata)
        assert "it is joining WorkloadGroup search" in refused.message
        await world.until(lambda status: member in {one["name"] for one in status["workloads"]})
        async with world.daemon.proxy(context, member, metadata=metadata) as proxy:
            await proxy.subscribe(CLUSTER)
            assert await proxy.take(CLUSTER)
            probe = await world.daemon.report_health(context, member, healthy=True)
            assert json.loads(probe)["httpGet"] == {"port": 8080, "path": "/health"}
            response = await caller.receive(ENDPOINT)
            await caller.ack(response)
            assert sorted(addresses(response)) == ["10.0.0.1", "10.0.0.2"]
