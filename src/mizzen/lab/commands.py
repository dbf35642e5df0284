"""The command lines of everything that the lab runs: the daemon, the agents, the applications, its own helpers."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mizzen.agent.capture.options import RETURNING_MARK
from mizzen.envoy_binary import envoy_path
from mizzen.lab import kernel
from mizzen.lab.capture import capture_options
from mizzen.lab.definition import Traffic, Workload, command_for
from mizzen.lab.network import Place
from mizzen.lab.plan import Plan, Programs
from mizzen.lab.protocol import CallRequest, is_called
from mizzen.lab.traffic import Caller
from mizzen.processes import Command, ToFile

DISCOVERY_PORT = 15012
HTTP_PROXY_PORT = 15002
AGENT_PORT = 15020
ENVOY_UID = 1337
NOBODY = 65534
_PRIVATE_PORT_OFFSET = 20000
_HIGHEST_PORT = 65535
_PROXY_VARIABLES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})
_LONGEST_SOCKET_PATH = 100  # the kernel's limit is 107 bytes

PROGRAMS = Programs(
    daemon=(sys.executable, "-m", "mizzen.daemon"),
    agent=(sys.executable, "-m", "mizzen.agent"),
)


@dataclass(frozen=True, slots=True)
class Instance:
    """One running copy of a workload."""

    name: str
    workload: Workload
    place: Place

    @property
    def key(self) -> str:
        return f"{self.workload.namespace}/{self.name}"

    def is_called(self, name: str) -> bool:
        return is_called(name, self.workload.namespace, self.workload.name, self.name)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a lab keep their files. `state` stays, `private` goes with the lab."""

    state: Path
    private: Path

    @classmethod
    def of(cls, plan: Plan) -> "Layout":
        return cls(Path(plan.state), Path(plan.run) / "private")

    @property
    def registry(self) -> Path:
        return self.state / "registry"

    @property
    def daemon(self) -> Path:
        return self.state / "daemon"

    @property
    def root_certificate(self) -> Path:
        return self.daemon / "ca" / "root-cert.pem"

    @property
    def admin_socket(self) -> Path:
        usual = self.daemon / "admin.sock"
        return usual if len(bytes(usual)) <= _LONGEST_SOCKET_PATH else self.private / "admin.sock"

    def log(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"

    def token(self, instance: str) -> Path:
        return self.private / "tokens" / instance

    def audit(self, instance: str, *, mounted: bool) -> Path:
        """As the agent sees it: Envoy's user may be unable to pass the folders above the lab's state."""
        return (self.private if mounted else self.state) / "audit" / instance

    def agent(self, instance: str) -> Path:
        return self.private / "agents" / instance


def private_port(port: int) -> int:
    """Without capture the proxy has the application's port, so the application listens on another one."""
    moved = port + _PRIVATE_PORT_OFFSET
    return moved if moved <= _HIGHEST_PORT else port - _PRIVATE_PORT_OFFSET


def listening_port(port: int, workload: Workload, *, captured: bool) -> int:
    """Where the application itself listens for what arrives at a port of its workload."""
    return port if captured or not workload.sidecar else private_port(port)


def daemon_command(plan: Plan, layout: Layout, own_address: str) -> Command:
    folders = [part for folder in (*plan.config, str(layout.registry)) for part in ("--config", folder)]
    return Command(
        name="daemon",
        argv=(
            *plan.programs.daemon,
            *folders,
            *("--state-dir", str(layout.daemon)),
            *("--listen", f"{own_address}:{DISCOVERY_PORT}"),
            *("--admin-fd", str(plan.descriptors.admin)),
            *("--admin-socket", str(layout.admin_socket)),
            *("--trust-domain", plan.trust_domain),
        ),
        pass_fds=(plan.descriptors.admin,),
        stderr=ToFile(layout.log("daemon")),
    )


def agent_command(plan: Plan, layout: Layout, instance: Instance, own_address: str) -> Command:
    workload = instance.workload
    options = {
        "--name": instance.name,
        "--namespace": workload.namespace,
        "--service-account": workload.service_account,
        "--address": instance.place.address,
        "--kind": "gateway" if workload.gateway else "sidecar",
        "--daemon": f"{own_address}:{DISCOVERY_PORT}",
        "--root-cert": str(layout.root_certificate),
        "--token-file": str(layout.token(instance.name)),
        "--state-dir": str(layout.agent(instance.name)),
        "--audit-dir": str(layout.audit(instance.name, mounted=plan.isolation.processes)),
        "--trust-domain": plan.trust_domain,
        "--envoy": str(envoy_path()),
        **_capture_options(plan, workload),
    }
    pairs = [("--label", f"{key}={value}") for key, value in workload.labels.items()]
    if not plan.isolation.network:
        pairs += [
            ("--app-port", f"{port.number}={private_port(port.number)}")
            for port in workload.declared_ports()
            if not workload.gateway
        ]
    pairs += [
        ("--wait-for-port", str(listening_port(port.number, workload, captured=plan.isolation.network)))
        for port in workload.declared_ports()
        if not workload.gateway
    ]
    if plan.isolation.network:
        searched = resolver_environment(workload.namespace)
        pairs += [("--env", f"{name}={value}") for name, value in searched.items()]
    log = ToFile(layout.log(f"{instance.name}.proxy"))
    return Command(
        name=f"agent of {instance.name}",
        argv=(*plan.programs.agent, *(part for pair in (*options.items(), *pairs) for part in pair)),
        netns_fd=instance.place.namespace,
        stdout=log,
        stderr=log,
    )


def _capture_options(plan: Plan, workload: Workload) -> dict[str, str]:
    """How traffic reaches the sidecar, and how its own traffic is told apart: by its user where more than one exists."""
    has_users = kernel.is_mapped(ENVOY_UID) and os.geteuid() == 0
    options = {
        "--mark": "0" if has_users else str(RETURNING_MARK),
        "--envoy-uid": str(ENVOY_UID if has_users else os.geteuid()),
    }
    if plan.isolation.network and not workload.gateway:
        options |= capture_options(workload.annotations)
    else:
        options["--interception"] = "none"
    if not plan.isolation.network:
        options["--http-proxy-port"] = str(HTTP_PROXY_PORT)
    return options


def application_command(plan: Plan, layout: Layout, instance: Instance) -> Command:
    log = ToFile(layout.log(f"{instance.name}.app"))
    folder = Path(plan.folder)
    uid = application_uid(folder)
    return Command(
        name=instance.name,
        argv=command_for(instance.workload.argv(), folder, sys.executable),
        env=_clean_environment() | {"PYTHONUNBUFFERED": "1"} | application_environment(plan, instance),
        cwd=folder,
        uid=uid,
        gid=uid,
        netns_fd=instance.place.namespace,
        in_child=(kernel.drop_capabilities_at_exec,),
        stdout=log,
        stderr=log,
    )


def application_environment(plan: Plan, instance: Instance) -> dict[str, str]:
    """HOST and PORT say where to listen; PORT_<NAME> is there for every named port."""
    workload, address = instance.workload, instance.place.address
    moved = {
        port: listening_port(port.number, workload, captured=plan.isolation.network)
        for port in workload.declared_ports()
    }
    environment = {
        "HOST": "0.0.0.0" if plan.isolation.network else address,  # noqa: S104  # in its own network namespace
        "MIZZEN_WORKLOAD": instance.name,
        "MIZZEN_NAMESPACE": workload.namespace,
        **{
            f"PORT_{port.name.upper().replace('-', '_')}": str(number)
            for port, number in moved.items()
            if port.name
        },
    }
    if moved:
        environment["PORT"] = str(next(iter(moved.values())))
    if plan.isolation.network:
        environment |= resolver_environment(workload.namespace)
    elif workload.sidecar:
        environment |= proxy_environment(address)
    return environment | workload.env


def resolver_environment(namespace: str) -> Mapping[str, str]:
    """How a name without dots, or with few, is completed before it is asked for: as in a pod of that namespace.

    The resolver's file is one for the whole lab; the C library and Envoy's resolver (c-ares) let these overrule it.
    """
    domains = f"{namespace}.svc.cluster.local svc.cluster.local cluster.local"
    return {"LOCALDOMAIN": domains, "RES_OPTIONS": "ndots:5"}


def proxy_environment(address: str) -> Mapping[str, str]:
    """What most HTTP clients read to find the sidecar, where nothing captures their traffic."""
    proxy, direct = f"http://{address}:{HTTP_PROXY_PORT}", f"{address},127.0.0.1,localhost"
    return {"http_proxy": proxy, "HTTP_PROXY": proxy, "no_proxy": direct, "NO_PROXY": direct}


def application_uid(folder: Path) -> int | None:
    """Applications run as nobody where nobody can work: not if the interpreter or the folder is inside a private home.

    There they run as the folder's owner, and in any case without capabilities. None: there is no other user to be.
    """
    if os.geteuid() != 0 or not kernel.is_mapped(NOBODY):
        return None
    if all(_is_open_to_all(path) for path in (folder, Path(sys.executable).resolve())):
        return NOBODY
    owner = folder.stat().st_uid
    return owner if kernel.is_mapped(owner) else None


def _is_open_to_all(path: Path) -> bool:
    try:
        return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))
    except OSError:
        return False


