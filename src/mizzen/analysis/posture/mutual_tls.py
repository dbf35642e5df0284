"""Is all traffic between workloads encrypted and authenticated?"""

from mizzen.analysis.objects import resources
from mizzen.analysis.posture.check import Weaknesses, check
from mizzen.analysis.posture.namespaces import listed, used_namespaces
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.networking import ClientTLSMode
from mizzen.config.types.security import MutualTLSMode, PeerAuthentication
from mizzen.derive.mesh import mesh_config, root_namespace
from mizzen.incremental import Database

_WEAK = {
    MutualTLSMode.PERMISSIVE: ("MZ0301", "PERMISSIVE takes plain text from anybody"),
    MutualTLSMode.DISABLE: ("MZ0302", "DISABLE turns mTLS off"),
}
_FIX = "set mode: STRICT once every caller has a sidecar"


@check(
    "Is plain text between workloads refused?",
    why="plain text can be read and changed on the way, and its sender can be anybody: policies by identity do not hold",
    codes="MZ0301 MZ0302",
)
def mutual_tls(db: Database) -> Weaknesses:
    policies = resources(db, "PeerAuthentication")
    for policy in policies:
        spec = policy.spec
        if spec.mtls is not None and spec.mtls.mode in _WEAK:
            code, what = _WEAK[spec.mtls.mode]
            yield policy.key, Finding(code, ("spec", "mtls", "mode"), what, _FIX)
        for port, setting in spec.port_level_mtls.items():
            if setting.mode in _WEAK:
                code, what = _WEAK[setting.mode]
                path = ("spec", "portLevelMtls", port, "mode")
                yield policy.key, Finding(code, path, f"port {port}: {what}", _FIX)
    root = root_namespace(db)
    decided = {policy.key.namespace for policy in policies if _says_mode(policy)}
    undecided = used_namespaces(db) - decided
    if root not in decided and undecided:
        message = f"no PeerAuthentication holds for {listed(undecided)}, nor for the mesh: plain text is accepted there"
        hint = f"add one named default to {root} with mtls.mode: STRICT"
        yield None, Finding("MZ0301", (), message, hint)
    yield from _callers(db)


def _says_mode(policy: Resource[PeerAuthentication]) -> bool:
    mode = policy.spec.mtls.mode if policy.spec.mtls else MutualTLSMode.UNSET
    return policy.spec.selector is None and mode is not MutualTLSMode.UNSET


def _callers(db: Database) -> Weaknesses:
    if not mesh_config(db).enable_auto_mtls:
        message = "enableAutoMtls is false: callers use plain text unless a DestinationRule says otherwise"
        for config in resources(db, "MeshConfig"):
            yield config.key, Finding("MZ0302", ("spec", "enableAutoMtls"), message, "remove it")
    for rule in resources(db, "DestinationRule"):
        policy = rule.spec.traffic_policy
        if policy is not None and policy.tls is not None and policy.tls.mode is ClientTLSMode.DISABLE:
            path = ("spec", "trafficPolicy", "tls", "mode")
            message = f'callers of "{rule.spec.host}" use plain text'
            yield (
                rule.key,
                Finding("MZ0302", path, message, "remove tls: mTLS is then used wherever it can be"),
            )
