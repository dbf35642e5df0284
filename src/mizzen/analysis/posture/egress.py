"""May workloads call hosts that nobody declared?"""

from mizzen.analysis.objects import resources
from mizzen.analysis.posture.check import Weaknesses, check
from mizzen.config.diagnostics import Finding
from mizzen.config.types.mesh import OutboundTrafficMode
from mizzen.derive.mesh import mesh_config
from mizzen.incremental import Database

_PATH = ("spec", "outboundTrafficPolicy", "mode")
_FIX = "set REGISTRY_ONLY, and declare what is called by ServiceEntries"


@check(
    "Are unknown hosts refused to workloads?",
    why="a workload that was taken over can send data anywhere, and fetch anything",
    codes="MZ0303",
)
def egress(db: Database) -> Weaknesses:
    mode = mesh_config(db).outbound_traffic_policy.mode
    if mode is not OutboundTrafficMode.REGISTRY_ONLY:
        config = next((each.key for each in resources(db, "MeshConfig")), None)
        default = "" if config else " (the default)"
        message = f"outboundTrafficPolicy is {mode.value}{default}: workloads may call any host"
        yield config, Finding("MZ0303", _PATH if config else (), message, _FIX)
    for sidecar in resources(db, "Sidecar"):
        policy = sidecar.spec.outbound_traffic_policy
        if policy is not None and policy.mode.value.startswith("ALLOW_ANY"):
            message = f"{policy.mode.value}: these workloads may call any host"
            yield sidecar.key, Finding("MZ0303", _PATH, message, _FIX)
