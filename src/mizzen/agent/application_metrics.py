"""The application's own metrics: where they are, and asking for them.

Source: the pod annotations prometheus.io/scrape, port, path and scheme, which Istio's injector hands to the agent in the variable
ISTIO_PROMETHEUS_ANNOTATIONS. Only this machine is asked, only at the port and path that are configured, and no redirect is
followed: whoever can scrape the workload must not reach anything else through its agent.
"""

import asyncio
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from mizzen.agent import ports
from mizzen.agent.exposition import WrongExpositionError, checked
from mizzen.agent.http_client import LINE_BYTES, TooLongError, ask, unverified_tls

ENVIRONMENT: Final = "ISTIO_PROMETHEUS_ANNOTATIONS"
TIMEOUT_HEADER: Final = "X-Prometheus-Scrape-Timeout-Seconds"
MOST_BYTES: Final = 16 << 20

_SCHEMES: Final = ("http", "https")
_OPTION: Final = re.compile(r"(?:(https?):)?(\d{1,5})(/.*)?", re.DOTALL)
_PATH: Final = re.compile(r"/[!-~]*")  # as it is sent: nothing that would end a line or a word
# What can be merged, and nothing else: a Prometheus that could take protobuf would be answered so.
_ACCEPT: Final = "text/plain;version=0.0.4;q=1,*/*;q=0.1"


class NoMetricsError(Exception):
    """The application gave no metrics; the message is one line."""


@dataclass(frozen=True, slots=True)
class ApplicationMetrics:
    """Where the application serves its metrics: [SCHEME:]PORT[/PATH] on the agent's command line."""

    port: int
    path: str = "/metrics"
    scheme: str = "http"

    def __post_init__(self) -> None:
        """Raises ValueError where that cannot be asked."""
        if not 0 < self.port < 65536:
            raise ValueError(f"{self.port} is no port")
        if self.port == ports.STATUS:
            raise ValueError(f"port {self.port} is the agent's own: it would ask itself")
        if not _PATH.fullmatch(self.path):
            raise ValueError(f"{self.path!r} is no path of a URL")
        if self.scheme not in _SCHEMES:
            raise ValueError(f"{self.scheme!r} is neither {' nor '.join(_SCHEMES)}")

    def __str__(self) -> str:
        return f"{self.scheme}:{self.port}{self.path}"

    @classmethod
    def parse(cls, text: str) -> "ApplicationMetrics":
        """Of the command line. Raises ValueError."""
        found = _OPTION.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not [http:|https:]PORT[/PATH]")
        scheme, port, path = found.groups()
        return cls(int(port), path or "/metrics", scheme or "http")


def of_annotations(parts: Mapping[str, str]) -> ApplicationMetrics | None:
    """From what stands behind prometheus.io/: scrape, port, path, scheme. None where nobody asks for the application's metrics.

    As in Istio each of them asks, with port 80 and /metrics for what is left open. Raises ValueError.
    """
    if not any(parts.get(name) for name in ("scrape", "port", "path")) or parts.get("scrape") == "false":
        return None
    port = parts.get("port") or "80"
    if not port.isdecimal():
        raise ValueError(f"{port!r} is no port")
    path = parts.get("path") or "/metrics"
    return ApplicationMetrics(int(port), path, (parts.get("scheme") or "http").lower())


def of_environment(environment: Mapping[str, str]) -> ApplicationMetrics | None:
    """From ISTIO_PROMETHEUS_ANNOTATIONS, a JSON object. Raises ValueError."""
    text = environment.get(ENVIRONMENT, "")
    if not text:
        return None
    parts = json.loads(text)
    if not isinstance(parts, dict) or not all(isinstance(value, str) for value in parts.values()):
        raise ValueError("no object of texts")
    return of_annotations(parts)


def host_of(address: str) -> str:
    """Where the application of the workload at that address is asked: at localhost, as in Istio; at the address where that is
    a loopback address itself, one of several workloads' on it.
    """
    parsed = ipaddress.ip_address(address)
    if parsed.is_loopback:
        return address
    return "127.0.0.1" if parsed.version == 4 else "::1"


async def fetch(metrics: ApplicationMetrics, host: str, port: int, seconds: float) -> bytes:
    """The application's exposition, valid text. `port` is where it listens; it has `seconds` for its answer.

    Raises NoMetricsError.
    """
    secure = unverified_tls() if metrics.scheme == "https" else None
    name = f"[{host}]" if ":" in host else host
    headers = {
        "Host": f"{name}:{port}",
        "User-Agent": "mizzen-agent",
        "Accept": _ACCEPT,
        TIMEOUT_HEADER: f"{seconds:g}",
    }
    try:
        async with asyncio.timeout(seconds):
            stream = await asyncio.open_connection(host, port, ssl=secure, limit=LINE_BYTES)
            answer = await ask(stream, "GET", metrics.path, headers, most_bytes=MOST_BYTES)
        if answer.status != HTTPStatus.OK:
            raise NoMetricsError(f"it answered {answer.status} {answer.reason}")
        return checked(answer.body, answer.content_type)
    except TimeoutError:
        raise NoMetricsError(f"no answer within {seconds:g} s") from None
    except TooLongError as error:
        raise NoMetricsError(f"its answer is {error}") from None
    except (OSError, EOFError, asyncio.LimitOverrunError, ValueError, WrongExpositionError) as error:
        raise NoMetricsError(str(error)) from None
