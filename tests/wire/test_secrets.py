"""Secrets over the wire: each gateway gets those of its own namespace that its servers name, and nobody gets any other."""

import asyncio
import itertools
from contextlib import asynccontextmanager

import pytest

from mizzen.daemon.settings import Settings
from mizzen.proto.api import Secret
from mizzen.xds.resource import LISTENER, SECRET
from tests.support.daemon import identity, running_daemon
from tests.support.discovery import names_of
from tests.support.edge_secrets import leaf, roots, secret, tls_secret

WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{address: {address}, labels: {labels}, serviceAccount: {name}}}
"""
EDGE = "{istio: ingressgateway}"
GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: teams}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ["a.example.com"]
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ["a.example.com"]
    tls: {mode: MUTUAL, credentialName: cert}
  - port: {number: 443, name: greedy, protocol: HTTPS}
    hosts: ["b.example.com"]
    tls: {mode: SIMPLE, credentialName: "kubernetes://bank/cert"}
"""
OWN, ROOTS = "kubernetes://cert", "kubernetes://cert-cacert"
OTHERS = ("kubernetes://bank/cert", "kubernetes://unused", "cert", "kubernetes://cert-cacert-cacert")


@pytest.fixture
async def world(tmp_path):
    config = tmp_path / "config"
    config.mkdir()
    texts = {
        "gw": WORKLOAD.format(name="gw", namespace="edge", address="10.0.0.1", labels=EDGE),
        "bank-gw": WORKLOAD.format(name="gw", namespace="bank", address="10.0.0.2", labels=EDGE),
        "api": WORKLOAD.format(name="api", namespace="edge", address="10.0.0.3", labels="{app: api}"),
        "gateway": GATEWAY,
        "cert": tls_secret("edge", "cert", "edge.example.com", ca_crt=roots()),
        "bank-cert": tls_secret("bank", "cert", "bank.example.com"),
        "unused": tls_secret("edge", "unused", "unused.example.com"),
    }
    for name, text in texts.items():
        (config / f"{name}.yaml").write_text(text)
    settings = Settings(config=(config,), state_dir=tmp_path / "state", listen_port=0, admin_port=0)
    async with running_daemon(settings) as daemon:
        yield World(daemon, config)


class World:
    def __init__(self, daemon, config):
        self.daemon = daemon
        self._config = config

    @asynccontextmanager
    async def proxy(self, workload, kind="router"):
        namespace, name = workload.split("/")
        context = await self.daemon.join(identity(namespace, name))
        async with self.daemon.proxy(context, workload, kind) as proxy:
            yield proxy

    def write(self, name, text):
        (self._config / ".new").write_text(text)
        (self._config / ".new").rename(self._config / f"{name}.yaml")

    def remove(self, name):
        (self._config / f"{name}.yaml").unlink()


def keys_of(response):
    """Name -> the private key, of the secrets in a response."""
    found = [Secret.FromString(each.resource.value) for each in response.resources]
    return {each.name: each.tls_certificate.private_key.inline_bytes for each in found}


async def test_a_gateway_gets_the_secrets_of_its_own_namespace(world):
    for workload, host in (("edge/gw", "edge.example.com"), ("bank/gw", "bank.example.com")):
        async with world.proxy(workload) as proxy:
            await proxy.subscribe(SECRET, OWN)
            assert keys_of(await proxy.receive(SECRET)) == {OWN: leaf(host)[1]}


async def test_roots_come_without_a_key(world):
    async with world.proxy("edge/gw") as proxy:
        await proxy.subscribe(SECRET, ROOTS)
        (found,) = (await proxy.receive(SECRET)).resources
        message = Secret.FromString(found.resource.value)
        assert message.validation_context.trusted_ca.inline_bytes == roots()
        assert not message.HasField("tls_certificate")


@pytest.mark.parametrize("order", list(itertools.permutations(OTHERS[:3])), ids=str)
async def test_what_no_server_of_its_names_it_does_not_get(world, order):
    """In any order, alone or with what it may have, before its listeners or after."""
    async with world.proxy("edge/gw") as proxy:
        await proxy.subscribe(SECRET, order[0])
        assert await proxy.take(SECRET) == [f"-{order[0]}"]
        await proxy.subscribe(LISTENER)
        await proxy.take(LISTENER)
        await proxy.subscribe(SECRET, order[1], OWN)
        response = await proxy.receive(SECRET)
        assert set(names_of(response)) == {OWN, f"-{order[1]}"}
        await proxy.ack(response)
        await proxy.subscribe(SECRET, *order, OTHERS[3])
        response = await proxy.receive(SECRET)
        assert not response.resources
        await proxy.ack(response)


