"""Kubernetes' Service, as far as the mesh depends on it."""

from mizzen.config.resource import Resource
from mizzen.config.types.core import ServiceSpec, ServiceType
from mizzen.config.validation import hosts, ports, references, rules
from mizzen.config.validation.rules import Findings, invalid


def validate(resource: Resource[ServiceSpec]) -> Findings:
    spec = resource.spec
    path = ("spec", "ports")
    is_headless = spec.cluster_ip == "None"
    if not spec.ports and not is_headless and spec.type is not ServiceType.EXTERNAL_NAME:
        yield invalid(("spec",), "there are no ports", "add ports")
    yield from rules.unique(((port.port, port.protocol.value) for port in spec.ports), path, "the port")
    yield from rules.unique((port.name for port in spec.ports if port.name), path, "the port name")
    for index, port in enumerate(spec.ports):
        here = (*path, index)
        yield from ports.port(port.port, (*here, "port"))
        if not port.name and len(spec.ports) > 1:
            yield invalid(here, "it has no name, which is needed where there are several ports", "add name")
        if port.name and not hosts.is_label(port.name):
            yield invalid((*here, "name"), f'"{port.name}" is no port name', "use letters, digits and '-'")
        if isinstance(port.target_port, int):
            yield from ports.port(port.target_port, (*here, "targetPort"))
    for index, address in enumerate((spec.cluster_ip, *spec.cluster_ips)):
        if address not in ("", "None") and not hosts.is_address(address):
            field = ("clusterIP",) if index == 0 else ("clusterIPs", index - 1)
            yield invalid(("spec", *field), f'"{address}" is no address', 'write an address, or "None"')
    yield from references.labels(spec.selector, ("spec", "selector"))
    if spec.type is ServiceType.EXTERNAL_NAME and not hosts.is_host(spec.external_name):
        yield invalid(("spec",), "an ExternalName service needs the name of a host", "add externalName")
