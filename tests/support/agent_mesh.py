"""A daemon's stand-in for the agent: signs certificates, answers discovery with one listener, hears health reports.

Its TLS is real, its trust its own; nothing of the real daemon is used, so that a failing test blames the agent.
"""

import asyncio
import itertools
import json
import os
import socket
import ssl
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError

from mizzen.processes import Child, Command, ToLines, start
from mizzen.proto import api
from mizzen.rpc.peer import peer_of
from mizzen.rpc.server import RpcServer

TOKEN = "join-me"
DAEMON_NAME = "mizzen.mizzen-system.svc"
_TYPES = "type.googleapis.com/"


async def until(condition, what: str = "the condition", seconds: float = 10.0) -> None:
    """Wait for a condition, which may be a coroutine function; fail loudly when it does not come true."""
    deadline = time.monotonic() + seconds
    while True:
        held = condition()
        if asyncio.iscoroutine(held):
            held = await held
        if held:
            return
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        await asyncio.sleep(0.02)


class Authority:
    """A root that signs whatever it is asked to."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "test root")])
        builder = self._builder(name, name, self.key.public_key(), timedelta(days=1))
        ca = x509.BasicConstraints(ca=True, path_length=None)
        self.name = name
        self.root = builder.add_extension(ca, critical=True).sign(self.key, SHA256())

    @property
    def root_pem(self) -> str:
        return self.root.public_bytes(Encoding.PEM).decode()

    def sign(self, public_key, san: list[x509.GeneralName], life: timedelta) -> str:
        builder = self._builder(x509.Name([]), self.name, public_key, life)
        certificate = builder.add_extension(x509.SubjectAlternativeName(san), critical=False)
        return certificate.sign(self.key, SHA256()).public_bytes(Encoding.PEM).decode()

    @staticmethod
    def _builder(subject, issuer, public_key, life: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(seconds=1))
            .not_valid_after(now + life)
        )


@dataclass
class Daemon:
    """What the agent and its Envoy talk to. Tests look at what came in, and change what goes out."""

    folder: Path
    authority: Authority = field(default_factory=Authority)
    life_seconds: float = 3600.0
    listeners: dict[str, object] = field(default_factory=dict)
    clusters: dict[str, object] = field(default_factory=dict)
    refuse_certificates: str = ""
    crowded: str = ""  # what it says instead of taking a report
    proofs: list[str] = field(
        default_factory=list
    )  # of each certificate request: "token" or the client's identity
    health: list[tuple[bool, str]] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    host: str = "127.0.0.1"
    port: int = 0
    _server: RpcServer | None = None

    async def start(self) -> None:
        self._server = RpcServer([self], self._tls())
        await self._server.start(self.host, self.port)
        self.port = self._server.port
        (self.folder / "root.pem").write_text(self.authority.root_pem)
        (self.folder / "token").write_text(TOKEN + "\n")

    async def close(self) -> None:
        if self._server is not None:
            await self._server.close()

    def _tls(self):
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        chain = self.authority.sign(key.public_key(), [x509.DNSName(DAEMON_NAME)], timedelta(days=1))
        file = self.folder / "daemon.pem"
        file.write_text(pem + chain)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        context.load_verify_locations(cadata=self.authority.root_pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols(["h2"])
        return lambda: context

    def __mapping__(self):
        unary, streams = Cardinality.UNARY_UNARY, Cardinality.STREAM_STREAM
        return {
            "/istio.v1.auth.IstioCertificateService/CreateCertificate": Handler(
                self._certify, unary, api.IstioCertificateRequest, api.IstioCertificateResponse
            ),
            "/mizzen.v1.AgentService/ReportHealth": Handler(
                self._hear, unary, api.HealthReport, api.HealthReportResponse
            ),
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources": Handler(
                self._discover, streams, api.DeltaDiscoveryRequest, api.DeltaDiscoveryResponse
            ),
        }

    async def _certify(self, stream) -> None:
        request = await stream.recv_message()
        identity = peer_of(stream).identity
        by_token = stream.metadata.get("authorization") == f"Bearer {TOKEN}"
        self.proofs.append("token" if by_token else identity or "nothing")
        if self.refuse_certificates:
            raise GRPCError(Status.UNAVAILABLE, self.refuse_certificates)
        if not by_token and identity is None:
            raise GRPCError(Status.UNAUTHENTICATED, "who are you?")
        csr = x509.load_pem_x509_csr(request.csr.encode())
        san = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        leaf = self.authority.sign(csr.public_key(), list(san), timedelta(seconds=self.life_seconds))
        await stream.send_message(api.IstioCertificateResponse(cert_chain=[leaf, self.authority.root_pem]))

    async def _hear(self, stream) -> None:
        report = await stream.recv_message()
        assert peer_of(stream).identity is not None
        if self.crowded:
            raise GRPCError(Status.UNAVAILABLE, self.crowded)
        self.health.append((report.healthy, report.reason))
        await stream.send_message(api.HealthReportResponse())

    async def _discover(self, stream) -> None:
        nonces = itertools.count(1)
        async for request in stream:
            if request.node.id:
                self.nodes.append(request.node.id)
            if request.HasField("error_detail"):
                self.rejected.append(request.error_detail.message)
            if request.response_nonce:
                continue
            kind = request.type_url.rpartition(".")[2]
            messages = {"Cluster": self.clusters, "Listener": self.listeners}.get(kind, {})
            resources = [
                {"name": name, "version": "1", "resource": typed(message)}
                for name, message in messages.items()
            ]
            await stream.send_message(
                api.DeltaDiscoveryResponse(
                    type_url=request.type_url, nonce=str(next(nonces)), resources=resources
                )
            )


def typed(message):
    return {"type_url": _TYPES + message.DESCRIPTOR.full_name, "value": message.SerializeToString()}


def _sds(name: str):
    service = {"envoy_grpc": {"cluster_name": "sds-grpc"}}
    source = {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": [service]}
    return {"name": name, "sds_config": {"resource_api_version": "V3", "api_config_source": source}}


def serve_app_over_mtls(daemon: Daemon, address: str, port: int, app_port: int) -> None:
    """Let Envoy listen on the workload's address over mTLS, and pass requests on to the application."""
    tls = api.DownstreamTlsContext(
        require_client_certificate={"value": True},
        common_tls_context={
            "tls_certificate_sds_secret_configs": [_sds("default")],
            "validation_context_sds_secret_config": _sds("ROOTCA"),
        },
    )
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
    connections = api.HttpConnectionManager(
        stat_prefix="inbound",
        route_config={"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": typed(api.Router())}],
    )
    daemon.listeners["inbound"] = api.Listener(
        name="inbound",
        traffic_direction="INBOUND",
        address=_socket_address(address, port),
        filter_chains=[
            {
                "transport_socket": {"name": "tls", "typed_config": typed(tls)},
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": typed(connections),
                    }
                ],
            }
        ],
    )
    endpoint = {"endpoint": {"address": _socket_address("127.0.0.1", app_port)}}
    daemon.clusters["app"] = api.Cluster(
        name="app",
        type="STATIC",
        load_assignment={"cluster_name": "app", "endpoints": [{"lb_endpoints": [endpoint]}]},
    )


