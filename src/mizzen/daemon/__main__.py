"""`mizzen serve`: the daemon's command line."""

import argparse
import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from mizzen import logs
from mizzen.ca.live import Watching
from mizzen.daemon.key_sets import parse_networks
from mizzen.daemon.lock import state_folder
from mizzen.daemon.otlp import traces_url
from mizzen.daemon.settings import Settings
from mizzen.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 after SIGTERM or SIGINT, 1 for what the user can mend."""
    parsed = _parser().parse_args(arguments)
    logs.set_up(parsed.log_format)
    os.umask(0o077)  # whatever is written is the daemon's alone
    try:
        settings = _settings(parsed)
        settings.logs.reset()
        with state_folder(settings.state_dir):
            sys.setswitchinterval(_SWITCH_SECONDS)
            asyncio.run(_serve(settings))
    except UserError as error:
        print(f"mizzen serve: {error}", file=sys.stderr)  # noqa: T201  # this is the command line
        return 1
    return 0


# Files are read and decoded in threads. When the event loop has something to do it waits at most so long for them.
_SWITCH_SECONDS = 0.001


async def _serve(settings: Settings) -> None:
    from mizzen.daemon.wiring import Daemon

    daemon = Daemon(settings)
    running = asyncio.create_task(daemon.run(lambda: print("ready", flush=True)))  # noqa: T201  # the lab reads it
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mizzen serve", description="Run the mesh's daemon: discovery, CA, configuration."
    )
    parser.add_argument(
        "--config",
        action="append",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of YAML; repeatable",
    )
    parser.add_argument(
        "--state-dir", type=Path, required=True, metavar="DIR", help="this daemon's own folder (0700)"
    )
    parser.add_argument(
        "--shared-dir",
        type=Path,
        metavar="DIR",
        help="what several daemons share: the CA's keys, the key of join tokens, registered workloads (default: the state folder)",
    )
    parser.add_argument(
        "--listen", default="127.0.0.1:15012", metavar="HOST:PORT", help="for agents and proxies (TLS)"
    )
    parser.add_argument(
        "--admin-address",
        default="127.0.0.1:0",
        metavar="HOST:PORT",
        help="JSON API, metrics and console in plain HTTP, such as 127.0.0.1:15014 (default: none, the socket alone)",
    )
    parser.add_argument(
        "--admin-fd", type=int, metavar="N", help="a listening socket for the admin address instead"
    )
    parser.add_argument(
        "--admin-socket",
        type=Path,
        metavar="PATH",
        help="unix socket of the JSON API (default: admin.sock in the state folder)",
    )
    parser.add_argument(
        "--admin-host",
        action="append",
        default=[],
        metavar="NAME",
        help="further name by which browsers may call; repeatable",
    )
    parser.add_argument(
        "--trust-domain", default="", metavar="DOMAIN", help="default: MeshConfig's, else cluster.local"
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="further name in the daemon's certificate; repeatable",
    )
    parser.add_argument(
        "--certificate-ttl",
        type=int,
        default=24 * 3600,
        metavar="SECONDS",
        help="longest life of a workload's certificate",
    )
    _add_security(parser)
    _add_logs(parser)
    return parser


def _add_logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log-level",
        default="",
        metavar="SCOPE:LEVEL,...",
        help=f"how much is logged, or one level for all (scopes: {', '.join(logs.DAEMON_SCOPES)}; levels: {', '.join(logs.LEVELS)})",
    )
    parser.add_argument("--log-format", choices=logs.FORMATS, default="text", help="default: text")
    parser.add_argument(
        "--otlp-endpoint",
        default=os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
        metavar="URL",
        help="send traces of changes to this OpenTelemetry collector, such as http://localhost:4318 "
        "(default: the variable OTEL_EXPORTER_OTLP_ENDPOINT, else none are made)",
    )
    parser.add_argument("--debug", action="store_true", help="the same as --log-level debug")


def _add_security(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ca-command",
        default="",
        metavar="COMMAND",
        help="a command that signs certificates in the place of Mizzen's own CA",
    )
    parser.add_argument(
        "--ca-margin",
        type=int,
        default=300,
        metavar="SECONDS",
        help="how much longer than a certificate lives a step of a root's rotation lasts",
    )
    parser.add_argument(
        "--allow-key-address",
        action="append",
        default=[],
        metavar="CIDR",
        help="fetch key sets of RequestAuthentications also from these loopback, link-local or metadata addresses; repeatable",
    )


def _settings(parsed: argparse.Namespace) -> Settings:
    for folder in parsed.config:
        if not folder.exists():
            raise UserError(f"there is no {folder}", "name an existing folder or file with --config")
    if parsed.certificate_ttl < 1:
        raise UserError(
            f"certificates cannot live for {parsed.certificate_ttl} seconds", "correct --certificate-ttl"
        )
    if parsed.otlp_endpoint:
        traces_url(parsed.otlp_endpoint)  # a mistake is said at once
    listen_host, listen_port = _host_port(parsed.listen, "--listen")
    admin_host, admin_port = _host_port(parsed.admin_address, "--admin-address")
    return Settings(
        config=tuple(parsed.config),
        state_dir=parsed.state_dir,
        shared_dir=parsed.shared_dir,
        listen_host=listen_host,
        listen_port=listen_port,
        admin_host=admin_host,
        admin_port=admin_port,
        admin_fd=parsed.admin_fd,
        admin_socket=parsed.admin_socket,
        admin_hosts=tuple(parsed.admin_host),
        trust_domain=parsed.trust_domain,
        certificate_ttl_seconds=parsed.certificate_ttl,
        ca_command=tuple(shlex.split(parsed.ca_command)),
        ca_watching=Watching(margin=timedelta(seconds=parsed.ca_margin)),
        key_addresses=parse_networks(parsed.allow_key_address),
        names=tuple(parsed.name),
        otlp_endpoint=parsed.otlp_endpoint,
        logs=_log_levels(parsed),
    )


def _log_levels(parsed: argparse.Namespace) -> logs.LogLevels:
    found = {"all": "debug"} if parsed.debug else {}
    if parsed.log_level:
        found |= logs.parse_levels(parsed.log_level)
    return logs.LogLevels(logs.DAEMON_SCOPES, found)


def _host_port(text: str, option: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise UserError(f"{text!r} is not HOST:PORT", f"correct {option}")
    return host.strip("[]"), int(port)


if __name__ == "__main__":
    sys.exit(main())
