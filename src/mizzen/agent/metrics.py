"""The workload's metrics in Prometheus' text form: Envoy's under the mesh's names, and a few of the agent's."""

import re
from dataclasses import dataclass
from typing import Final

from mizzen.agent.dns import DnsFigures

# Envoy puts envoy_ before every name; Istio's names have no such prefix.
_PREFIXED: Final = re.compile(rb"^(# TYPE )?envoy_(?=(?:istio|mizzen)_)", re.MULTILINE)
_OF_THE_MESH: Final = re.compile(rb"^(?:istio|mizzen)_[^\n]*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """Times are in seconds since the epoch; `certificate_expires` is 0 where there is none."""

    envoy_restarts: int
    certificates_issued: int
    certificate_expires: float
    ready: bool
    resident_bytes: int
    dns: DnsFigures


def with_mesh_names(exposition: bytes) -> bytes:
    """Envoy's own output with the prefix taken from the mesh's metrics, whose empty labels become "unknown"."""
    renamed = _PREFIXED.sub(rb"\1", exposition)
    return _OF_THE_MESH.sub(lambda line: line.group().replace(b'=""', b'="unknown"'), renamed)


def exposition_of(figures: AgentFigures) -> bytes:
    rows = (
        ("counter", "mizzen_agent_envoy_restarts_total", figures.envoy_restarts),
        ("counter", "mizzen_agent_certificates_issued_total", figures.certificates_issued),
        ("gauge", "mizzen_agent_certificate_expiry_timestamp_seconds", figures.certificate_expires),
        ("gauge", "mizzen_agent_ready", int(figures.ready)),
        ("gauge", "mizzen_agent_resident_memory_bytes", figures.resident_bytes),
        ("counter", "mizzen_agent_dns_requests_total", figures.dns.asked),
        ("counter", "mizzen_agent_dns_upstream_requests_total", figures.dns.asked_on),
        ("counter", "mizzen_agent_dns_upstream_failures_total", figures.dns.failed),
    )
    return "".join(f"# TYPE {name} {kind}\n{name} {value}\n" for kind, name, value in rows).encode()
