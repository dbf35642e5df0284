"""Peer authentication: which mTLS mode holds for a workload's port, and whether callers should speak mTLS to it.

Source: Istio's PeerAuthentication: a workload's policy over its namespace's over the mesh's (root namespace);
UNSET inherits; the oldest wins among several of one scope; without any, PERMISSIVE.
"""

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.security import MutualTLSMode, PeerAuthentication
from mizzen.derive.inputs import BY_NAMESPACE, RESOURCES
from mizzen.derive.mesh import mesh_config, root_namespace
from mizzen.derive.workloads import covers
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query


@query
def _policies(db: Database, namespace: str) -> tuple[Resource[PeerAuthentication], ...]:
    """The namespace's policies, oldest first."""
    found = (RESOURCES(db, key) for key in BY_NAMESPACE(db, ("PeerAuthentication", namespace)))
    return tuple(sorted((policy for policy in found if policy), key=age))


def age(resource: Resource[object]) -> tuple[bool, str, ResourceKey]:
    """Sort key of Istio's "oldest first": creation time where known, then name and namespace."""
    return (not resource.created, resource.created, resource.key)


@query
def mutual_tls_policy(
    db: Database, namespace: str, labels: FrozenMap[str, str]
) -> tuple[MutualTLSMode, FrozenMap[int, MutualTLSMode]]:
    """The mode of a workload, and those of its ports that differ by their own setting."""
    mode = MutualTLSMode.PERMISSIVE
    ports: dict[int, MutualTLSMode] = {}
    for scope in dict.fromkeys((root_namespace(db), namespace)):
        policies = _policies(db, scope)
        general = next((policy for policy in policies if not _selector(policy)), None)
        mode = _mode(general) or mode
    own = next(
        (
            policy
            for policy in _policies(db, namespace)
            if _selector(policy) and covers(_selector(policy), labels)
        ),
        None,
    )
    if own is not None:
        mode = _mode(own) or mode
        for number, setting in own.spec.port_level_mtls.items():
            if setting.mode is not MutualTLSMode.UNSET:
                ports[int(number)] = setting.mode
    return mode, FrozenMap(ports)


def _selector(policy: Resource[PeerAuthentication]) -> FrozenMap[str, str]:
    return policy.spec.selector.match_labels if policy.spec.selector else FrozenMap()


def _mode(policy: Resource[PeerAuthentication] | None) -> MutualTLSMode | None:
    setting = policy.spec.mtls if policy else None
    return None if setting is None or setting.mode is MutualTLSMode.UNSET else setting.mode


def mutual_tls_mode(db: Database, namespace: str, labels: FrozenMap[str, str], port: int) -> MutualTLSMode:
    """The mode of one port of a workload."""
    mode, ports = mutual_tls_policy(db, namespace, labels)
    return ports.get(port, mode)


def accepts_mutual_tls(db: Database, namespace: str, labels: FrozenMap[str, str], port: int) -> bool:
    """Whether automatic mTLS should be spoken to this port."""
    if not mesh_config(db).enable_auto_mtls:
        return False
    return mutual_tls_mode(db, namespace, labels, port) is not MutualTLSMode.DISABLE
