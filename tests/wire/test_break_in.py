"""Attempts to get another's secret, and to bring the daemon down by what one says: random, over real TLS, against a whole
daemon. What is found is the smallest conversation that does it.
"""

import asyncio
import itertools
import logging
from contextlib import AsyncExitStack, asynccontextmanager

import hypothesis.strategies as st
import pytest
from grpclib.client import Channel, StreamStreamMethod
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from hypothesis import HealthCheck, given, settings

from mizzen.daemon.settings import Settings
from mizzen.proto.api import DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from tests.support.daemon import _named, identity, node_id, running_daemon
from tests.support.discovery import QUESTION
from tests.support.edge_secrets import leaf, tls_secret
from tests.wire.test_overload import METHOD
from tests.wire.test_secrets import EDGE, FOR_ALL, GATEWAY, WORKLOAD

# Who has a certificate, and the hosts whose keys it may be sent.
ALLOWED = {
    "edge/gw": {"edge.example.com", "unused.example.com"},
    "bank/gw": {"bank.example.com"},
    "edge/api": set(),
}
HOSTS = ("edge.example.com", "bank.example.com", "unused.example.com", "vault.example.com")
NAMES = (
    "kubernetes://cert", "kubernetes://cert-cacert", "kubernetes://bank/cert", "kubernetes://edge/cert",
    "kubernetes://unused", "kubernetes://vault", "kubernetes://bank/vault", "cert", "*", "default", "", "../bank/cert",
)  # fmt: skip
OVER = (GRPCError, ProtocolError, StreamTerminatedError, ConnectionError)


class Daemon:
    """A daemon that runs while its loop does: between examples it stands still."""

    def __init__(self, runner, folder):
        self.runner = runner
        self._folder = folder
        self._stack = AsyncExitStack()
        self.contexts = {}

    async def start(self):
        config = self._folder / "config"
        config.mkdir()
        texts = {
            "gw": WORKLOAD.format(name="gw", namespace="edge", address="10.0.0.1", labels=EDGE),
            "bank-gw": WORKLOAD.format(name="gw", namespace="bank", address="10.0.0.2", labels=EDGE),
            "api": WORKLOAD.format(name="api", namespace="edge", address="10.0.0.3", labels="{app: api}"),
            "gateway": GATEWAY,
            "for-all": FOR_ALL,
            "cert": tls_secret("edge", "cert", "edge.example.com"),
            "unused": tls_secret("edge", "unused", "unused.example.com"),
            "bank-cert": tls_secret("bank", "cert", "bank.example.com"),
            "vault": tls_secret("bank", "vault", "vault.example.com"),
        }
        for name, text in texts.items():
            (config / f"{name}.yaml").write_text(text)
        settings = Settings(config=(config,), state_dir=self._folder / "state", listen_port=0)
        self.reached = await self._stack.enter_async_context(running_daemon(settings))
        for workload in ALLOWED:
            namespace, name = workload.split("/")
            self.contexts[workload] = await self.reached.join(identity(namespace, name))

    async def stop(self):
        await self._stack.aclose()

    @asynccontextmanager
    async def stream(self, who, request_type=DeltaDiscoveryRequest):
        config = _named()
        channel = Channel("127.0.0.1", self.reached.port, ssl=self.contexts[who], config=config)
        try:
            method = StreamStreamMethod(channel, METHOD, request_type, DeltaDiscoveryResponse)
            async with method.open() as stream:
                yield stream
                await stream.cancel()
        except OVER:
            pass
        finally:
            channel.close()
            await asyncio.sleep(0)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    with asyncio.Runner() as runner:
        one = Daemon(runner, tmp_path_factory.mktemp("break-in"))
        runner.run(one.start())
        yield one
        runner.run(one.stop())


# --- conversations

