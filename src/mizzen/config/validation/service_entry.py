"""ServiceEntry."""

from typing import Final

from mizzen.config.resource import Path, Resource
from mizzen.config.types.networking import Location, Resolution, ServiceEntry, ServicePort, WorkloadEntry
from mizzen.config.validation import hosts, ports, references, rules, workload_entry
from mizzen.config.validation.rules import Findings, invalid, questionable

_BY_DNS: Final = (Resolution.DNS, Resolution.DNS_ROUND_ROBIN)
_AUTO_ALLOCATE: Final = "networking.istio.io/enable-autoallocate-ip"
_MOST_WEIGHT: Final = 2**32 - 1  # of all endpoints together, for Envoy
_WAYPOINT: Final = "istio.io/use-waypoint"


def validate(resource: Resource[ServiceEntry]) -> Findings:
    spec = resource.spec
    yield from _hosts(spec)
    yield from _addresses(spec)
    yield from references.export_to(
        spec.export_to, ("spec", "exportTo"), own=resource.key.namespace, nobody=True
    )
    yield from _ports(spec, has_addresses=bool(spec.addresses) or _allocates(resource))
    if chosen := spec.workload_selector:
        yield from references.selector(chosen.labels, ("spec", "workloadSelector", "labels"))
        if spec.endpoints:
            yield invalid(("spec",), "only one of endpoints, workloadSelector can be set", "keep one of them")
        if spec.resolution is Resolution.NONE:
            message = "with resolution NONE nothing is selected: callers choose the address"
            yield questionable(("spec", "workloadSelector"), message, "use resolution STATIC")
    yield from _endpoints(spec)
    if spec.resolution is Resolution.DYNAMIC_DNS:
        yield from _dynamic_dns(resource)


def _allocates(resource: Resource[ServiceEntry]) -> bool:
    """Whether the mesh gives the hosts addresses of their own."""
    wanted = resource.labels.get(_AUTO_ALLOCATE, "").lower() != "false"
    return wanted and resource.spec.resolution is not Resolution.NONE


def _hosts(spec: ServiceEntry) -> Findings:
    if not spec.hosts:
        yield invalid(("spec", "hosts"), "there are no hosts", "add hosts")
    for index, host in enumerate(spec.hosts):
        path = ("spec", "hosts", index)
        if host == "*":
            yield invalid(path, 'the host cannot be "*"', 'narrow it: "*.example.com"')
            continue
        yield from hosts.wildcard_host(host, path)
        if hosts.is_partial_wildcard(host):
            yield questionable(path, f'"{host}" is a partial wildcard', 'use "*" as the whole first part')
        if host.startswith("*") and spec.resolution in _BY_DNS and not spec.endpoints:
            yield invalid(path, f'"{host}" cannot be asked of DNS', "name endpoints, or use resolution NONE")


def _addresses(spec: ServiceEntry) -> Findings:
    yield from hosts.subnets(spec.addresses, ("spec", "addresses"))
    for index, address in enumerate(spec.addresses):
        if "/" in address and spec.resolution not in (Resolution.NONE, Resolution.STATIC):
            message = f"{address} is a subnet, which only resolution NONE and STATIC allow"
            yield invalid(("spec", "addresses", index), message)


# --- ports ------------------------------------------------------------------------------------------------------


def _ports(spec: ServiceEntry, *, has_addresses: bool) -> Findings:
    path = ("spec", "ports")
    yield from rules.unique((port.number for port in spec.ports), path, "the port")
    for index, port in enumerate(spec.ports):
        here = (*path, index)
        yield from _port(port, here)
        if not has_addresses and port.protocol in ("", "TCP"):
            message = "without addresses a TCP port takes all traffic to its number, whatever its host"
            yield questionable(here, message, "add addresses, or name the protocol: HTTP, TLS ...")
    yield from _told_apart(spec)


def _port(port: ServicePort, path: Path) -> Findings:
    yield from ports.port(port.number, (*path, "number"))
    yield from ports.port_name(port.name, (*path, "name"))
    if port.protocol:
        yield from ports.protocol(port.protocol, (*path, "protocol"))
    if port.target_port:
        yield from ports.port(port.target_port, (*path, "targetPort"))


