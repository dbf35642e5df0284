"""Is what no policy allows denied?"""

from mizzen.analysis.objects import resources
from mizzen.analysis.posture.check import Weaknesses, check
from mizzen.analysis.posture.namespaces import listed, used_namespaces
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.security import Action, AuthorizationPolicy, Rule
from mizzen.derive.mesh import root_namespace
from mizzen.incremental import Database


@check(
    "Is access denied unless a policy allows it?",
    why="a service that nobody wrote a policy for can be called by every workload of the mesh",
    codes="MZ0304",
)
def default_deny(db: Database) -> Weaknesses:
    closed = {policy.key.namespace for policy in resources(db, "AuthorizationPolicy") if _denies_all(policy)}
    root = root_namespace(db)
    still_open = used_namespaces(db) - closed
    if root in closed or not still_open:
        return
    message = f"no AuthorizationPolicy denies by default in {listed(still_open)}"
    hint = (
        f"add an AuthorizationPolicy with an empty spec to {root} (all namespaces), then allow what is needed"
    )
    yield None, Finding("MZ0304", (), message, hint)


def _denies_all(policy: Resource[AuthorizationPolicy]) -> bool:
    """An ALLOW policy that matches nothing, or a DENY policy that matches everything, for a whole namespace."""
    spec = policy.spec
    if spec.selector is not None or spec.target_ref is not None or spec.target_refs:
        return False
    if spec.action is Action.ALLOW:
        return not spec.rules
    return spec.action is Action.DENY and Rule() in spec.rules
