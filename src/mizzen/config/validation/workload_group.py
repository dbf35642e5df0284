"""WorkloadGroup."""

from mizzen.config.resource import Path, Resource
from mizzen.config.types.networking import ReadinessProbe, WorkloadGroup
from mizzen.config.validation import headers, ports, references, rules, workload_entry
from mizzen.config.validation.rules import Findings, invalid, questionable


def validate(resource: Resource[WorkloadGroup]) -> Findings:
    spec = resource.spec
    yield from workload_entry.workload(spec.template, ("spec", "template"), needs_address=False)
    if spec.template.address:
        path = ("spec", "template", "address")
        message = f"{spec.template.address}: each workload brings its own address"
        yield questionable(path, message, "remove it")
    if spec.metadata:
        yield from references.labels(spec.metadata.labels, ("spec", "metadata", "labels"))
    if spec.probe:
        yield from _probe(spec.probe, ("spec", "probe"))


def _probe(probe: ReadinessProbe, path: Path) -> Findings:
    ways = ("http_get", "tcp_socket", "exec", "grpc")
    yield from rules.at_most_one(probe, ways, path)
    if all(getattr(probe, name) is None for name in ways):
        yield invalid(path, "the probe asks nothing", f"add one of {', '.join(map(rules.camel, ways))}")
    for name in ("initial_delay", "timeout", "period"):
        yield from rules.at_least(
            0, getattr(probe, f"{name}_seconds"), (*path, rules.camel(f"{name}_seconds"))
        )
    for name in ("success_threshold", "failure_threshold"):
        yield from rules.at_least(0, getattr(probe, name), (*path, rules.camel(name)))
    if http := probe.http_get:
        yield from ports.port(http.port, (*path, "httpGet", "port"))
        if http.scheme not in ("", "HTTP", "HTTPS"):
            yield invalid((*path, "httpGet", "scheme"), f'"{http.scheme}" is neither HTTP nor HTTPS')
        for index, header in enumerate(http.http_headers):
            yield from headers.header_name(header.name, (*path, "httpGet", "httpHeaders", index, "name"))
    if probe.tcp_socket:
        yield from ports.port(probe.tcp_socket.port, (*path, "tcpSocket", "port"))
    if probe.grpc:
        yield from ports.port(probe.grpc.port, (*path, "grpc", "port"))
    if probe.exec and not probe.exec.command:
        yield invalid((*path, "exec", "command"), "there is no command")
