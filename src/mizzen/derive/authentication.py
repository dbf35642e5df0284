"""Peer authentication: which mTLS mode holds for a workload's port, and whether callers should speak mTLS to it.

Source: Istio's PeerAuthentication: a workload's policy over its namespace's over the mesh's (root namespace);
UNSET inherits; the oldest wins among several of one scope; without any, PERMISSIVE.
"""

from mizzen.config.resource import Resource
from mizzen.config.types.security import MutualTLSMode, PeerAuthentication
from mizzen.derive.age import oldest_first
from mizzen.derive.mesh import mesh_config, root_namespace
from mizzen.derive.workloads import covers
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query


@query
def mutual_tls_policy(
    db: Database, namespace: str, labels: FrozenMap[str, str]
) -> tuple[MutualTLSMode, FrozenMap[int, MutualTLSMode]]:
    """The mode of a workload, and those of its ports that differ by their own setting."""
    mode = MutualTLSMode.PERMISSIVE
    ports: dict[int, MutualTLSMode] = {}
    for scope in dict.fromkeys((root_namespace(db), namespace)):
        policies = oldest_first(db, "PeerAuthentication", scope)
        general = next((policy for policy in policies if not _selector(policy)), None)
        mode = _mode(general) or mode
    own = next(
        (
            policy
            for policy in oldest_first(db, "PeerAuthentication", namespace)
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