def answer_by_itself(
    daemon: Daemon, address: str, port: int, *more_addresses: str, transparent: bool = False
) -> None:
    """Let Envoy listen in plaintext, answer "hello" itself, and log each request to its output."""
    log = {"name": "stdout", "typed_config": typed(api.StdoutAccessLog())}
    answer = {"status": 200, "body": {"inline_string": "hello"}}
    connections = api.HttpConnectionManager(
        stat_prefix="inbound",
        access_log=[log],
        route_config={
            "name": "r",
            "virtual_hosts": [
                {
                    "name": "v",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "direct_response": answer}],
                }
            ],
        },
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": typed(api.Router())}],
    )
    daemon.listeners["inbound"] = api.Listener(
        name="inbound",
        traffic_direction="INBOUND",
        address=_socket_address(address, port),
        additional_addresses=[{"address": _socket_address(each, port)} for each in more_addresses],
        transparent={"value": transparent},
        filter_chains=[
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": typed(connections),
                    }
                ]
            }
        ],
    )


def _socket_address(address: str, port: int):
    return {"socket_address": {"address": address, "port_value": port}}


@dataclass
class RunningAgent:
    address: str
    state_dir: Path
    child: Child
    log: list[str]

    async def http(self, path: str, port: int = 15020, address: str = "") -> tuple[int, bytes]:
        """`address`: another of the workload's than its first."""
        reader, writer = await asyncio.open_connection(address or self.address, port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    async def is_ready(self) -> bool:
        try:
            return (await self.http("/healthz/ready"))[0] == 200
        except OSError:
            return False

    async def status(self) -> dict:
        return json.loads((await self.http("/status"))[1])


_hosts = itertools.count(2)


def free_address() -> str:
    """An address of this test alone: the agent's ports are fixed. Of this process's own /24, for parallel runs."""
    return f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}.{next(_hosts)}"


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def running_agent(daemon: Daemon, address: str, *extra: str, **options):
    """The agent as a process, in loopback mode unless `extra` says otherwise."""
    state = daemon.folder / f"state-{address}"
    argv = (
        sys.executable, "-m", "mizzen.agent", "--name", "app-1", "--namespace", "shop", "--address", address,
        "--service-account", "seller", "--daemon", f"{daemon.host}:{daemon.port}",
        "--root-cert", str(daemon.folder / "root.pem"), "--token-file", str(daemon.folder / "token"),
        "--state-dir", str(state), "--interception", "none", "--label", "app=app", "--drain-min-seconds", "0", *extra,
    )  # fmt: skip
    log: list[str] = []
    child = start(
        Command(name="agent", argv=argv, stdout=ToLines(log.append), stderr=ToLines(log.append), **options)
    )
    try:
        yield RunningAgent(address, state, child, log)
    finally:
        await child.stop(grace_seconds=10)
        if sys.exc_info()[0] is not None:
            sys.stderr.write("\n".join(["", "the agent said:", *log, ""]))
