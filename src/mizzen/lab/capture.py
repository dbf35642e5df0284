"""What of a workload's traffic is captured, as the annotations of its pod say it in Istio."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from mizzen.agent.capture.options import (
    parse_cidrs,
    parse_cidrs_or_every,
    parse_ports,
    parse_ports_or_every,
    parse_words,
)

INTERCEPTION_MODE: Final = "sidecar.istio.io/interceptionMode"
_MODES: Final = {"REDIRECT": "redirect", "TPROXY": "tproxy"}


@dataclass(frozen=True, slots=True)
class Choice:
    """The agent's option for an annotation, and what reads its value: raises ValueError where it cannot be meant."""

    option: str
    parse: Callable[[str], object]


CHOICES: Final[Mapping[str, Choice]] = {
    "traffic.sidecar.istio.io/includeInboundPorts": Choice("--include-inbound-ports", parse_ports_or_every),
    "traffic.sidecar.istio.io/excludeInboundPorts": Choice("--exclude-inbound-ports", parse_ports),
    "traffic.sidecar.istio.io/includeOutboundPorts": Choice("--include-outbound-ports", parse_ports),
    "traffic.sidecar.istio.io/excludeOutboundPorts": Choice("--exclude-outbound-ports", parse_ports),
    "traffic.sidecar.istio.io/includeOutboundIPRanges": Choice(
        "--include-outbound-cidrs", parse_cidrs_or_every
    ),
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": Choice("--exclude-outbound-cidrs", parse_cidrs),
    "traffic.sidecar.istio.io/excludeInterfaces": Choice("--exclude-interfaces", parse_words),
    "istio.io/reroute-virtual-interfaces": Choice("--virtual-interfaces", parse_words),
}


def capture_options(annotations: Mapping[str, str]) -> dict[str, str]:
    """The agent's options where traffic is captured; annotations that do not concern it are passed over.

    As in Istio, the agent answers in place of the system's DNS servers; whoever asks others, asks them.
    """
    mode = _MODES[annotations.get(INTERCEPTION_MODE, "REDIRECT")]
    chosen = {CHOICES[name].option: text for name, text in annotations.items() if name in CHOICES}
    return {"--interception": mode, "--capture-dns": "resolv.conf", **chosen}


def wrong_annotations(annotations: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Annotations of capture that cannot be meant, each with what is wrong."""
    mode = annotations.get(INTERCEPTION_MODE, "REDIRECT")
    if mode not in _MODES:
        yield INTERCEPTION_MODE, f"{mode!r} is no mode that a lab has: {' or '.join(_MODES)}"
    for name, text in annotations.items():
        if name in CHOICES:
            try:
                CHOICES[name].parse(text)
            except ValueError as error:
                yield name, str(error)
