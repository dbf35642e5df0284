"""Do ServiceEntries that are seen together agree on the protocol of a host's port?"""

from collections.abc import Iterator

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.objects import spec_of
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import ServiceEntry
from mizzen.derive.inputs import RESOURCES
from mizzen.incremental import Database, Index


def _host_ports(_key: ResourceKey, resource: Resource[object]) -> Iterator[tuple[str, int]]:
    if isinstance(resource.spec, ServiceEntry):
        yield from ((host, port.number) for host in resource.spec.hosts for port in resource.spec.ports)


_MOST_COMPARED = (
    256  # ServiceEntries of one host and port: comparing more with one another takes quadratic time
)

BY_HOST_PORT = Index("service_entry_by_host_and_port", RESOURCES, _host_ports)


@analyzer("ServiceEntry", codes="IST0177")
def service_entry_protocols(db: Database, resource: Resource[ServiceEntry]) -> Findings:
    spec = resource.spec
    own = _scopes(spec, resource.key.namespace)
    for host in spec.hosts:
        for index, port in enumerate(spec.ports):
            others: dict[str, ResourceKey] = {}
            for key in BY_HOST_PORT(db, (host, port.number))[:_MOST_COMPARED]:
                other = spec_of(db, key, ServiceEntry)
                if other is not None and _meet(own, _scopes(other, key.namespace)):
                    others |= {
                        protocol: key
                        for protocol in _protocols(other, port.number)
                        if protocol != port.protocol.upper()
                    }
            if others:
                rivals = ", ".join(
                    f"{protocol or 'none'} ({key})" for protocol, key in sorted(others.items())
                )
                message = f"{host}:{port.number} is {port.protocol or 'without a protocol'} here, but elsewhere {rivals}"
                path = ("spec", "ports", index, "protocol")
                yield Finding(
                    "IST0177", path, message, "give the port one protocol, or merge the ServiceEntries"
                )
                return


def _protocols(spec: ServiceEntry, number: int) -> set[str]:
    return {port.protocol.upper() for port in spec.ports if port.number == number}


def _scopes(spec: ServiceEntry, namespace: str) -> frozenset[str]:
    """The namespaces that see it; "*": all."""
    scopes = frozenset(namespace if name == "." else name for name in spec.export_to)
    return frozenset({"*"}) if not scopes or "*" in scopes else scopes


def _meet(one: frozenset[str], other: frozenset[str]) -> bool:
    return "*" in one or "*" in other or not one.isdisjoint(other)
