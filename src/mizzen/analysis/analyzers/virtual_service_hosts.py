"""Do several VirtualServices decide for one host in sidecars? One wins, and the others' rules are lost."""

from collections.abc import Iterable, Iterator
from itertools import islice

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.hosts import patterns_above
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import VirtualService
from mizzen.derive.hosts import qualified
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.virtual_services import MESH_GATEWAY
from mizzen.incremental import Database, Index

_EVERYWHERE = "*"
_MOST_NAMED = 5  # rivals in one message

Bucket = tuple[str, str, str]
"""(relation, scope, host). "is": decides for that host in that namespace ("*": in all). "any": in some namespace. "wide" and
"narrow", by whether it is exported everywhere: for that pattern, or for one under it.
"""


def _scopes(spec: VirtualService, namespace: str) -> frozenset[str]:
    """The namespaces where it decides."""
    scopes = frozenset(namespace if name == "." else name for name in spec.export_to)
    return frozenset({_EVERYWHERE}) if not scopes or _EVERYWHERE in scopes else scopes


def _in_mesh(spec: VirtualService) -> bool:
    return not spec.gateways or MESH_GATEWAY in spec.gateways


def _buckets(key: ResourceKey, resource: Resource[object]) -> Iterator[Bucket]:
    spec = resource.spec
    if not isinstance(spec, VirtualService) or not _in_mesh(spec):
        return
    scopes = _scopes(spec, key.namespace)
    reach = _reach(scopes)
    for host in (qualified(host, key.namespace) for host in spec.hosts):
        yield "any", "", host
        yield from (("is", scope, host) for scope in scopes)
        if host.startswith("*"):
            yield "wide", reach, host
            yield from (("narrow", reach, pattern) for pattern in patterns_above(host))


def _reach(scopes: frozenset[str]) -> str:
    return "everywhere" if _EVERYWHERE in scopes else "somewhere"


DECIDING = Index("mesh_virtual_service_by_host", RESOURCES, _buckets)


@analyzer("VirtualService", codes="IST0109")
def virtual_service_hosts(db: Database, resource: Resource[VirtualService]) -> Findings:
    spec, key = resource.spec, resource.key
    if not _in_mesh(spec):
        return
    scopes = _scopes(spec, key.namespace)
    for index, host in enumerate(qualified(host, key.namespace) for host in spec.hosts):
        found = (rival for bucket in _rivals(scopes, host) for rival in DECIDING(db, bucket) if rival != key)
        rivals = list(islice(dict.fromkeys(islice(found, 2 * _MOST_NAMED)), _MOST_NAMED))
        if rivals:
            verb = "decides" if len(rivals) == 1 else "decide"
            message = f'{" and ".join(map(str, rivals))} {verb} for "{host}" too'
            hint = "merge them into one VirtualService: only one of them takes effect in sidecars"
            yield Finding("IST0109", ("spec", "hosts", index), message, hint)
            return  # one finding names the object; its other hosts mostly have the same rivals


def _rivals(scopes: frozenset[str], host: str) -> Iterable[Bucket]:
    """The buckets of those that decide for the host where this one does.

    Equal hosts clash where the scopes meet. Patterns that overlap clash only between one that is exported everywhere and
    one that is not: the narrower scope then hides what the pattern of the other was written for.
    """
    if _EVERYWHERE in scopes:
        yield "any", "", host
    else:
        yield from (("is", scope, host) for scope in (*sorted(scopes), _EVERYWHERE))
    if host.startswith("*"):
        others = "somewhere" if _EVERYWHERE in scopes else "everywhere"
        yield from (("wide", others, pattern) for pattern in patterns_above(host))
        yield "narrow", others, host
