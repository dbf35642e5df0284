"""Health reports of agents (mizzen.v1.AgentService/ReportHealth): who drains gets no new traffic."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError

from mizzen.config.resource import ResourceKey
from mizzen.daemon.admission import admit
from mizzen.derive.probes import readiness_probe
from mizzen.incremental import Database
from mizzen.proto import api
from mizzen.rpc.admission import Admission, Limits, Shed, untold
from mizzen.rpc.peer import peer_of
from mizzen.xds.catalog import Node, Rejected

if TYPE_CHECKING:
    from grpclib.server import Stream

    from mizzen.proto.api import HealthReport, HealthReportResponse

    _Stream = Stream[HealthReport, HealthReportResponse]

METHOD = "/mizzen.v1.AgentService/ReportHealth"
# Of one workload: its agent reports every 30 s, and at every change.
LIMITS = Limits(burst=30, per_second=1.0)


class HealthService:
    """Takes reports from agents about their own workload, and from nobody about another's."""

    def __init__(
        self,
        db: Database,
        report: Callable[[ResourceKey, str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        shed: Shed = untold,
    ) -> None:
        self._db = db
        self._report = report
        self._clock = clock
        self._admission = Admission("reports", LIMITS, shed)

    def __mapping__(self) -> dict[str, Handler]:
        kind = Cardinality.UNARY_UNARY
        return {METHOD: Handler(self._report_health, kind, api.HealthReport, api.HealthReportResponse)}

    async def _report_health(self, stream: "_Stream") -> None:
        request = await stream.recv_message()
        if request is None:
            raise GRPCError(Status.INVALID_ARGUMENT, "no report was sent")
        try:
            proxy = admit(self._db, peer_of(stream), Node(request.node_id, "", {}))
        except Rejected as error:
            status = Status.UNAUTHENTICATED if error.unauthenticated else Status.PERMISSION_DENIED
            raise GRPCError(status, error.reason) from error
        self._admission.spend(str(proxy.key), self._clock())
        self._report(proxy.key, "" if request.healthy else request.reason or "unhealthy")
        probe = self._db.value(readiness_probe, proxy.key)
        text = msgspec.json.encode(probe).decode() if probe is not None else ""
        await stream.send_message(api.HealthReportResponse(probe=text))
