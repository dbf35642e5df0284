"""One workload instance at run time: its agent, its application, and whether they are ready."""

import asyncio
from collections.abc import Callable, Sequence

from mizzen.admin.schema import ProxyStart
from mizzen.lab.commands import AGENT_PORT, Instance, Layout, listening_port
from mizzen.lab.local_http import get
from mizzen.lab.protocol import InstanceStatus, ProcessStatus
from mizzen.lab.startup import require_no_early_end
from mizzen.listening import listening_ports
from mizzen.processes import Command, Supervised

_PROBE_SECONDS = 2.0
_AGENT_GRACE_SECONDS = 8.0  # longer than the agent's own limit for draining
_APPLICATION_GRACE_SECONDS = 2.0
_MAX_EARLY_RESTARTS = 3  # an agent that has ended so often without ever being ready will not come up


class Unit:
    """Both processes are started again when they end; `on_event` gets a line for people each time. One of the two may
    be missing: a gateway has no application, and some applications have no sidecar.
    """

    def __init__(
        self,
        instance: Instance,
        agent: Callable[[], Command] | None,
        application: Callable[[], Command] | None,
        *,
        captured: bool,
        on_event: Callable[[str], None],
    ) -> None:
        self.instance = instance
        self.agent = _kept(agent, on_event) if agent else None
        self.application = _kept(application, on_event) if application else None
        self.captured = captured
        self.ready = False
        self._application_started = False
        self.start = ProxyStart()  # as the daemon says when the proxy is started

    def bring_up(self) -> None:
        """Start both, but not the application that is to wait for its proxy. Raises StartError."""
        if self.agent is not None:
            self.agent.start()
        if self.agent is None or not self.start.hold_application:
            self._start_application()

    def _start_application(self) -> None:
        if self.application is not None:
            self.application.start()
            self._application_started = True

    async def stop(self) -> None:
        """The agent first: while it drains, the application answers what is in flight."""
        if self.agent is not None:
            await self.agent.stop(_AGENT_GRACE_SECONDS)
        if self.application is not None:
            await self.application.stop(_APPLICATION_GRACE_SECONDS)

    async def probe(self) -> None:
        """Refresh `ready`. An application that waited for its proxy is started when that is ready."""
        proxy_is_ready = await self.proxy_is_ready()
        if proxy_is_ready and not self._application_started:
            self._start_application()
        self.ready = proxy_is_ready and self.application_listens()

    async def proxy_is_ready(self) -> bool:
        if self.agent is None:
            return True
        answer = await get((self.instance.place.address, AGENT_PORT), "/healthz/ready", _PROBE_SECONDS)
        return answer is not None and answer[0] == 200

    def application_listens(self) -> bool:
        """Read from the kernel's table: a connection would be an event in the application's life."""
        if self.application is None:
            return True
        pid = self.application.pid
        if pid is None:
            return False
        workload = self.instance.workload
        ports = {
            listening_port(port.number, workload, captured=self.captured)
            for port in workload.declared_ports()
        }
        return ports <= listening_ports(self.instance.place.address, pid)

    def waits_for(self) -> str:
        """For people: what is missing until it is ready."""
        what = "sidecar" if self.application_listens() else "application"
        if self.application is None:
            what = "gateway"
        return f"{self.instance.name} ({what})"

    def require_no_early_end(self, layout: Layout) -> None:
        """Raises StartupError where something ended that has never been ready."""
        name = self.instance.name
        if self.application is not None and not self.application_listens():
            require_no_early_end(name, self.application, layout.log(f"{name}.app"))
        if not self.ready and self.agent is not None and self.agent.restarts >= _MAX_EARLY_RESTARTS:
            require_no_early_end(f"the sidecar of {name}", self.agent, layout.log(f"{name}.proxy"))

    def status(self, layout: Layout) -> InstanceStatus:
        workload = self.instance.workload
        kinds = {"app": self.application, "proxy": self.agent}
        return InstanceStatus(
            name=self.instance.name,
            namespace=workload.namespace,
            workload=workload.name,
            address=self.instance.place.address,
            ports=tuple(port.number for port in workload.declared_ports()),
            ready=self.ready,
            agent=process_status(self.agent) if self.agent else None,
            application=process_status(self.application) if self.application else None,
            logs={
                kind: str(layout.log(f"{self.instance.name}.{kind}"))
                for kind, process in kinds.items()
                if process
            },
        )


def process_status(process: Supervised) -> ProcessStatus:
    pid = process.pid or 0
    ended = str(process.last_exit) if not pid and process.last_exit is not None else ""
    return ProcessStatus(pid=pid, restarts=process.restarts, ended=ended)


async def probe_all(units: Sequence[Unit]) -> None:
    await asyncio.gather(*(unit.probe() for unit in units))


def _kept(command: Callable[[], Command], on_event: Callable[[str], None]) -> Supervised:
    def ended(why: str, delay_seconds: float | None) -> None:
        if delay_seconds is not None:
            on_event(f"{why}, started again in {delay_seconds:.1f} s")

    return Supervised(command, on_exit=ended)