def _told_apart(spec: ServiceEntry) -> Findings:
    """HTTP names the host in a header and TLS in SNI; plain TCP names none."""
    if len(spec.hosts) < 2 or spec.resolution is Resolution.NONE:
        return
    for index, port in enumerate(spec.ports):
        if port.protocol.upper() not in ports.HTTP | ports.WITH_TLS:
            message = f"hosts behind the port {port.number} cannot be told apart: its protocol is TCP"
            hint = "write a ServiceEntry for each host, or name the protocol: HTTP, TLS ..."
            yield invalid(("spec", "ports", index), message, hint)


# --- endpoints --------------------------------------------------------------------------------------------------


def _endpoints(spec: ServiceEntry) -> Findings:
    if spec.resolution is Resolution.NONE and spec.endpoints:
        yield invalid(
            ("spec", "endpoints"), "resolution NONE has no endpoints", "use STATIC or DNS, or remove them"
        )
    if spec.resolution is Resolution.DNS_ROUND_ROBIN and len(spec.endpoints) > 1:
        yield invalid(("spec", "endpoints"), "resolution DNS_ROUND_ROBIN has one endpoint at most", "use DNS")
    if (total := sum(endpoint.weight for endpoint in spec.endpoints)) > _MOST_WEIGHT:
        message = f"the weights sum to {total}, more than {_MOST_WEIGHT}"
        yield invalid(("spec", "endpoints"), message, "make them smaller")
    names = {port.name for port in spec.ports}
    for index, endpoint in enumerate(spec.endpoints):
        path = ("spec", "endpoints", index)
        yield from workload_entry.workload(endpoint, path)
        yield from _address(endpoint, spec, (*path, "address"))
        for name in endpoint.ports:
            if name not in names:
                yield invalid(
                    (*path, "ports", name), f'the service has no port "{name}"', "use a name of spec.ports"
                )


def _address(endpoint: WorkloadEntry, spec: ServiceEntry, path: Path) -> Findings:
    address = endpoint.address
    if address.startswith(hosts.UNIX):
        if spec.resolution is not Resolution.STATIC:
            yield invalid(path, f'"{address}": a unix socket needs resolution STATIC', "use STATIC")
        elif len(spec.ports) != 1:
            yield invalid(path, f'"{address}": behind a unix socket there is one port', "name one port")
    elif spec.resolution is Resolution.STATIC and address and not hosts.is_address(address):
        yield invalid(path, f'"{address}" is no address: STATIC resolves no names', "use resolution DNS")
    elif spec.resolution in _BY_DNS and not address:
        yield invalid(path, "there is no address to resolve", "add address")


def _dynamic_dns(resource: Resource[ServiceEntry]) -> Findings:
    """The name in each request is resolved: so there must be a name in each, and nothing that names it already."""
    spec = resource.spec
    for index, host in enumerate(spec.hosts):
        if not host.startswith("*."):
            hint = 'write "*.example.com", or use resolution DNS'
            yield invalid(("spec", "hosts", index), f'"{host}": DYNAMIC_DNS is for wildcard hosts', hint)
    for name in rules.given(spec, ("addresses", "endpoints", "workload_selector")):
        message = f"DYNAMIC_DNS has no {rules.camel(name)}: names in requests are resolved"
        yield invalid(("spec", rules.camel(name)), message, "remove it")
    for index, port in enumerate(spec.ports):
        if port.protocol.upper() not in ports.HTTP | ports.WITH_TLS:
            message = f'"{port.protocol}": DYNAMIC_DNS needs a protocol that names hosts'
            yield invalid(("spec", "ports", index, "protocol"), message, "use HTTP, HTTPS, TLS or GRPC")
    if spec.location is Location.MESH_INTERNAL and _WAYPOINT in resource.labels:
        message = "a waypoint cannot resolve the names of workloads in the mesh"
        yield invalid(("spec", "location"), message, f"use MESH_EXTERNAL, or remove the label {_WAYPOINT}")
