"""Runs the lab from inside: the daemon, a unit per workload instance, the ingress, and the names for the sidecars' DNS."""

import asyncio
import dataclasses
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from mizzen.errors import UserError
from mizzen.lab import registry
from mizzen.lab.application_metrics import application_metrics
from mizzen.lab.commands import (
    Instance,
    Layout,
    agent_command,
    application_command,
    daemon_command,
    traffic_command,
)
from mizzen.lab.credentials import Credentials
from mizzen.lab.definition import Traffic, Workload
from mizzen.lab.modes import limits
from mizzen.lab.network import Network
from mizzen.lab.plan import Plan
from mizzen.lab.protocol import LabStatus
from mizzen.lab.proxy_start import ask_proxy_start, interception, options
from mizzen.lab.relay import Relay
from mizzen.lab.services import keep_name_server, keep_service_addresses
from mizzen.lab.startup import require_no_early_end, wait_until_nothing_is_missing
from mizzen.lab.unit import Unit, probe_all, process_status
from mizzen.processes import Command, Supervised, ToLines

_PROBE_PAUSE_SECONDS = 1.0
_DAEMON_GRACE_SECONDS = 5.0
_CALLER_GRACE_SECONDS = 0.5


class Supervisor:
    """One lab. `say` takes progress lines for people."""

    def __init__(self, plan: Plan, network: Network, say: Callable[[str], None]) -> None:
        """Makes the CA in the daemon's folder. Raises StateError."""
        self._plan = plan
        self._network = network
        self._say = say
        self._credentials = Credentials(Layout.of(plan).daemon, plan.trust_domain)
        self._daemon_ready = False
        self._ready = False
        self._callers: list[Supervised] = []
        self._background: list[asyncio.Task[None]] = []
        self.layout = Layout.of(plan)
        self.daemon = Supervised(self._daemon_command, on_exit=self._daemon_ended)
        self.units: dict[str, Unit] = {}

    async def start(self) -> None:
        """Returns once every application listens and every proxy has its configuration.

        Raises UserError (StartupError with the last lines of a log), StartError, StateError, OSError.
        """
        definition = self._plan.definition
        units = [unit for workload in definition.workloads for unit in await self._add_units(workload)]
        self._say(f"starting the daemon and {len(units)} workloads")
        self.daemon.start()
        await wait_until_nothing_is_missing(self._daemon_missing, self._say, self._plan.ready_seconds)
        if self._plan.isolation.network:
            self._in_background(keep_service_addresses(self.layout.admin_socket))
            self._in_background(keep_name_server(self.layout.admin_socket, self._network.own_address))
        await self._bring_up(units)
        self._ready = True
        self._in_background(self._keep_probing())
        self._open_ingress()
        for number, traffic in enumerate(definition.traffic):
            self._start_caller(number, traffic)

    async def stop(self) -> None:
        """Callers first, then the sidecars (they drain, all at once) with their applications, the daemon last."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await asyncio.gather(*(caller.stop(_CALLER_GRACE_SECONDS) for caller in self._callers))
        await asyncio.gather(*(unit.stop() for unit in self.units.values()))
        await self.daemon.stop(_DAEMON_GRACE_SECONDS)

    async def add(self, workload: Workload) -> None:
        """One more workload, with a Service of its own. Raises like `start`."""
        if any(unit.instance.workload.name == workload.name for unit in self.units.values()):
            raise UserError(f"the lab has a workload named {workload.name}", "choose another name")
        registry.serve(self.layout.registry, workload)
        units = await self._add_units(workload)
        await self._bring_up(units)

    async def remove(self, units: Sequence[Unit]) -> None:
        """Drain and stop the instances; when they are gone, the registry forgets them."""
        await asyncio.gather(*(unit.stop() for unit in units))
        for unit in units:
            registry.unregister(self.layout.registry, unit.instance.name, unit.instance.workload)
            del self.units[unit.instance.key]

    def find(self, name: str) -> list[Unit]:
        """The instances that "reviews-v1", "bookinfo/reviews-v1" or "reviews-v1-0" names. Raises UserError."""
        found = [unit for unit in self.units.values() if unit.instance.is_called(name)]
        if not found:
            known = sorted({unit.instance.workload.name for unit in self.units.values()})
            raise UserError(f"no workload named {name} in this lab", f"these are: {', '.join(known)}")
        return found

    def status(self) -> LabStatus:
        plan = self._plan
        return LabStatus(
            name=plan.name,
            mode=plan.isolation.mode,
            folder=plan.folder,
            state=plan.state,
            ready=self._ready and all(unit.ready for unit in self.units.values()),
            limits=limits(plan.isolation),
            daemon=process_status(self.daemon),
            daemon_log=str(self.layout.log("daemon")),
            instances=tuple(unit.status(self.layout) for unit in self.units.values()),
        )

    async def _add_units(self, workload: Workload) -> list[Unit]:
        added = []
        for number in range(workload.replicas):
            # pyroute2 runs an event loop of its own, so it needs a thread; so does entering another namespace.
            place = await asyncio.to_thread(self._network.add_place, ipv6=workload.ipv6)
            instance = Instance(f"{workload.name}-{number}", workload, place)
            added.append(self._unit(instance))
        return added

    def _unit(self, instance: Instance) -> Unit:
        registry.register(self.layout.registry, instance.name, instance.workload, instance.place.addresses)
        workload, plan, layout = instance.workload, self._plan, self.layout
        if workload.sidecar:
            self._credentials.write_token(layout.token(instance.name), instance.name, workload)

        def agent() -> Command:
            command = agent_command(plan, layout, instance, self._network.own_address)
            captures = plan.isolation.network and not workload.gateway
            mode = interception(unit.start, workload.annotations) if captures else ()
            metrics = () if workload.gateway else application_metrics(unit.start, workload.annotations)
            return dataclasses.replace(command, argv=(*command.argv, *options(unit.start), *mode, *metrics))

        unit = Unit(
            instance,
            agent if workload.sidecar else None,
            None if workload.gateway else lambda: application_command(plan, layout, instance),
            captured=plan.isolation.network,
            on_event=self._say,
        )
        self.units[instance.key] = unit
        return unit

    async def _bring_up(self, units: Sequence[Unit]) -> None:
        """Start the sidecars of the units, and wait until all is ready."""
        for unit in units:
            if unit.agent is not None:
                unit.start = await ask_proxy_start(self.layout.admin_socket, unit.instance.key)
        for unit in units:
            unit.bring_up()

        async def missing() -> list[str]:
            await probe_all(units)
            for unit in units:
                unit.require_no_early_end(self.layout)
            return [unit.waits_for() for unit in units if not unit.ready]

        await wait_until_nothing_is_missing(missing, self._say, self._plan.ready_seconds)

    async def _keep_probing(self) -> None:
        while True:
            await asyncio.sleep(_PROBE_PAUSE_SECONDS)
            await probe_all(list(self.units.values()))

    async def _daemon_missing(self) -> list[str]:
        require_no_early_end("the daemon", self.daemon, self.layout.log("daemon"))
        return [] if self._daemon_ready else ["the daemon"]

    def _daemon_command(self) -> Command:
        self._daemon_ready = False
        command = daemon_command(self._plan, self.layout, self._network.own_address)
        return dataclasses.replace(command, stdout=ToLines(self._on_daemon_line))

    def _on_daemon_line(self, line: str) -> None:
        if line == "ready":
            self._daemon_ready = True

    def _daemon_ended(self, why: str, delay_seconds: float | None) -> None:
        if delay_seconds is not None:
            self._say(f"the {why}, started again in {delay_seconds:.1f} s")

    def _open_ingress(self) -> None:
        ingress, descriptor = self._plan.definition.ingress, self._plan.descriptors.ingress
        if ingress is None or descriptor is None:
            return
        relay = Relay(socket.socket(fileno=descriptor), self._ingress_address(), ingress.port)
        self._in_background(relay.run())

    def _ingress_address(self) -> str:
        ingress = self._plan.definition.ingress
        return self.find(ingress.workload)[0].instance.place.address if ingress else ""

    def _start_caller(self, number: int, traffic: Traffic) -> None:
        connect, instance = None, None
        if traffic.source == "ingress":
            ingress = self._plan.definition.ingress
            connect = (self._ingress_address(), ingress.port) if ingress else None
        else:
            instance = self.find(traffic.source)[0].instance
        caller = Supervised(traffic_command(self._plan, self.layout, number, traffic, instance, connect))
        caller.start()
        self._callers.append(caller)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        self._background.append(asyncio.create_task(work))