def call_command(plan: Plan, instance: Instance | None) -> Command:
    """Sends requests as the instance's application would, or (None) as somebody in the lab's network who has no
    sidecar; see mizzen.lab.request.
    """
    place = instance.place if instance is not None else None
    return Command(
        name=f"request from {instance.name if instance else 'outside the mesh'}",
        argv=(sys.executable, "-m", "mizzen.lab.request"),
        env=_caller_environment(plan, instance),
        netns_fd=place.namespace if place else None,
        in_child=(kernel.drop_capabilities_at_exec,),
    )


def traffic_command(
    plan: Plan,
    layout: Layout,
    number: int,
    traffic: Traffic,
    instance: Instance | None,
    connect: tuple[str, int] | None,
) -> Command:
    """Calls steadily, from a workload or (None) from outside the mesh."""
    place = instance.place if instance is not None else None
    caller = Caller(CallRequest(traffic.source, traffic.url, headers=traffic.headers), traffic.rps, connect)
    log = ToFile(layout.log(f"traffic-{number}"))
    return Command(
        name=f"traffic from {traffic.source}",
        argv=(sys.executable, "-m", "mizzen.lab.traffic", msgspec.json.encode(caller).decode()),
        env=_caller_environment(plan, instance),
        netns_fd=place.namespace if place else None,
        in_child=(kernel.drop_capabilities_at_exec,),
        stdout=log,
        stderr=log,
    )


def _clean_environment() -> dict[str, str]:
    """Without the user's own proxy settings, which lead out of the lab."""
    return {key: value for key, value in os.environ.items() if key.lower() not in _PROXY_VARIABLES}


def _caller_environment(plan: Plan, instance: Instance | None) -> dict[str, str]:
    environment = _clean_environment()
    if instance is not None and plan.isolation.network:
        environment |= resolver_environment(instance.workload.namespace)
    elif instance is not None and instance.workload.sidecar:
        environment |= proxy_environment(instance.place.address)
    return environment