@pytest.mark.parametrize("kind", ["sidecar", "router"])
@pytest.mark.parametrize("first", [(OWN, ROOTS), (*OTHERS, OWN), ("*",), ("*", OWN)], ids=str)
async def test_a_workload_that_no_gateway_selects_gets_nothing(world, kind, first):
    """Whatever it claims to be: the selector looks at the registered workload."""
    async with world.proxy("edge/api", kind) as proxy:
        await proxy.subscribe(SECRET, *first, held={OWN: "made up"})
        if set(first) - {"*", OWN}:
            response = await proxy.receive(SECRET)
            assert not response.resources
            await proxy.ack(response)
        await proxy.subscribe(SECRET, "kubernetes://edge/cert")
        response = await proxy.receive(SECRET)
        assert not response.resources


FOR_ALL = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: for-all, namespace: edge}
spec:
  servers:
  - port: {number: 8443, name: https, protocol: HTTPS}
    hosts: ["c.example.com"]
    tls: {mode: SIMPLE, credentialName: unused}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: bank, namespace: edge}
spec:
  hosts: [bank.example.com]
  ports: [{number: 443, name: tls, protocol: HTTPS}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: bank, namespace: edge}
spec:
  host: bank.example.com
  trafficPolicy: {tls: {mode: MUTUAL, credentialName: cert}}
"""


async def test_to_call_itself_a_gateway_is_not_to_be_one(world):
    """Neither a Gateway without a selector nor a DestinationRule gives a Secret to a workload that no Gateway picks."""
    world.write("for-all", FOR_ALL)
    async with world.proxy("edge/gw") as chosen, world.proxy("edge/api") as claims:
        await chosen.subscribe(SECRET, "*")
        held = {}
        while "kubernetes://unused" not in held:
            response = await chosen.receive(SECRET)
            held |= keys_of(response)
            await chosen.ack(response)
        assert set(held) == {OWN, ROOTS, "kubernetes://unused"}
        await claims.subscribe(LISTENER)
        names = await claims.take(LISTENER)
        assert any("8443" in name for name in names)
        await claims.subscribe(SECRET, OWN, ROOTS, "kubernetes://unused")
        response = await claims.receive(SECRET)
        assert not response.resources


async def test_all_that_a_gateway_can_have_is_its_own(world):
    async with world.proxy("edge/gw") as proxy:
        await proxy.subscribe(SECRET, "*")
        response = await proxy.receive(SECRET)
        assert keys_of(response) == {OWN: leaf("edge.example.com")[1], ROOTS: b""}


async def test_a_secret_appears_is_replaced_and_stays_where_the_next_one_is_bad(world):
    world.remove("cert")
    async with world.proxy("edge/gw") as proxy:
        await proxy.subscribe(SECRET, OWN)
        while (response := await proxy.receive(SECRET)).resources:  # the folder is still being read
            await proxy.ack(response)
        await proxy.ack(response)
        world.write("cert", tls_secret("edge", "cert", "one.example.com"))
        response = await proxy.receive(SECRET)
        assert keys_of(response) == {OWN: leaf("one.example.com")[1]}
        await proxy.ack(response)
        world.write("cert", tls_secret("edge", "cert", "two.example.com"))
        response = await proxy.receive(SECRET)
        assert keys_of(response) == {OWN: leaf("two.example.com")[1]}
        await proxy.ack(response)
        bad = secret("edge", "cert", "kubernetes.io/tls", tls_crt=leaf("one.example.com")[0], tls_key=b"x")
        world.write("cert", bad)
        async with asyncio.timeout(5):
            while not await world.daemon.ask("diagnostics"):
                await asyncio.sleep(0.02)
        await proxy.silent()


async def test_no_document_of_the_daemon_holds_a_key(world, caplog):
    lines = [
        line for host in ("edge", "bank", "unused") for line in leaf(f"{host}.example.com")[1].splitlines()
    ]
    async with world.proxy("edge/gw") as proxy:
        await proxy.subscribe(SECRET, OWN, ROOTS)
        await proxy.ack(await proxy.receive(SECRET))
        await proxy.subscribe(SECRET, "*")
        for document in ("status", "diagnostics", "changes", "proxies/edge/gw/config"):
            text = str(await world.daemon.ask(document))
            assert not [line for line in lines if not line.startswith(b"---") and line.decode() in text]
    assert not [line for line in lines if not line.startswith(b"---") and line.decode() in caplog.text]
