"""WorkloadEntry, by itself and inside ServiceEntry and WorkloadGroup."""

from mizzen.config.resource import Path
from mizzen.config.types.networking import WorkloadEntry
from mizzen.config.validation import rules
from mizzen.config.validation.rules import Findings, invalid


def validate(spec: WorkloadEntry) -> Findings:
    return workload(spec, ("spec",))


def workload(entry: WorkloadEntry, path: Path, *, needs_address: bool = True) -> Findings:
    here = (*path, "address")
    if entry.address.startswith("unix://"):
        socket = entry.address.removeprefix("unix://")
        if not socket.startswith(("/", "@")) or socket.endswith("/"):
            yield invalid(here, "a unix socket needs an absolute path", "write unix:///path/to/socket")
        if entry.ports:
            yield invalid((*path, "ports"), "a unix socket has no ports", "remove them")
    elif entry.address:
        yield from rules.host(entry.address, here)
    elif needs_address and not entry.network:
        yield invalid(path, "there is no address", "add address")
    for name, number in entry.ports.items():
        if not rules.is_label(name):
            yield invalid((*path, "ports", name), f'"{name}" is no port name', "use letters, digits and '-'")
        yield from rules.port(number, (*path, "ports", name))
    yield from rules.labels(entry.labels, (*path, "labels"))
    if entry.service_account and not rules.is_host(entry.service_account):
        yield invalid((*path, "serviceAccount"), f'"{entry.service_account}" is no service account')
