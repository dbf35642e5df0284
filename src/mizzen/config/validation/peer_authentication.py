"""PeerAuthentication."""

from mizzen.config.resource import Path
from mizzen.config.types.security import PeerAuthentication
from mizzen.config.types.targets import WorkloadSelector
from mizzen.config.validation import rules
from mizzen.config.validation.rules import Findings, invalid


def validate(spec: PeerAuthentication) -> Findings:
    yield from selector(spec.selector, ("spec", "selector"))
    path = ("spec", "portLevelMtls")
    if spec.port_level_mtls and not (spec.selector and spec.selector.match_labels):
        yield invalid(
            path, "ports are those of workloads, so a selector is needed", "add selector.matchLabels"
        )
    for port in spec.port_level_mtls:
        if not rules.is_port(port):
            yield invalid((*path, port), f'"{port}" is no port: ports are 1 to 65535')


def selector(given: WorkloadSelector | None, path: Path) -> Findings:
    if given is not None:
        yield from rules.labels(given.match_labels, (*path, "matchLabels"))
