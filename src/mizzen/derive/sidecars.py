"""Sidecars: which one holds for a workload, and what its egress listeners import.

Source: Istio's Sidecar resource: the one whose workloadSelector picks the workload, else its namespace's default (without
a selector), else the default of the root namespace; the oldest where several would do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mizzen.config.resource import ResourceKey
from mizzen.config.types.mesh import OutboundTrafficMode
from mizzen.config.types.networking import Destination, IstioEgressListener, Sidecar
from mizzen.derive.age import age
from mizzen.derive.hosts import matches
from mizzen.derive.inputs import BY_NAMESPACE, RESOURCES
from mizzen.derive.mesh import mesh_config, root_namespace
from mizzen.derive.workloads import covers
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope

ANY_NAMESPACE = "*"
EVERYTHING = IstioEgressListener(hosts=("*/*",))
"""The listener of a proxy that no Sidecar narrows, and of a Sidecar that names none."""
_HTTP_PROXY = "HTTP_PROXY"


@query
def sidecar(db: Database, key: ResourceKey) -> Sidecar | None:
    resource = RESOURCES(db, key)
    return resource.spec if resource is not None and isinstance(resource.spec, Sidecar) else None


@query
def _header(db: Database, key: ResourceKey) -> tuple[FrozenMap[str, str], tuple[bool, str]]:
    """(selector, age): what the choice depends on. A changed listener re-runs no choice."""
    resource = RESOURCES(db, key)
    if resource is None or not isinstance(resource.spec, Sidecar):
        return EMPTY, (True, "")
    selector = resource.spec.workload_selector
    return (selector.labels if selector else EMPTY), age(resource)[:2]


@query
def _oldest_first(db: Database, namespace: str) -> tuple[tuple[ResourceKey, FrozenMap[str, str]], ...]:
    """The Sidecars of a namespace with their selectors."""
    keys = sorted(BY_NAMESPACE(db, ("Sidecar", namespace)), key=lambda key: (_header(db, key)[1], key))
    return tuple((key, _header(db, key)[0]) for key in keys)


@query
def sidecar_for(db: Database, namespace: str, labels: FrozenMap[str, str]) -> ResourceKey | None:
    """The Sidecar that holds for a workload."""
    own = _oldest_first(db, namespace)
    selecting = next((key for key, selector in own if selector and covers(selector, labels)), None)
    return selecting or _default(own) or _default(_oldest_first(db, root_namespace(db)))


def _default(sidecars: tuple[tuple[ResourceKey, FrozenMap[str, str]], ...]) -> ResourceKey | None:
    return next((key for key, selector in sidecars if not selector), None)


@dataclass(frozen=True, slots=True)
class EgressListener:
    """One egress listener. `scope` is what it exposes: asked with it, visible_services, visible_ports and
    mesh_virtual_service speak of this listener alone.
    """

    scope: OutboundScope
    settings: IstioEgressListener

    @property
    def port(self) -> int:
        """0: every port that the services have and no other listener of the Sidecar takes."""
        return self.settings.port.number if self.settings.port else 0

    @property
    def is_http_proxy(self) -> bool:
        """Whether it takes requests as an HTTP proxy does: to every port of its hosts, not to its own alone."""
        return self.settings.port is not None and self.settings.port.protocol.upper() == _HTTP_PROXY

    @property
    def only_port(self) -> int | None:
        """The one port of its hosts that it exposes."""
        port = self.settings.port
        return port.number if port and port.number and not self.is_http_proxy else None


def egress_listeners(db: Database, scope: OutboundScope) -> tuple[EgressListener, ...]:
    """The egress listeners of a scope: the Sidecar's, in its order, else one for everything."""
    if scope.sidecar is None:
        return (EgressListener(scope, EVERYTHING),)
    found = sidecar(db, scope.sidecar)
    settings = (found.egress if found else ()) or (EVERYTHING,)
    return tuple(EgressListener(replace(scope, listener=n), item) for n, item in enumerate(settings))


@query
def egress_listener(db: Database, scope: OutboundScope) -> EgressListener:
    """The listener that a scope means. Raises LookupError where its Sidecar has lost it."""
    found = egress_listeners(db, scope)
    if scope.sidecar is None:
        return found[0]
    if scope.listener is None or scope.listener >= len(found):
        raise LookupError(f"{scope.sidecar} has no egress listener {scope.listener}")
    return found[scope.listener]


@query
def imports(db: Database, scope: OutboundScope) -> FrozenMap[str, tuple[str, ...]]:
    """What a listener imports: namespace, or ANY_NAMESPACE -> patterns of hosts ("~" is a namespace that nobody has)."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in egress_listener(db, scope).settings.hosts:
        owner, _, host = entry.partition("/")
        owner = scope.namespace if owner == "." else owner
        found[owner] = (*found.get(owner, ()), host)
    return FrozenMap(found)


def imported(patterns: Mapping[str, tuple[str, ...]], owner: str) -> tuple[str, ...]:
    """The patterns under which something of namespace `owner` may be imported."""
    return (*patterns.get(owner, ()), *patterns.get(ANY_NAMESPACE, ()))


def overlap(pattern: str, host: str) -> bool:
    """Whether two hosts, each perhaps a wildcard, have a host in common."""
    return matches(pattern, host) or matches(host, pattern)


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """What becomes of traffic to hosts that a proxy does not know. `egress_proxy` is where all of it is sent."""

    mode: OutboundTrafficMode = OutboundTrafficMode.ALLOW_ANY
    egress_proxy: Destination | None = None


@query
def outbound_traffic_policy(db: Database, scope: OutboundScope) -> OutboundPolicy:
    """The Sidecar's outboundTrafficPolicy, else the mesh's."""
    found = sidecar(db, scope.sidecar) if scope.sidecar else None
    own = found.outbound_traffic_policy if found else None
    if own is None:
        return OutboundPolicy(mesh_config(db).outbound_traffic_policy.mode)
    return OutboundPolicy(OutboundTrafficMode(own.mode.value), own.egress_proxy)
