"""The daemon as agents and proxies meet it: over TLS, with a join token first and its certificate ever after."""

import asyncio
import contextlib
import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.config import Configuration

from mizzen.agent.credentials import Credentials, PrivateKeyPem, validity
from mizzen.ca.server_identity import SERVER_NAME
from mizzen.ca.service import METHOD as CREATE_CERTIFICATE
from mizzen.ca.tokens import KEY_FILE, JoinToken, JoinTokenKey
from mizzen.daemon.health import METHOD as REPORT_HEALTH
from mizzen.daemon.settings import Settings
from mizzen.daemon.wiring import Daemon
from mizzen.model.identity import SpiffeId
from mizzen.proto.api import (
    HealthReport,
    HealthReportResponse,
    IstioCertificateRequest,
    IstioCertificateResponse,
)
from tests.support.certificates import a_csr, a_key, pem_of
from tests.support.discovery import DeltaClient, client


@dataclass(frozen=True)
class Reached:
    """A daemon that serves. Without a `context` of its own a caller shows no certificate."""

    port: int
    state_dir: Path
    shared_dir: Path | None = None  # None: the state folder

    @property
    def shared(self) -> Path:
        return self.shared_dir or self.state_dir

    def token(self, identity: SpiffeId, workload: str = "") -> str:
        key = JoinTokenKey.load(self.shared / KEY_FILE)
        return key.issue(JoinToken(identity, workload, datetime.now(UTC) + timedelta(hours=1), "test"))

    @property
    def root_cert(self) -> Path:
        return self.shared / "ca" / "root-cert.pem"

    def context(self, chain_pem: str = "") -> ssl.SSLContext:
        """Verifies the daemon, and shows the certificate whose key is `a_key()`."""
        context = ssl.create_default_context(cafile=str(self.root_cert))
        context.set_alpn_protocols(["h2"])
        if chain_pem:
            with tempfile.NamedTemporaryFile(suffix=".pem") as file:
                file.write(chain_pem.encode() + pem_of(a_key()))
                file.flush()
                context.load_cert_chain(file.name)
        return context

    async def join(self, identity: SpiffeId, workload: str = "") -> ssl.SSLContext:
        """Show a token, get a certificate: the context to come back with."""
        return self.context((await self.credentials(identity, workload)).chain_pem)

    async def credentials(self, identity: SpiffeId, workload: str = "") -> Credentials:
        """The same, as the agent keeps it."""
        bearer = {"authorization": f"Bearer {self.token(identity, workload)}"}
        reply = await self._call(
            CREATE_CERTIFICATE,
            IstioCertificateRequest(csr=a_csr()),
            IstioCertificateResponse,
            self.context(),
            bearer,
        )
        *chain, roots = reply.cert_chain
        pem = "".join(chain)
        return Credentials(PrivateKeyPem(pem_of(a_key()).decode()), pem, roots, *validity(pem))

    async def report_health(
        self, context: ssl.SSLContext, workload: str, *, healthy: bool, reason: str = ""
    ) -> str:
        """The probe that the daemon answers with."""
        report = HealthReport(node_id=node_id(workload), healthy=healthy, reason=reason)
        answer = await self._call(REPORT_HEALTH, report, HealthReportResponse, context)
        return str(answer.probe)

    async def _call(
        self, method: str, request: Any, reply: Any, context: ssl.SSLContext, metadata: Any = None
    ) -> Any:
        async with Channel("127.0.0.1", self.port, ssl=context, config=_named()) as channel:
            call: UnaryUnaryMethod[Any, Any] = UnaryUnaryMethod(channel, method, type(request), reply)
            return await call(request, metadata=metadata, timeout=10)

    @asynccontextmanager
    async def proxy(
        self, context: ssl.SSLContext, workload: str, kind: str = "sidecar", metadata: Any = None
    ) -> AsyncIterator[DeltaClient]:
        """Delta discovery as the proxy of a workload, "namespace/name"."""
        async with client(
            self.port, node_id(workload, kind), ssl=context, config=_named(), metadata=metadata
        ) as delta:
            yield delta

    async def ask(self, document: str) -> Any:
        """A document of the JSON API."""
        return json.loads(await self._get(f"api/v1/{document}"))

    async def sent_bytes(self) -> float:
        """By discovery so far, to all proxies and agents."""
        lines = (await self._get("metrics")).splitlines()
        return sum(
            float(line.split()[-1]) for line in lines if line.startswith("mizzen_xds_sent_bytes_total{")
        )

    async def _get(self, path: str) -> str:
        connector = aiohttp.UnixConnector(str(self.state_dir / "admin.sock"))
        async with aiohttp.ClientSession(connector=connector) as session:
            answer = await session.get(f"http://localhost/{path}")
            assert answer.status == 200, await answer.text()
            return await answer.text()


def node_id(workload: str, kind: str = "sidecar") -> str:
    namespace, name = workload.split("/")
    return f"{kind}~10.0.0.1~{name}.{namespace}~{namespace}.svc.cluster.local"


def one_workload(name: str, *, number: int) -> str:
    """YAML of a service of namespace shop and its only workload."""
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80}}]}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}-0, namespace: shop}}
spec: {{address: 10.0.0.{number}, serviceAccount: {name}, labels: {{app: {name}}}}}
"""


def identity(namespace: str, account: str = "default") -> SpiffeId:
    return SpiffeId("cluster.local", namespace, account)


def _named() -> Configuration:
    return Configuration(ssl_target_name_override=SERVER_NAME)


@asynccontextmanager
async def running_daemon(settings: Settings) -> AsyncIterator[Reached]:
    """The whole daemon, in this process."""
    settings.state_dir.mkdir(mode=0o700, exist_ok=True)
    daemon = Daemon(settings)
    ready = asyncio.Event()
    serving = asyncio.create_task(daemon.run(ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if not serving.done():
            yield Reached(daemon._rpc.port, settings.state_dir, settings.shared_dir)
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
