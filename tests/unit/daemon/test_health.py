"""Health reports over real TLS: from agents about their own workload, from nobody about another's."""

from contextlib import asynccontextmanager

import pytest
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from mizzen.daemon import health
from mizzen.daemon.health import METHOD, HealthService
from mizzen.proto.api import HealthReport, HealthReportResponse
from mizzen.rpc.admission import Limits
from mizzen.rpc.server import RpcServer
from mizzen.rpc.tls import server_context
from tests.support.mesh import Mesh
from tests.support.wire_certificates import Authority

WORKLOADS = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: cart-0, namespace: shop}
spec: {address: 10.0.0.1, serviceAccount: cart}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: search-0, namespace: shop}
spec: {address: 10.0.0.2, serviceAccount: search}
"""


class World:
    def __init__(self, folder) -> None:
        self.authority = Authority(folder)
        self.reports: list[tuple[str, str]] = []
        self.port = 0
        self.now = 1000.0
        self.sheds: list[tuple[str, ...]] = []

    @asynccontextmanager
    async def serving(self):
        own = self.authority.issue("daemon", dns=("localhost",))
        context = server_context(own.chain, own.key, self.authority.pem)
        service = HealthService(
            Mesh(WORKLOADS).db,
            lambda key, reason: self.reports.append((key.name, reason)),
            clock=lambda: self.now,
            shed=lambda *shed: self.sheds.append(shed),
        )
        server = RpcServer([service], tls=lambda: context)
        await server.start("127.0.0.1", 0)
        self.port = server.port
        try:
            yield self
        finally:
            await server.close()

    async def report(self, workload: str, account: str | None = "cart", **fields) -> None:
        client = None
        if account is not None:
            client = self.authority.issue(account, uris=(f"spiffe://cluster.local/ns/shop/sa/{account}",))
        async with Channel("127.0.0.1", self.port, ssl=self.authority.client_context(client)) as channel:
            call = UnaryUnaryMethod(channel, METHOD, HealthReport, HealthReportResponse)
            node_id = f"sidecar~10.0.0.1~{workload}.shop~shop.svc.cluster.local"
            await call(HealthReport(node_id=node_id, **fields), timeout=5)


@pytest.fixture
async def world(tmp_path):
    async with World(tmp_path).serving() as world:
        yield world


async def test_an_agent_tells_of_its_own_workload(world):
    await world.report("cart-0", healthy=False, reason="draining")
    await world.report("cart-0", healthy=False)
    await world.report("cart-0", healthy=True, reason="what was")
    assert world.reports == [("cart-0", "draining"), ("cart-0", "unhealthy"), ("cart-0", "")]


@pytest.mark.parametrize(
    ("workload", "account", "status", "words"),
    [
        ("search-0", "cart", Status.PERMISSION_DENIED, "may not run shop/search-0"),
        ("other-0", "cart", Status.PERMISSION_DENIED, "no workload shop/other-0 is registered"),
        ("cart-0", None, Status.UNAUTHENTICATED, "a client certificate of the mesh is needed"),
    ],
)
async def test_nobody_tells_of_anothers(world, workload, account, status, words):
    with pytest.raises(GRPCError) as caught:
        await world.report(workload, account, healthy=False, reason="draining")
    assert caught.value.status is status
    assert words in caught.value.message
    assert world.reports == []


async def test_an_agent_that_reports_in_a_loop_is_told_to_come_again(tmp_path, monkeypatch):
    monkeypatch.setattr(health, "LIMITS", Limits(burst=2, per_second=1))
    async with World(tmp_path).serving() as limited:
        await limited.report("cart-0", healthy=True)
        await limited.report("cart-0", healthy=False, reason="draining")
        with pytest.raises(GRPCError, match="shop/cart-0 asks for reports too often") as refused:
            await limited.report("cart-0", healthy=True)
        assert refused.value.status is Status.RESOURCE_EXHAUSTED
        assert limited.sheds == [("reports", "caller")]
        await limited.report("search-0", account="search", healthy=True)
        limited.now += 1
        await limited.report("cart-0", healthy=True)
    assert limited.reports == [("cart-0", ""), ("cart-0", "draining"), ("search-0", ""), ("cart-0", "")]
