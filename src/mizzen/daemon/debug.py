"""Debug data over the mesh's own port (mizzen.v1.DebugService/Read): the same documents as the admin API's, but only for
callers with a certificate, and of their namespace. The root namespace sees all.

Source of the rule: Istio's /debug endpoints, which authenticate callers and let only those of the root namespace see
other namespaces.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError

from mizzen.admin.schema import WorkloadStatus
from mizzen.ca.revocation import Revocations
from mizzen.daemon.admission import proven_identity
from mizzen.derive.mesh import root_namespace
from mizzen.incremental import Database
from mizzen.proto import api
from mizzen.rpc.admission import Admission, Limits, Shed, untold
from mizzen.rpc.peer import Peer, peer_of
from mizzen.xds.catalog import Rejected

if TYPE_CHECKING:
    from grpclib.server import Stream

    from mizzen.proto.api import DebugRequest, DebugResponse

    _Stream = Stream[DebugRequest, DebugResponse]

METHOD = "/mizzen.v1.DebugService/Read"
# Of one identity: people ask, and a dump of a large proxy takes a second of a thread.
LIMITS = Limits(burst=30, per_second=1.0, waiting=16)


class DebugSource(Protocol):
    """What there is to see, of a namespace; None: of all."""

    def workloads(self, namespace: str | None = None) -> tuple[WorkloadStatus, ...]: ...

    async def config_dump(self, proxy: str) -> Any | None: ...


class DebugService:
    """Answers from memory. What a caller may not see it is not told the existence of."""

    def __init__(
        self,
        db: Database,
        source: DebugSource,
        revoked: Callable[[], Revocations] = Revocations,
        *,
        shed: Shed = untold,
    ) -> None:
        self._db = db
        self._source = source
        self._revoked = revoked
        self._admission = Admission("debug", LIMITS, shed)

    def __mapping__(self) -> dict[str, Handler]:
        return {METHOD: Handler(self._read, Cardinality.UNARY_UNARY, api.DebugRequest, api.DebugResponse)}

    async def _read(self, stream: "_Stream") -> None:
        caller, namespace = self._caller(peer_of(stream))
        request = await stream.recv_message()
        if request is None:
            raise GRPCError(Status.INVALID_ARGUMENT, "no document was asked for")
        async with self._admission.turn(caller, asyncio.get_running_loop().time()):
            document = await self._document(request.path, namespace)
        await stream.send_message(api.DebugResponse(json=msgspec.json.encode(document).decode()))

    def _caller(self, peer: Peer) -> tuple[str, str | None]:
        """Who asks, and whose data it may see."""
        try:
            identity = proven_identity(self._db, peer)
        except Rejected as error:
            raise GRPCError(Status.UNAUTHENTICATED, error.reason) from None
        if self._revoked().covers(identity):
            raise GRPCError(Status.PERMISSION_DENIED, f"{identity} is revoked")
        sees_all = identity.namespace == self._db.value(root_namespace)
        return str(identity), None if sees_all else identity.namespace

    async def _document(self, path: str, namespace: str | None) -> Any:
        match path.split("/"):
            case ["workloads"]:
                return {"workloads": self._source.workloads(namespace)}
            case ["proxies", of, name, "config"]:
                if namespace is not None and of != namespace:
                    raise GRPCError(
                        Status.PERMISSION_DENIED,
                        f"a workload of namespace {namespace} may see the proxies of {namespace} alone",
                    )
                dump = await self._source.config_dump(f"{of}/{name}")
                if dump is None:
                    raise GRPCError(Status.NOT_FOUND, f"no proxy {of}/{name} is connected to this daemon")
                return dump
        raise GRPCError(Status.NOT_FOUND, "there are workloads, and proxies/NAMESPACE/NAME/config")
