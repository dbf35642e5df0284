"""ServiceEntry."""

from mizzen.config.resource import Path
from mizzen.config.types.networking import Resolution, ServiceEntry, ServicePort, WorkloadEntry
from mizzen.config.validation import gateway, rules, workload_entry
from mizzen.config.validation.rules import Findings, invalid

_BY_DNS = (Resolution.DNS, Resolution.DNS_ROUND_ROBIN)


def validate(spec: ServiceEntry) -> Findings:
    yield from _hosts(spec)
    yield from _addresses(spec)
    yield from rules.export_to(spec.export_to, ("spec", "exportTo"))
    yield from rules.unique((port.name for port in spec.ports), ("spec", "ports"), "the port name")
    yield from rules.unique((port.number for port in spec.ports), ("spec", "ports"), "the port")
    for index, port in enumerate(spec.ports):
        yield from _port(port, ("spec", "ports", index))
    if spec.workload_selector:
        yield from rules.labels(spec.workload_selector.labels, ("spec", "workloadSelector", "labels"))
        if spec.endpoints:
            yield invalid(("spec",), "only one of endpoints, workloadSelector can be set", "keep one of them")
    yield from _endpoints(spec)


def _hosts(spec: ServiceEntry) -> Findings:
    if not spec.hosts:
        yield invalid(("spec", "hosts"), "there are no hosts")
    for index, host in enumerate(spec.hosts):
        path = ("spec", "hosts", index)
        if host == "*":
            yield invalid(path, 'the host cannot be "*"', 'narrow it: "*.example.com"')
        else:
            yield from rules.wildcard_host(host, path)
        if host.startswith("*") and spec.resolution in _BY_DNS and not spec.endpoints:
            yield invalid(path, f'"{host}" cannot be asked of DNS', "name endpoints, or use resolution NONE")


def _addresses(spec: ServiceEntry) -> Findings:
    yield from rules.subnets(spec.addresses, ("spec", "addresses"))
    for index, address in enumerate(spec.addresses):
        if "/" in address and spec.resolution not in (Resolution.NONE, Resolution.STATIC):
            message = f"{address} is a subnet, which only resolution NONE and STATIC allow"
            yield invalid(("spec", "addresses", index), message)


def _port(port: ServicePort, path: Path) -> Findings:
    yield from rules.port(port.number, (*path, "number"))
    if not port.name or len(port.name) > 256:
        yield invalid((*path, "name"), "a port's name has 1 to 256 characters")
    if port.protocol:
        yield from gateway.protocol(port.protocol, (*path, "protocol"))
    if port.target_port:
        yield from rules.port(port.target_port, (*path, "targetPort"))


def _endpoints(spec: ServiceEntry) -> Findings:
    if spec.resolution is Resolution.NONE and spec.endpoints:
        yield invalid(
            ("spec", "endpoints"), "resolution NONE has no endpoints", "use STATIC or DNS, or remove them"
        )
    if spec.resolution is Resolution.DNS_ROUND_ROBIN and len(spec.endpoints) > 1:
        yield invalid(("spec", "endpoints"), "resolution DNS_ROUND_ROBIN has one endpoint at most", "use DNS")
    names = {port.name for port in spec.ports}
    for index, endpoint in enumerate(spec.endpoints):
        path = ("spec", "endpoints", index)
        yield from workload_entry.workload(endpoint, path)
        yield from _address(endpoint, spec.resolution, (*path, "address"))
        for name in endpoint.ports:
            if name not in names:
                yield invalid(
                    (*path, "ports", name), f'the service has no port "{name}"', "use a name of spec.ports"
                )


def _address(endpoint: WorkloadEntry, resolution: Resolution, path: Path) -> Findings:
    address = endpoint.address
    if address.startswith("unix://"):
        if resolution is not Resolution.STATIC:
            yield invalid(path, "a unix socket needs resolution STATIC")
    elif resolution is Resolution.STATIC and address and not rules.is_address(address):
        yield invalid(path, f'"{address}" is no address: STATIC resolves no names', "use resolution DNS")