workloads = st.sampled_from(sorted(ALLOWED))
metadata = st.sampled_from(
    [
        {},
        {"NAMESPACE": "bank", "SERVICE_ACCOUNT": "gw", "LABELS": {"istio": "ingressgateway"}},
        {"INTERCEPTION_MODE": "NONE", "APP_PORTS": {"443": "444"}, "HTTP_PROXY_PORT": "0"},
        {"INTERCEPTION_MODE": "NONE", "APP_PORTS": "none"},
        {"WORKLOAD_GROUP": "gw"},
    ]
)
claimed_ids = st.builds(node_id, workloads, st.sampled_from(["router", "router", "sidecar"]))
node_ids = claimed_ids | claimed_ids | st.text(max_size=30)
nodes = st.tuples(node_ids, metadata)
own_nodes = st.tuples(st.none(), metadata)  # the workload's own name, as a gateway
names = st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True)
types = st.sampled_from(
    [SECRET, SECRET, SECRET, LISTENER, CLUSTER, ROUTE, ENDPOINT, "type.googleapis.com/x", ""]
)
connects = st.tuples(st.just("connect"), workloads, own_nodes | nodes)
dropped = st.just([]) | names
requests = st.tuples(
    st.just("request"), st.integers(0, 5), types, names, dropped, st.booleans(), st.none() | nodes
)
closes = st.tuples(st.just("close"), st.integers(0, 5))
steps = st.builds(
    lambda first, rest: [first, *rest],
    connects,
    st.lists(connects | requests | requests | requests | closes, min_size=2, max_size=14),
)


class Conversation:
    """One stream. Whatever comes is kept, and ACKed or NACKed in turns."""

    def __init__(self, stream, who, node):
        self._stream = stream
        self._name, self._metadata = node
        self._name = node_id(who, "router") if self._name is None else self._name
        self._first = True
        self._nacks = itertools.cycle((False, False, True))
        self.who = who
        self.got = b""
        self.asked = asyncio.Event()  # the last question is answered
        self.over = False

    async def request(self, type_url, subscribe=(), unsubscribe=(), *, held=False, node=None):
        request = DeltaDiscoveryRequest(
            type_url=type_url, resource_names_subscribe=subscribe, resource_names_unsubscribe=unsubscribe
        )
        if held:
            request.initial_resource_versions.update(dict.fromkeys(subscribe, "1"))
        if self._first:
            node = (self._name, self._metadata)
            self._first = False
        if node is not None:
            request.node.CopyFrom(Node(id=node[0] or node_id("bank/gw", "router"), metadata=node[1]))
        await self._send(request)

    async def _send(self, request):
        try:
            await self._stream.send_message(request)
        except OVER:
            self.over = True

    async def read(self):
        try:
            while (response := await self._stream.recv_message()) is not None:
                self.got += response.SerializeToString()
                if response.type_url == QUESTION:
                    self.asked.set()
                detail = {"code": 3, "message": "no"} if next(self._nacks) else None
                await self._send(
                    DeltaDiscoveryRequest(
                        type_url=response.type_url, response_nonce=response.nonce, error_detail=detail
                    )
                )
        except OVER:
            pass
        finally:
            self.over = True
            self.asked.set()


async def converse(daemon, plan):
    """All that each certificate was sent: (who, bytes)."""
    opened, closing = [], []
    for kind, *details in plan:
        if kind == "connect":
            who, node = details
            stack = AsyncExitStack()
            stream = await stack.enter_async_context(daemon.stream(who))
            await stream.send_request()
            conversation = Conversation(stream, who, node)
            opened.append((conversation, asyncio.create_task(conversation.read()), stack))
        elif opened and kind == "request":
            at, type_url, subscribe, unsubscribe, held, node = details
            conversation = opened[at % len(opened)][0]
            if not conversation.over:
                await conversation.request(type_url, subscribe, unsubscribe, held=held, node=node)
        elif opened:
            closing.append(opened.pop(details[0] % len(opened)))
    for conversation, *_ in opened:
        if not conversation.over:
            await conversation.request(QUESTION, ["anything new?"])
            await asyncio.wait_for(conversation.asked.wait(), 20)
    for _, reading, stack in (*opened, *closing):
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await stack.aclose()
    return [(one.who, one.got) for one, *_ in (*opened, *closing)]


