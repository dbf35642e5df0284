"""Who loses the right to be served loses the stream: by revocation, and when the certificate has ended."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from grpclib.exceptions import GRPCError

from mizzen.ca.live import Watching
from mizzen.ca.revocation import Revocations, write_revocations
from mizzen.daemon.catalog import MeshCatalog
from mizzen.daemon.settings import Settings
from mizzen.daemon.standing import Standing
from mizzen.rpc.peer import Peer
from mizzen.xds.catalog import Node, Rejected
from mizzen.xds.resource import CLUSTER
from tests.support.daemon import identity, node_id, running_daemon
from tests.support.mesh import Mesh

WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}, namespace: shop}}
spec: {{address: 10.0.0.1, serviceAccount: {name}, labels: {{app: {name}}}}}
"""
SPIFFE = "spiffe://cluster.local/ns/shop/sa/"


async def test_a_revoked_workload_is_sent_away_and_not_let_in_again(tmp_path):
    config = tmp_path / "config"
    config.mkdir()
    for name in ("cart", "web"):
        (config / f"{name}.yaml").write_text(WORKLOAD.format(name=name))
    settings = replace(
        Settings(config=(config,), state_dir=tmp_path / "state", listen_port=0),
        ca_watching=Watching(every=timedelta(seconds=0.1)),
    )
    async with running_daemon(settings) as daemon:
        cart, web = [await daemon.join(identity("shop", name)) for name in ("cart", "web")]
        async with daemon.proxy(web, "shop/web") as neighbour:
            await neighbour.subscribe(CLUSTER)
            await neighbour.take(CLUSTER)
            with pytest.raises(GRPCError, match=f"{SPIFFE}cart is revoked"):
                await _served_until_the_end(daemon, cart)
            with pytest.raises(GRPCError, match="is revoked"):
                await _served_until_the_end(daemon, cart)
            with pytest.raises(GRPCError, match="is revoked"):
                await daemon.join(identity("shop", "cart"))
            await daemon.join(identity("shop", "web"))
            await neighbour.silent()


async def _served_until_the_end(daemon, context) -> None:
    async with asyncio.timeout(20), daemon.proxy(context, "shop/cart") as proxy:
        await proxy.subscribe(CLUSTER)
        await proxy.take(CLUSTER)
        write_revocations(daemon.shared / "ca", Revocations(identities=frozenset({SPIFFE + "cart"})))
        while True:
            await proxy.receive()


def test_a_stream_ends_with_its_certificate():
    mesh = Mesh(WORKLOAD.format(name="cart"), WORKLOAD.format(name="web"))
    catalog = MeshCatalog(mesh.db)
    for name, expires in (("cart", 1000.0), ("web", 5000.0)):
        catalog.connect(Peer(SPIFFE + name, "10.0.0.1:5", expires), Node(node_id(f"shop/{name}"), "", {}))
    now, ended = [999.0], []
    standing = Standing(
        catalog, Revocations, lambda session, _why: ended.append(session.name), lambda: now[0]
    )
    for moment, expected in ((999.0, []), (1050.0, []), (1061.0, ["shop/cart"])):
        now[0] = moment
        standing.look()
        assert ended == expected


def test_who_is_revoked_learns_nothing_of_what_is_registered():
    revoked = Revocations(identities=frozenset({SPIFFE + "cart"}))
    catalog = MeshCatalog(Mesh().db, revoked=lambda: revoked)
    with pytest.raises(Rejected, match="is revoked"):
        catalog.connect(Peer(SPIFFE + "cart", "10.0.0.1:5", 1e10), Node(node_id("shop/cart"), "", {}))
