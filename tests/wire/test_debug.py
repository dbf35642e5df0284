"""Debug data over the mesh's port: of the caller's namespace, or of all for the root namespace; and by `mizzen proxy`."""

import asyncio
import json
from datetime import timedelta

import pytest
from click.testing import CliRunner
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from mizzen.agent.daemon import Daemon, Daemons
from mizzen.agent.debug import Debug
from mizzen.agent.http import HttpServer
from mizzen.agent.sds import private_socket
from mizzen.agent.settings import HostPort
from mizzen.ca.live import Watching
from mizzen.ca.revocation import Revocations, write_revocations
from mizzen.cli.proxy import command
from mizzen.daemon.debug import METHOD
from mizzen.daemon.settings import Settings
from mizzen.errors import UserError
from mizzen.proto.api import DebugRequest, DebugResponse
from mizzen.xds.resource import CLUSTER, LISTENER
from tests.support.daemon import identity, running_daemon

WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{address: {address}, serviceAccount: {name}, labels: {{app: {name}}}}}
"""
WORKLOADS = (("shop", "cart"), ("bank", "vault"), ("istio-system", "operator"))


@pytest.fixture
async def daemon(tmp_path):
    config = tmp_path / "config"
    config.mkdir()
    for number, (namespace, name) in enumerate(WORKLOADS):
        text = WORKLOAD.format(namespace=namespace, name=name, address=f"10.0.0.{number + 1}")
        (config / f"{name}.yaml").write_text(text)
    watching = Watching(every=timedelta(seconds=0.05))
    settings = Settings(config=(config,), state_dir=tmp_path / "state", listen_port=0, ca_watching=watching)
    async with running_daemon(settings) as one:
        yield one


async def ask(daemon, context, path):
    answer = await daemon._call(METHOD, DebugRequest(path=path), DebugResponse, context)
    return json.loads(answer.json)


async def names_seen(daemon, context):
    return {one["name"] for one in (await ask(daemon, context, "workloads"))["workloads"]}


async def refusal(daemon, context, path):
    with pytest.raises(GRPCError) as caught:
        await ask(daemon, context, path)
    return caught.value.status


async def connected(daemon, proxy):
    await proxy.subscribe(CLUSTER)
    await proxy.subscribe(LISTENER)
    await proxy.ack(await proxy.receive())
    await proxy.ack(await proxy.receive())


async def test_a_namespace_sees_itself_and_the_root_namespace_sees_all(daemon):
    cart, vault, operator = [await daemon.join(identity(*workload)) for workload in WORKLOADS]
    assert await names_seen(daemon, cart) == {"shop/cart"}
    assert await names_seen(daemon, vault) == {"bank/vault"}
    assert await names_seen(daemon, operator) == {"shop/cart", "bank/vault", "istio-system/operator"}
    async with daemon.proxy(vault, "bank/vault") as proxy:
        await connected(daemon, proxy)
        for caller in (vault, operator):
            dump = await ask(daemon, caller, "proxies/bank/vault/config")
            assert dump["listeners"]
            assert "secrets" not in dump
        # Whether it exists or not is not told.
        for name in ("vault", "nobody"):
            assert await refusal(daemon, cart, f"proxies/bank/{name}/config") is Status.PERMISSION_DENIED
        assert await refusal(daemon, operator, "proxies/bank/nobody/config") is Status.NOT_FOUND


@pytest.mark.parametrize(
    "path",
    [
        "",
        "status",
        "names",
        "/workloads",
        "proxies/shop/cart",
        "proxies/shop/../bank/vault/config",
        "\0",
        "é" * 99,
    ],
)
async def test_there_is_nothing_else_to_ask_for(daemon, path):
    cart = await daemon.join(identity("shop", "cart"))
    assert await refusal(daemon, cart, path) is Status.NOT_FOUND


async def test_without_a_certificate_or_with_one_that_is_revoked_nothing_is_shown(daemon):
    assert await refusal(daemon, daemon.context(), "workloads") is Status.UNAUTHENTICATED
    cart = await daemon.join(identity("shop", "cart"))
    revoked = Revocations(identities=frozenset({str(identity("shop", "cart"))}))
    write_revocations(daemon.shared / "ca", revoked)
    assert await refused_at_last(daemon, cart) is Status.PERMISSION_DENIED


async def refused_at_last(daemon, context):
    while True:
        try:
            await ask(daemon, context, "workloads")
        except GRPCError as error:
            return error.status
        await asyncio.sleep(0.1)


async def test_who_asks_on_and_on_is_refused(daemon):
    cart, vault = [await daemon.join(identity(*workload)) for workload in WORKLOADS[:2]]
    answers = await asyncio.gather(
        *(ask(daemon, cart, "workloads") for _ in range(60)), return_exceptions=True
    )
    refused = {answer.status for answer in answers if isinstance(answer, GRPCError)}
    assert refused <= {Status.RESOURCE_EXHAUSTED, Status.UNAVAILABLE}
    assert Status.RESOURCE_EXHAUSTED in refused
    assert await names_seen(daemon, vault) == {"bank/vault"}


async def run(*arguments):
    """The command, in a thread: it blocks."""
    return await asyncio.to_thread(
        CliRunner().invoke, command, list(map(str, arguments)), catch_exceptions=True
    )


async def test_the_command_reads_the_daemons_socket_and_an_agents(daemon, tmp_path):
    credentials = await daemon.credentials(identity("shop", "cart"))
    daemons = Daemons((Daemon(HostPort("127.0.0.1", daemon.port), daemon.root_cert),))
    agent = HttpServer({}, Debug(daemons, lambda: credentials).read)
    await agent.start_on(private_socket(tmp_path / "debug.sock", None))
    own, all_of_it = tmp_path / "debug.sock", daemon.state_dir / "admin.sock"
    assert own.stat().st_mode & 0o777 == 0o600
    async with daemon.proxy(daemon.context(credentials.chain_pem), "shop/cart") as proxy:
        await connected(daemon, proxy)
        listed = (await run("list", "--socket", own)).output
        assert "shop/cart" in listed
        assert "bank/vault" not in listed
        assert "shop/cart" in (await run("list", "--json", "--socket", all_of_it)).output
        dumps = [
            json.loads((await run("config", "shop/cart", "--socket", where)).output)
            for where in (own, all_of_it)
        ]
        assert dumps[0] == dumps[1]
        refused = (await run("config", "bank/vault", "--socket", own)).exception
        assert isinstance(refused, UserError)
        assert "may see the proxies of shop alone" in str(refused)
    gone = (await run("list", "--socket", tmp_path / "nothing")).exception
    assert isinstance(gone, UserError)
    assert "does not answer" in str(gone)
    await agent.close()