def hosts_in(data):
    """Whose private keys are in it."""
    return {host for host in HOSTS if leaf(host)[1] in data}


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(plan=steps)
def test_in_no_order_of_requests_is_anybody_sent_what_its_certificate_does_not_allow(daemon, plan):
    for who, got in daemon.runner.run(converse(daemon, plan)):
        assert hosts_in(got) <= ALLOWED[who]


def test_the_property_could_fail(daemon):
    """Each that may have keys is sent them all when it asks: so the search above looks at the right bytes."""
    for who, hosts in ALLOWED.items():
        plan = [("connect", who, (None, {})), ("request", 0, SECRET, ["*"], [], False, None)]
        ((_, got),) = daemon.runner.run(converse(daemon, plan))
        assert hosts_in(got) == hosts


def test_a_stream_stays_whose_it_is_when_its_node_changes(daemon):
    other = (node_id("bank/gw", "router"), {})
    plan = [("connect", "edge/gw", (None, {})), ("request", 0, LISTENER, [], [], False, None)]
    plan.append(("request", 0, SECRET, ["*"], [], False, other))
    ((_, got),) = daemon.runner.run(converse(daemon, plan))
    assert hosts_in(got) == ALLOWED["edge/gw"]


# --- bytes that are no requests, and requests that nobody sends


class Bytes:
    """A message as it is on the wire."""

    def __init__(self, data):
        self._data = data

    def SerializeToString(self):  # noqa: N802  protobuf's name
        return self._data


def valid(**fields):
    return DeltaDiscoveryRequest(**fields).SerializeToString()


def deep(levels):
    """A node whose metadata is a list in a list in a list ..."""
    found = b"\x11" + bytes(8)
    for _ in range(levels):
        found = tagged(0x32, tagged(0x0A, found))
    field = tagged(0x0A, b"a") + tagged(0x12, found)
    return tagged(0x0A, tagged(0x1A, tagged(0x0A, field)))


def tagged(tag, content):
    size, length = len(content), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([tag]) + length + bytes([size]) + content


NO_UTF8 = b"\x0a\x03\x0a\x01\xff"  # node { id: "\xff" }
messages = (
    st.binary(max_size=200)
    | st.sampled_from([NO_UTF8, deep(20), deep(2000), b"", b"\x0a\x00", b"\xff" * 100])
    | st.builds(
        valid,
        type_url=st.text(max_size=300),
        resource_names_subscribe=st.lists(st.text(max_size=300), max_size=20),
        response_nonce=st.text(max_size=50),
        initial_resource_versions=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=9),
    )
)
FIRST = valid(node=Node(id=node_id("edge/api")), type_url=CLUSTER)


async def sent(daemon, who, texts):
    async with daemon.stream(who, Bytes) as stream:
        await stream.send_request()
        reading = asyncio.create_task(read_to_the_end(stream))
        try:
            for text in texts:
                await stream.send_message(Bytes(text))
            await asyncio.sleep(0.01)
        except OVER:
            pass
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def read_to_the_end(stream):
    try:
        while await stream.recv_message() is not None:
            pass
    except OVER:
        pass


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(messages, min_size=1, max_size=5), admitted=st.booleans())
def test_no_bytes_that_a_workload_sends_disturb_the_daemon(daemon, caplog, texts, admitted):
    caplog.clear()
    texts = [FIRST, *texts] if admitted else texts
    daemon.runner.run(sent(daemon, "edge/api", texts))
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == []
    plan = [("connect", "bank/gw", (None, {})), ("request", 0, SECRET, ["*"], [], False, None)]
    ((_, got),) = daemon.runner.run(converse(daemon, plan))
    assert hosts_in(got) == ALLOWED["bank/gw"]
