"""AuthorizationPolicies: which ones hold for a workload, in what order."""

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.security import AuthorizationPolicy
from mizzen.derive.age import age
from mizzen.derive.attachment import Attachment
from mizzen.derive.inputs import BY_NAMESPACE, RESOURCES
from mizzen.derive.mesh import root_namespace
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query

DRY_RUN_ANNOTATION = "istio.io/dry-run"


@query
def _scope(db: Database, key: ResourceKey) -> tuple[Attachment, str, tuple[bool, str]] | None:
    """(attachment, action, age) of a policy: what the choice depends on."""
    resource = RESOURCES(db, key)
    if resource is None or not isinstance(resource.spec, AuthorizationPolicy):
        return None
    spec = resource.spec
    return Attachment.of(spec), spec.action.value, age(resource)[:2]


@query
def policies_for(
    db: Database, namespace: str, labels: FrozenMap[str, str]
) -> FrozenMap[str, tuple[ResourceKey, ...]]:
    """The policies that hold for a workload, by action, those of the root namespace first (Istio's order)."""
    chosen: dict[str, list[ResourceKey]] = {}
    for owner in dict.fromkeys((root_namespace(db), namespace)):
        found = []
        for key in BY_NAMESPACE(db, ("AuthorizationPolicy", owner)):
            scope = _scope(db, key)
            if scope is not None and scope[0].holds_for(labels):
                found.append((scope[2], key, scope[1]))
        for _, key, action in sorted(found):
            chosen.setdefault(action, []).append(key)
    return FrozenMap({action: tuple(keys) for action, keys in chosen.items()})


@query
def policy(db: Database, key: ResourceKey) -> Resource[AuthorizationPolicy] | None:
    return RESOURCES(db, key)


def is_dry_run(resource: Resource[AuthorizationPolicy]) -> bool:
    """Istio's annotation for a policy that is evaluated and reported but not enforced."""
    return resource.annotations.get(DRY_RUN_ANNOTATION) == "true"
