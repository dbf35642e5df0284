"""Which virtual hosts a sidecar has on a port, and by which domains: of every service that speaks HTTP there, and of the
hosts that only VirtualServices name.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from mizzen.config.resource import ResourceKey
from mizzen.derive.addresses import virtual_addresses
from mizzen.derive.hosts import aliases, matches, owner_of
from mizzen.derive.services import service
from mizzen.derive.virtual_services import mesh_hosts, mesh_virtual_service
from mizzen.derive.visibility import other_names, visible_ports, visible_services
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope
from mizzen.model.service import Protocol, ServiceRef

# A VirtualService's hosts that are no services are called here, and where it decides for some service (Istio's rule).
_DEFAULT_PORT = 80


@dataclass(frozen=True, slots=True)
class SidecarHost:
    """One virtual host: the service that it stands for, if any, and the VirtualService that decides, if any."""

    host: str
    domains: tuple[str, ...]
    service: ServiceRef | None
    virtual_service: ResourceKey | None


@query
def http_services(db: Database, scope: OutboundScope, port: int) -> tuple[ServiceRef, ...]:
    """The services visible in a scope that speak HTTP on a port, or may."""
    return tuple(ref for ref in visible_services(db, scope) if port in _http_ports_of(db, scope, ref))


@query
def http_ports(db: Database, scope: OutboundScope) -> tuple[int, ...]:
    """The ports on which some service visible in a scope speaks HTTP, or may."""
    found = {port for ref in visible_services(db, scope) for port in _http_ports_of(db, scope, ref)}
    return tuple(sorted(found))


def _http_ports_of(db: Database, scope: OutboundScope, ref: ServiceRef) -> tuple[int, ...]:
    ports = visible_ports(db, scope, ref)
    return tuple(p.number for p in ports if p.protocol.is_http or p.protocol is Protocol.AUTO)


@query
def sidecar_hosts(db: Database, scope: OutboundScope, port: int) -> tuple[SidecarHost, ...]:
    """The virtual hosts of a port, by name. No domain stands in two of them: Envoy would refuse both."""
    found = [
        SidecarHost(
            ref.host,
            domains_of(db, scope, ref),
            ref,
            mesh_virtual_service(db, scope, ref.host),
        )
        for ref in http_services(db, scope, port)
    ]
    found += _hosts_without_service(db, scope, port, found)
    return tuple(_apart(sorted(found, key=lambda host: host.host)))


@query
def own_domains(
    db: Database, scope: OutboundScope, port: int, namespace: str
) -> FrozenMap[str, tuple[str, ...]]:
    """For callers in a namespace that share the scope of everybody: the virtual hosts of a port that they call by short
    names too, with all domains. That no other host has these names is what told_apart makes sure of.
    """
    found: dict[str, tuple[str, ...]] = {}
    for host in _hosts_by_namespace(db, scope, port).get(namespace, ()):
        assert host.service is not None
        everybodys = set(domains_of(db, scope, host.service))
        called = dict.fromkeys(domains_of(db, replace(scope, namespace=namespace), host.service))
        found[host.host] = tuple(name for name in called if name in host.domains or name not in everybodys)
    return FrozenMap(found)


@query
def _hosts_by_namespace(
    db: Database, scope: OutboundScope, port: int
) -> FrozenMap[str, tuple[SidecarHost, ...]]:
    """By the namespaces in which they have short names: their own, and those of ExternalName Services that stand for them."""
    found: defaultdict[str, list[SidecarHost]] = defaultdict(list)
    for host in sidecar_hosts(db, scope, port):
        if host.service is not None:
            names = (host.host, *other_names(db, scope).get(host.host.lower(), ()))
            for namespace in {owner_of(name) for name in names} - {""}:
                found[namespace].append(host)
    return FrozenMap({namespace: tuple(hosts) for namespace, hosts in found.items()})


def _hosts_without_service(
    db: Database, scope: OutboundScope, port: int, registered: list[SidecarHost]
) -> Iterator[SidecarHost]:
    """Hosts of VirtualServices that no service of the port has. Patterns that cover a service decide for that alone."""
    deciding = {host.virtual_service for host in registered}
    for pattern, key in mesh_hosts(db, scope).items():
        if (port == _DEFAULT_PORT or key in deciding) and not any(
            matches(pattern, host.host) for host in registered
        ):
            yield SidecarHost(pattern, (pattern,), None, key)


def domains_of(db: Database, scope: OutboundScope, ref: ServiceRef) -> tuple[str, ...]:
    """Every name and address by which a service is called in a scope; the full name first, those of ExternalName Services
    that stand for it last. The instances of a headless service are called by names below its own.
    """
    found = service(db, ref)
    hosts = (ref.host, *other_names(db, scope).get(ref.host.lower(), ()))
    called = [name for host in hosts for name in aliases(host, scope.namespace)]
    instances = (f"*.{name}" for name in called) if found and found.headless else ()
    addresses = (f"[{a}]" if ":" in a else a for a in virtual_addresses(db, ref))
    return (*called, *instances, *addresses)


def _apart(hosts: Iterable[SidecarHost]) -> Iterator[SidecarHost]:
    """Each domain once: a full name is its own host's, everything else the first host's by name."""
    listed = list(hosts)
    owners = {host.host.lower(): host.host for host in reversed(listed)}
    for host in listed:
        fresh = tuple(
            domain
            for domain in dict.fromkeys(host.domains)
            if owners.setdefault(domain.lower(), host.host) == host.host
        )
        if fresh:
            yield replace(host, domains=fresh)
