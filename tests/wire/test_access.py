"""Who is let in, and how a proxy learns why it is not."""

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from mizzen.proto.api import DeltaDiscoveryRequest
from mizzen.rpc.tls import server_context
from mizzen.xds import delivery
from mizzen.xds.catalog import Rejected
from mizzen.xds.resource import CLUSTER, ENDPOINT
from tests.support.discovery import client, discovery, resource, snapshot
from tests.support.wire_certificates import Authority

ONE = snapshot(1, resource(CLUSTER, "a"))


async def test_the_catalogue_sees_the_certificate_and_the_node(tmp_path):
    authority = Authority(tmp_path)
    issued = authority.issue("server")
    context = server_context(issued.chain, issued.key, authority.pem)
    mine = authority.issue("client", uris=("spiffe://cluster.local/ns/shop/sa/cart",))
    async with (
        discovery(ONE, tls=lambda: context) as (server, catalog, *_),
        client(server.port, "sidecar~1.2.3.4~cart.shop", authority.client_context(mine)) as proxy,
    ):
        await proxy.subscribe(CLUSTER)
        assert await proxy.take(CLUSTER) == ["a"]
    ((peer, node),) = catalog.asked
    assert peer.identity == "spiffe://cluster.local/ns/shop/sa/cart"
    assert (node.id, node.cluster, node.metadata["LABELS"]) == (
        "sidecar~1.2.3.4~cart.shop",
        "c",
        {"app": "cart"},
    )


@pytest.mark.parametrize(
    ("unauthenticated", "status"), [(False, Status.PERMISSION_DENIED), (True, Status.UNAUTHENTICATED)]
)
async def test_a_rejected_proxy_is_told_why(unauthenticated, status):
    async with discovery(ONE) as (server, catalog, events, _), client(server.port) as proxy:
        catalog.rejected = Rejected("no workload shop/cart is registered", unauthenticated=unauthenticated)
        await proxy.subscribe(CLUSTER)
        with pytest.raises(GRPCError, match="no workload shop/cart is registered") as refused:
            await proxy.receive()
    assert refused.value.status is status
    assert events.log == []


async def test_the_first_request_must_carry_the_node():
    async with discovery(ONE) as (server, *_), client(server.port) as proxy:
        await proxy._stream.send_message(DeltaDiscoveryRequest(type_url=CLUSTER))
        with pytest.raises(GRPCError, match="must carry the node"):
            await proxy.receive()


async def test_a_proxy_can_be_sent_away():
    async with discovery(ONE) as (server, catalog, _, service), client(server.port) as proxy:
        await proxy.subscribe(CLUSTER)
        await proxy.take(CLUSTER)
        service.end(catalog.sessions[0], "the workload shop/cart is gone")
        with pytest.raises(GRPCError, match="the workload shop/cart is gone"):
            await proxy.receive()


async def test_what_a_proxy_may_ask_for_is_bounded(monkeypatch):
    monkeypatch.setattr(delivery, "_MOST_NAMES", 3)
    async with discovery(ONE) as (server, *_), client(server.port) as proxy:
        await proxy.subscribe(ENDPOINT, *"abcd")
        with pytest.raises(GRPCError, match="at most 3 names"):
            await proxy.receive()


async def test_the_number_of_types_is_bounded(monkeypatch):
    monkeypatch.setattr(delivery, "_MOST_TYPES", 1)
    async with discovery(ONE) as (server, *_), client(server.port) as proxy:
        await proxy.subscribe(ENDPOINT)
        await proxy.subscribe(CLUSTER)
        with pytest.raises(GRPCError, match="at most 1 types"):
            await proxy.receive()
