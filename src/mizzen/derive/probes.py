"""How an agent is to ask its application whether it is well."""

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import ReadinessProbe, WorkloadGroup
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.proxy_config import proxy_config
from mizzen.incremental import Database, query

GROUP_ANNOTATION = "istio.io/autoRegistrationGroup"
"""On a WorkloadEntry: the WorkloadGroup through which it registered itself."""


@query
def readiness_probe(db: Database, key: ResourceKey) -> ReadinessProbe | None:
    """That of the workload's WorkloadGroup, else that of its proxy's settings; None: it is not asked."""
    resource = RESOURCES(db, key)
    name = resource.annotations.get(GROUP_ANNOTATION) if resource is not None else None
    group: Resource[WorkloadGroup] | None = (
        RESOURCES(db, ResourceKey("WorkloadGroup", key.namespace, name)) if name else None
    )
    if group is not None and group.spec.probe is not None:
        return group.spec.probe
    return proxy_config(db, key).readiness_probe
