"""Who is everybody: the namespaces whose proxies call the same services by the same rules.

Istio decides what a proxy calls by its namespace: exportTo hides objects from some, the DestinationRules of the caller's own
namespace go first, a route may ask for callers of one. In most meshes none of that makes a difference for most namespaces.
Their proxies have one scope, that of EVERYBODY, and what is made for it is made once for all of them, not once for each.

A namespace for which it could make a difference is told apart, and has a scope of its own. When in doubt it is told apart.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from mizzen.config.resource import ResourceKey
from mizzen.derive import destination_rules, services, virtual_services
from mizzen.derive.destination_rules import EVERYBODY
from mizzen.derive.hosts import DOMAIN, owner_of
from mizzen.derive.inputs import BY_KIND
from mizzen.derive.mesh import mesh_config, root_namespace
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope


def realm(db: Database, scope: OutboundScope) -> OutboundScope:
    """The scope of all callers for whom nothing of what they call differs from this one's, short names apart."""
    if scope.sidecar is not None or _is_told_apart(db, scope.namespace):
        return scope
    return replace(scope, namespace=EVERYBODY)


@query
def _is_told_apart(db: Database, namespace: str) -> bool:
    """So that a change of who is concerns nobody else."""
    return namespace in told_apart(db)


@query
def told_apart(db: Database) -> frozenset[str]:
    """The namespaces that are not as everybody is."""
    # The root namespace's own rules go first for its own callers, and last for all others.
    found = {root_namespace(db)}
    found.update(_by_services(db), _by_rules(db), _by_virtual_services(db))
    return frozenset(found)


@query
def _by_services(db: Database) -> frozenset[str]:
    """By services that only some may see, that share a host, or whose short names may mean something else."""
    found: set[str] = set()
    default = mesh_config(db).default_service_export_to
    owners: defaultdict[str, set[str]] = defaultdict(set)
    short: defaultdict[str, set[str]] = defaultdict(set)  # short name -> the namespaces in which it is one
    for ref, export_to in services.all_services(db):
        found.update(_seen_by(export_to, default, ref.namespace))
        host = ref.host.lower()
        owners[host].add(ref.namespace)
        if owner_of(host):
            short[_label(host)].add(owner_of(host))
    hosts = _all_hosts(db)
    found.update(*(namespaces for namespaces in owners.values() if len(namespaces) > 1))
    for name, namespaces in short.items():
        if "." in name or name in hosts:
            found |= namespaces
    return frozenset(found)


def _label(host: str) -> str:
    """The short name of a Kubernetes host: what stands before its namespace."""
    return host.removesuffix("." + DOMAIN).rpartition(".")[0]


@query
def _all_hosts(db: Database) -> frozenset[str]:
    """All hosts of VirtualServices and services, for the short names that could be one of them."""
    hosts = [host for key in _routes(db) for host in virtual_services.header(db, key).hosts]
    hosts += [ref.host for ref, _ in services.all_services(db)]
    return frozenset(host.lower().removeprefix("*.") for host in hosts)


@query
def _by_rules(db: Database) -> frozenset[str]:
    """By DestinationRules that only some may see, or that hold for other callers than all of the service."""
    found: set[str] = set()
    default = mesh_config(db).default_destination_rule_export_to
    for key in BY_KIND(db, "DestinationRule"):
        header = destination_rules.header(db, key)
        found.update(_seen_by(header.export_to, default, key.namespace))
        owners = {ref.namespace for ref, _ in services.services_of_host(db, header.host)}
        if header.selector is not None or "*" in header.host or owners - {key.namespace}:
            found.add(key.namespace)
    return frozenset(found)


@query
def _by_virtual_services(db: Database) -> frozenset[str]:
    """By VirtualServices that only some may see, or that ask where callers are."""
    found: set[str] = set()
    default = mesh_config(db).default_virtual_service_export_to
    for key in _routes(db):
        found.update(_seen_by(virtual_services.header(db, key).export_to, default, key.namespace))
        found |= virtual_services.source_namespaces(db, key)
    return frozenset(found)


def _routes(db: Database) -> Iterator[ResourceKey]:
    return (key for kind in virtual_services.KINDS for key in BY_KIND(db, kind))


def _seen_by(export_to: tuple[str, ...], default: tuple[str, ...], owner: str) -> Iterable[str]:
    """The namespaces for which an object makes a difference: none, where everybody sees it."""
    places = export_to or default or ("*",)
    return () if "*" in places else {owner, *places}
