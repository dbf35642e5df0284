"""What the daemon is started with. Configuration that changes while it runs is YAML (MeshConfig), not settings."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from mizzen.ca.live import Watching
from mizzen.logs import DAEMON_SCOPES, LogLevels

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Settings:
    """`config` are the folders of YAML; where two hold the same object the first by path wins.

    `admin_fd` is a listening socket that was handed in (the lab opens it outside of its namespaces); `listen` is where
    agents and proxies connect. Several daemons have a `state_dir` each and one `shared_dir`.
    """

    config: tuple[Path, ...]
    state_dir: Path
    shared_dir: Path | None = None  # None: the state folder
    listen_host: str = "127.0.0.1"
    listen_port: int = 15012
    admin_host: str = "127.0.0.1"
    admin_port: int = 0  # 0: only the socket of the daemon's owner
    admin_fd: int | None = None
    admin_socket: Path | None = None  # None: admin.sock in the state folder
    admin_hosts: tuple[str, ...] = ()
    trust_domain: str = ""  # "": MeshConfig's at the start, else cluster.local
    certificate_ttl_seconds: int = 24 * 3600
    ca_command: tuple[
        str, ...
    ] = ()  # an external CA (ca/external.py); (): Mizzen's own, or one that is plugged in
    ca_watching: Watching = field(default_factory=Watching)
    key_addresses: tuple[Network, ...] = ()  # where key sets are fetched though it is refused by default
    names: tuple[str, ...] = ()  # further names and addresses in the daemon's certificate
    otlp_endpoint: str = ""  # of an OpenTelemetry collector, for traces of changes; "": none are made
    logs: LogLevels = field(default_factory=lambda: LogLevels(DAEMON_SCOPES))

    @property
    def shared(self) -> Path:
        """Where the CA, the key of join tokens and the workloads that registered themselves are."""
        return self.shared_dir or self.state_dir
