"""Ports and their protocols."""

from typing import Final

from mizzen.config.resource import Path
from mizzen.config.validation.hosts import is_label
from mizzen.config.validation.rules import Findings, invalid

WITH_TLS: Final = frozenset({"HTTPS", "TLS"})
HTTP: Final = frozenset({"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY"})
PROTOCOLS: Final = WITH_TLS | HTTP | {"TCP", "UDP", "MONGO", "MYSQL", "REDIS", "HBONE"}


def port(number: int, path: Path) -> Findings:
    if not 1 <= number <= 65535:
        yield invalid(path, f"{number} is no port: ports are 1 to 65535")


def port_name(name: str, path: Path) -> Findings:
    if not is_label(name):
        yield invalid(path, f'"{name}" is no port name', "use letters, digits and '-', 63 at most")


def protocol(name: str, path: Path) -> Findings:
    if name.upper() not in PROTOCOLS:
        yield invalid(path, f'"{name}" is no protocol', f"use one of {', '.join(sorted(PROTOCOLS))}")
