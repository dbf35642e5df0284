"""Visibility: which services, and which of their ports, a proxy of a scope can call.

Source: Istio. Without a Sidecar, all that exportTo lets the namespace see: where several services have one host, each port
belongs to the first that has it. A Sidecar narrows that to what its egress listeners import, of one host from one
namespace only; and adds the services that an imported VirtualService routes to, for which there are clusters but neither
listeners nor virtual hosts.
"""

from collections.abc import Iterable, Iterator, Mapping

from mizzen.derive.hosts import matches
from mizzen.derive.mesh import exported, mesh_config
from mizzen.derive.services import (
    exported_services,
    exported_services_named,
    exported_services_of,
    external_names,
    service,
)
from mizzen.derive.sidecars import (
    ANY_NAMESPACE,
    egress_listener,
    egress_listeners,
    imported,
    imports,
)
from mizzen.derive.virtual_services import destination_hosts, mesh_virtual_services
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope
from mizzen.model.service import ServicePort, ServiceRef

Offers = tuple[tuple[ServiceRef, frozenset[int] | None], ...]
"""Services and those of their ports that can be called. None: all of them, so that a changed port re-runs nothing here."""


@query
def visible_services(db: Database, scope: OutboundScope) -> tuple[ServiceRef, ...]:
    """The services that a proxy of a scope can call, by host."""
    return tuple(ref for ref, _ in _offers(db, scope.unlabelled))


def visible_host(db: Database, scope: OutboundScope, host: str) -> ServiceRef | None:
    """The service with a host to which a proxy of a scope can send; of several the first."""
    return next(iter(_named(db, scope, host)), None)


def _named(db: Database, scope: OutboundScope, host: str) -> tuple[ServiceRef, ...]:
    """The services with a host to which a proxy of a scope can send, whichever listener takes it.

    Without a Sidecar only services of that host are looked at: this is asked for every destination of every route.
    """
    if scope.sidecar is None:
        return exported_services_named(db, host, scope.namespace)
    return _by_host(db, scope.whole.unlabelled).get(host, ())


@query
def _by_host(db: Database, scope: OutboundScope) -> FrozenMap[str, tuple[ServiceRef, ...]]:
    found: dict[str, tuple[ServiceRef, ...]] = {}
    for ref in visible_services(db, scope):
        found[ref.host] = (*found.get(ref.host, ()), ref)
    return FrozenMap(found)


def destination_port(db: Database, scope: OutboundScope, host: str) -> int | None:
    """The port of a destination that names none: the host's only one, whichever egress listener imports it."""
    refs = _named(db, scope, target_host(db, scope, host))
    numbers = {port.number for ref in refs for port in visible_ports(db, scope.whole, ref)}
    return min(numbers) if len(numbers) == 1 else None


def visible_ports(db: Database, scope: OutboundScope, ref: ServiceRef) -> tuple[ServicePort, ...]:
    """Those ports of a service that a proxy of a scope can call."""
    found = service(db, ref)
    ports = found.ports if found else ()
    numbers = _limits(db, scope.unlabelled).get(ref)
    return ports if numbers is None else tuple(port for port in ports if port.number in numbers)


@query
def _limits(db: Database, scope: OutboundScope) -> FrozenMap[ServiceRef, frozenset[int]]:
    return FrozenMap({ref: numbers for ref, numbers in _offers(db, scope) if numbers is not None})


@query
def _offers(db: Database, scope: OutboundScope) -> Offers:
    if scope.sidecar is None:
        return _divided(db, exported_services(db, scope.namespace), None)
    if scope.listener is not None:
        return _listed(db, scope)
    return _joined(
        offers
        for listener in egress_listeners(db, scope)
        for offers in (_offers(db, listener.scope), _routed_to(db, listener.scope))
    )


def _divided(db: Database, refs: Iterable[ServiceRef], only_port: int | None) -> Offers:
    """Each port of a host belongs to the first service that has it."""
    by_host: dict[str, list[ServiceRef]] = {}
    for ref in refs:
        by_host.setdefault(ref.host, []).append(ref)
    return tuple(offer for host in sorted(by_host) for offer in _of_one_host(db, by_host[host], only_port))


def _of_one_host(
    db: Database, refs: list[ServiceRef], only_port: int | None
) -> Iterator[tuple[ServiceRef, frozenset[int] | None]]:
    if len(refs) == 1 and only_port is None:
        yield refs[0], None
        return
    taken: set[int] = set()
    for ref in refs:
        numbers = _port_numbers(db, ref) - taken
        taken |= numbers
        wanted = numbers if only_port is None else numbers & {only_port}
        if wanted:
            yield ref, wanted


