"""WorkloadEntry, by itself and inside ServiceEntry and WorkloadGroup."""

from mizzen.config import proxy_annotation
from mizzen.config.resource import Path, Resource
from mizzen.config.types.networking import WorkloadEntry
from mizzen.config.validation import hosts, ports, references
from mizzen.config.validation.rules import Findings, invalid, questionable


def validate(resource: Resource[WorkloadEntry]) -> Findings:
    yield from proxy_annotation.read(resource.annotations.get(proxy_annotation.ANNOTATION, "")).findings
    yield from workload(resource.spec, ("spec",))


def workload(entry: WorkloadEntry, path: Path, *, needs_address: bool = True) -> Findings:
    here = (*path, "address")
    if entry.address.startswith(hosts.UNIX):
        yield from hosts.unix_socket(entry.address, here)
        if entry.ports:
            yield invalid((*path, "ports"), "a unix socket has no ports", "remove them")
    elif entry.address:
        yield from hosts.host(entry.address, here)
    elif needs_address and entry.network:
        message = f"there is no address, so it is reached through the gateways of network {entry.network}"
        yield questionable(path, message, "add address if it can be reached directly")
    elif needs_address:
        yield invalid(path, "there is no address", "add address")
    for name, number in entry.ports.items():
        yield from ports.port_name(name, (*path, "ports", name))
        yield from ports.port(number, (*path, "ports", name))
    yield from references.labels(entry.labels, (*path, "labels"))
    if entry.service_account and not hosts.is_subdomain(entry.service_account):
        yield invalid((*path, "serviceAccount"), f'"{entry.service_account}" is no service account')
