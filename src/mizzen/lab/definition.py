"""lab.yaml: which workloads the lab runs, where traffic enters, and who calls whom for the live view."""

import shlex
from pathlib import Path

import msgspec

MAX_WORKLOADS = 64
MAX_REPLICAS = 50
MAX_TRAFFIC = 16
MAX_CHECKS = 100

INGRESS = "ingress"  # as a caller: from the host, through the gateway
OUTSIDE = "outside"  # as a caller: beside the mesh, without a sidecar


class Port(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A port of the application as the mesh sees it. The name is that of the Service's port, where it matters."""

    number: int
    name: str = ""


class Workload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Instances that share a command, labels and an identity.

    A gateway has no application, only a proxy; `sidecar: false` is an application without a proxy, which neither speaks
    nor takes the mesh's mutual TLS. Annotations are those of the pod that it stands for.
    """

    name: str
    namespace: str = "default"
    service_account: str = "default"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    locality: str = ""  # region/zone/subzone
    command: str | tuple[str, ...] = ()  # text is split as a shell would, but no shell runs
    ports: tuple[int | Port, ...] = ()
    replicas: int = 1
    env: dict[str, str] = {}
    gateway: bool = False
    sidecar: bool = True
    ipv6: bool = False  # whether it has an address of IPv6, too, where it has a network namespace of its own

    def argv(self) -> tuple[str, ...]:
        return tuple(shlex.split(self.command)) if isinstance(self.command, str) else self.command

    def declared_ports(self) -> tuple[Port, ...]:
        return tuple(port if isinstance(port, Port) else Port(number=port) for port in self.ports)


class Ingress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Which gateway gets what reaches the lab from the host."""

    workload: str
    port: int


class Traffic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A steady caller, so that there is something to see: `source` is "ingress" or a workload."""

    source: str = msgspec.field(name="from")
    url: str
    rps: float = 1.0  # requests per second
    headers: dict[str, str] = {}


class Expectation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One statement and the requests that prove it. Every response must satisfy what is given.

    `source` is a workload, "ingress", or "outside": a caller without a sidecar, beside the mesh. `shares` says how the
    responses are spread over the values of a field of the JSON body, in percent. `{unique}` in the URL is another text
    in every run.
    """

    name: str
    source: str = msgspec.field(name="from")
    url: str
    headers: dict[str, str] = {}
    count: int = 1
    status: int | None = None  # None: any that is no error of transport; 0: no HTTP answer at all
    body_contains: str = ""
    header_contains: dict[str, str] = {}
    at_least_seconds: float = 0.0
    at_most_seconds: float = 0.0  # 0: no limit
    share_of: str = ""  # the field of the body
    shares: dict[str, float] = {}
    needs_capture: bool = False  # cannot be shown where traffic is not captured


class LabDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    name: str = ""
    workloads: tuple[Workload, ...] = ()
    ingress: Ingress | None = None
    traffic: tuple[Traffic, ...] = ()
    checks: tuple[Expectation, ...] = ()  # what `mizzen up --check` proves


def extra_workload(option: str) -> Workload:
    """The workload of `--workload NAME=COMMAND:PORT`. Raises ValueError with a line for the user."""
    name, equals, rest = option.partition("=")
    command, colon, port = rest.rpartition(":")
    if not (equals and colon and command and port.isdigit()):
        raise ValueError(f'--workload {option!r} is not NAME=COMMAND:PORT, such as web="python app.py":8000')
    return Workload(
        name=name,
        labels={"app": name},
        command=command,
        ports=(Port(number=int(port), name="http"),),
    )


def command_for(argv: tuple[str, ...], folder: Path, interpreter: str) -> tuple[str, ...]:
    """The command as it is executed: `python` is the interpreter that runs Mizzen, paths are relative to the folder."""
    program, *rest = argv
    if program in {"python", "python3"}:
        program = interpreter
    elif "/" in program:
        program = str(folder / program)
    return (program, *rest)
