"""Do several VirtualServices decide for one host in sidecars? One wins, and the others' rules are lost."""

from collections.abc import Iterator

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.hosts import overlap
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import VirtualService
from mizzen.derive.hosts import qualified
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.virtual_services import MESH_GATEWAY
from mizzen.incremental import Database, Index, query

_EVERYWHERE = "*"
_PATTERNS = "*"


def _mesh_hosts(key: ResourceKey, resource: Resource[object]) -> Iterator[str]:
    spec = resource.spec
    if isinstance(spec, VirtualService) and (not spec.gateways or MESH_GATEWAY in spec.gateways):
        for host in spec.hosts:
            full = qualified(host, key.namespace)
            yield full
            if full.startswith("*"):
                yield _PATTERNS


IN_MESH = Index("mesh_virtual_service_by_host", RESOURCES, _mesh_hosts)


@query
def _claims(db: Database, key: ResourceKey) -> tuple[tuple[str, ...], frozenset[str]]:
    """The hosts of a VirtualService, and the namespaces where it decides for them."""
    resource = RESOURCES(db, key)
    if resource is None or not isinstance(resource.spec, VirtualService):
        return (), frozenset()
    spec, own = resource.spec, key.namespace
    scopes = frozenset(own if name == "." else name for name in spec.export_to) or frozenset({_EVERYWHERE})
    if _EVERYWHERE in scopes:
        scopes = frozenset({_EVERYWHERE})
    return tuple(qualified(host, own) for host in spec.hosts), scopes


@analyzer("VirtualService", codes="IST0109")
def virtual_service_hosts(db: Database, resource: Resource[VirtualService]) -> Findings:
    key = resource.key
    if resource.spec.gateways and MESH_GATEWAY not in resource.spec.gateways:
        return
    hosts, _ = _claims(db, key)
    for index, host in enumerate(hosts):
        rivals = [
            str(rival) for rival in _candidates(db, host) if rival != key and _clash(db, key, rival, host)
        ]
        if rivals:
            message = f'{" and ".join(rivals)} {"decides" if len(rivals) == 1 else "decide"} for "{host}" too'
            hint = "merge them into one VirtualService: only one of them takes effect in sidecars"
            yield Finding("IST0109", ("spec", "hosts", index), message, hint)
            return  # one finding names the object; its other hosts mostly have the same rivals


def _candidates(db: Database, host: str) -> tuple[ResourceKey, ...]:
    bucket = IN_MESH(db, host)
    return (
        (*bucket, *(key for key in IN_MESH(db, _PATTERNS) if key not in bucket)) if host[0] == "*" else bucket
    )


def _clash(db: Database, key: ResourceKey, rival: ResourceKey, host: str) -> bool:
    """Equal hosts clash where the scopes meet. Patterns that overlap clash only between one that is exported everywhere
    and one that is not: the narrower scope then hides what the pattern of the other was written for.
    """
    (_, scopes), (hosts, others) = _claims(db, key), _claims(db, rival)
    if _EVERYWHERE in scopes or _EVERYWHERE in others:
        mixed = scopes != others
        return any(
            host == other or (mixed and other.startswith("*") and overlap(host, other)) for other in hosts
        )
    return host in hosts and not scopes.isdisjoint(others)
