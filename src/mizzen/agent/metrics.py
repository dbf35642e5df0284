"""The agent's own metrics, in Prometheus' text form."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from mizzen.agent.dns import DnsFigures

RESERVED: Final = (b"mizzen_agent_", b"istio_agent_")
"""With what the names of the agent's own metrics begin."""

OF_PROXIES: Final = (b"envoy_", b"istio_", b"mizzen_")
"""And those of Envoy's."""


class Part(Enum):
    """Whose metrics an answer to Prometheus is put together from (Istio's words)."""

    ENVOY = "envoy"
    APPLICATION = "application"
    AGENT = "agent"


@dataclass(slots=True)
class ScrapeFigures:
    """How often Prometheus asked, what was missing in the answers, and how many of the application's names were left out of
    the last one.
    """

    asked: int = 0
    failed: dict[Part, int] = field(default_factory=lambda: dict.fromkeys(Part, 0))
    left_out: int = 0
    folded: dict[str, int] = field(default_factory=dict)  # metric -> series that were added up in one


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """Times are in seconds since the epoch; `certificate_expires` is 0 where there is none. `envoy_version` is "" where it is
    not known.
    """

    version: str
    envoy_version: str
    envoy_restarts: int
    certificates_issued: int
    certificate_expires: float
    ready: bool
    resident_bytes: int
    dns: DnsFigures


@dataclass(frozen=True, slots=True)
class _Family:
    """`samples`: values by their labels."""

    kind: str
    name: str
    samples: Mapping[str, float]

    def __str__(self) -> str:
        lines = (f"{self.name}{labels} {value}\n" for labels, value in self.samples.items())
        return f"# TYPE {self.name} {self.kind}\n{''.join(lines)}"


def exposition_of(figures: AgentFigures) -> bytes:
    versions = f'{{version="{figures.version}",envoy_version="{figures.envoy_version}"}}'
    rows = (
        ("gauge", "mizzen_agent_build_info", 1, versions),
        ("counter", "mizzen_agent_envoy_restarts_total", figures.envoy_restarts, ""),
        ("counter", "mizzen_agent_certificates_issued_total", figures.certificates_issued, ""),
        ("gauge", "mizzen_agent_certificate_expiry_timestamp_seconds", figures.certificate_expires, ""),
        ("gauge", "mizzen_agent_ready", int(figures.ready), ""),
        ("gauge", "mizzen_agent_resident_memory_bytes", figures.resident_bytes, ""),
        ("counter", "mizzen_agent_dns_requests_total", figures.dns.asked, ""),
        ("counter", "mizzen_agent_dns_upstream_requests_total", figures.dns.asked_on, ""),
        ("counter", "mizzen_agent_dns_upstream_failures_total", figures.dns.failed, ""),
    )
    return _text(_Family(kind, name, {labels: value}) for kind, name, value, labels in rows)


def exposition_of_scrapes(figures: ScrapeFigures) -> bytes:
    """The first two are Istio's."""
    failed = {f'{{type="{part.value}"}}': count for part, count in figures.failed.items()}
    folded = {f'{{metric="{metric}"}}': count for metric, count in sorted(figures.folded.items())}
    families = (
        _Family("counter", "istio_agent_scrapes_total", {"": figures.asked}),
        _Family("counter", "istio_agent_scrape_failures_total", failed),
        _Family("gauge", "mizzen_agent_application_metrics_left_out", {"": figures.left_out}),
        _Family("gauge", "mizzen_agent_folded_series", folded),
    )
    return _text(iter(families))


def _text(families: Iterator[_Family]) -> bytes:
    return "".join(map(str, families)).encode()