@query
def _port_numbers(db: Database, ref: ServiceRef) -> frozenset[int]:
    found = service(db, ref)
    return frozenset(port.number for port in found.ports) if found else frozenset()


def _listed(db: Database, scope: OutboundScope) -> Offers:
    """What an egress listener imports by its hosts. Only the namespaces that it names are looked at."""
    patterns = imports(db, scope)
    if ANY_NAMESPACE in patterns:
        candidates = exported_services(db, scope.namespace)
    else:
        candidates = tuple(
            ref for owner in patterns for ref in exported_services_of(db, owner, scope.namespace)
        )
    found = [
        ref
        for ref in candidates
        if any(matches(pattern, ref.host) for pattern in imported(patterns, ref.namespace))
    ]
    return _divided(db, _of_one_namespace(found), egress_listener(db, scope).only_port)


def _of_one_namespace(refs: Iterable[ServiceRef]) -> Iterator[ServiceRef]:
    """Of services with one host, those of the namespace of the first."""
    owners: dict[str, str] = {}
    for ref in refs:
        if owners.setdefault(ref.host, ref.namespace) == ref.namespace:
            yield ref


@query
def _routed_to(db: Database, scope: OutboundScope) -> Offers:
    """The services to which a listener's VirtualServices route, of the proxy's own namespace or else of the first by
    name (Istio's choice).
    """
    hosts = {host: None for key, _ in mesh_virtual_services(db, scope) for host in destination_hosts(db, key)}
    found = [
        sorted(
            exported_services_named(db, host, scope.namespace),
            key=lambda ref: (ref.namespace != scope.namespace, ref.namespace),
        )
        for host in hosts
    ]
    refs = _of_one_namespace(ref for named in found for ref in named)
    return _divided(db, refs, egress_listener(db, scope).only_port)


def _joined(lists: Iterable[Offers]) -> Offers:
    """The offers of several listeners as one: the first that has a host says of which namespace; ports add up."""
    owners: dict[str, str] = {}
    joined: dict[ServiceRef, frozenset[int] | None] = {}
    for offers in lists:
        for ref, numbers in offers:
            if owners.setdefault(ref.host, ref.namespace) == ref.namespace:
                before = joined.get(ref, frozenset())
                joined[ref] = None if numbers is None or before is None else before | numbers
    return tuple(sorted(joined.items(), key=lambda offer: offer[0].host))


# --- other names ------------------------------------------------------------------------------------------------


@query
def visible_external_names(db: Database, scope: OutboundScope) -> FrozenMap[ServiceRef, str]:
    """The ExternalName Services that are exported to a scope, and imported, and the host for which each stands."""
    if scope.labels:
        return visible_external_names(db, scope.unlabelled)
    if scope.sidecar is not None and scope.listener is None:
        parts = (visible_external_names(db, listener.scope) for listener in egress_listeners(db, scope))
        return FrozenMap({ref: host for part in parts for ref, host in part.items()})
    default = mesh_config(db).default_service_export_to
    patterns = imports(db, scope)
    return FrozenMap(
        {
            ref: host
            for (ref, export_to), host in external_names(db)
            if exported(export_to, default, ref.namespace, scope.namespace)
            and any(matches(pattern, ref.host) for pattern in imported(patterns, ref.namespace))
        }
    )


@query
def other_names(db: Database, scope: OutboundScope) -> FrozenMap[str, tuple[str, ...]]:
    """Host -> the hosts of ExternalName Services that stand for it, through others if need be.

    Source: Istio's aliases: an ExternalName Service is no service of its own but a further name of the one that it names.
    """
    targets = _targets(db, scope)
    found: dict[str, list[str]] = {}
    for host in sorted(targets):
        found.setdefault(_end(targets, host), []).append(host)
    return FrozenMap({host: tuple(names) for host, names in found.items()})


@query
def _targets(db: Database, scope: OutboundScope) -> FrozenMap[str, str]:
    """The hosts of ExternalName Services, and for which each stands."""
    return FrozenMap({ref.host: other for ref, other in visible_external_names(db, scope).items()})


def target_host(db: Database, scope: OutboundScope, host: str) -> str:
    """Where a route to a host leads: to the host itself, or to the one for which it stands as an ExternalName Service."""
    return _end(_targets(db, scope.whole.unlabelled), host)


def _end(targets: Mapping[str, str], host: str) -> str:
    """The host at the end of a chain of names; one in it where they run in a circle, which is no service."""
    seen = {host}
    while (following := targets.get(host)) is not None and following not in seen:
        seen.add(following)
        host = following
    return host
