"""What cannot be translated counts on the safe side: an ALLOW rule then matches nothing, a DENY rule what remains of it.

Validation keeps such values out; these tests put them in behind its back.
"""

import pytest

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.security import (
    Action,
    AuthorizationPolicy,
    Condition,
    From,
    Operation,
    Rule,
    Source,
    To,
)
from mizzen.derive.inputs import RESOURCES
from mizzen.frozen import FrozenMap
from mizzen.proto.api import RBAC
from mizzen.translate.authorization.filters import AuthorizationFilter, authorization_filters
from tests.support.mesh import Mesh

LABELS = FrozenMap({"app": "web"})
GOOD = Operation(methods=("GET",))
BAD_PARTS = {
    "an address that is none": Rule(
        from_=(From(source=Source(ip_blocks=("10.0.0.0/99",))),), to=(To(operation=GOOD),)
    ),
    "a forwarded address that is none": Rule(
        from_=(From(source=Source(not_remote_ip_blocks=("here",))),), to=(To(operation=GOOD),)
    ),
    "a port that is none": Rule(to=(To(operation=Operation(methods=("GET",), ports=("http",))),)),
    "a condition that nobody defines": Rule(
        to=(To(operation=GOOD),), when=(Condition(key="source.mood", values=("good",)),)
    ),
    "a destination that is none": Rule(
        to=(To(operation=GOOD),), when=(Condition(key="destination.ip", values=("x",)),)
    ),
}


def made(action: Action, rule: Rule, *, http: bool = True) -> RBAC:
    mesh = Mesh()
    key = ResourceKey("AuthorizationPolicy", "shop", "one")
    mesh.db.set(RESOURCES, key, Resource(key=key, spec=AuthorizationPolicy(action=action, rules=(rule,))))
    (found,) = authorization_filters(mesh.db, "shop", LABELS, http)
    assert isinstance(found, AuthorizationFilter)
    assert found.rules is not None
    return RBAC.FromString(found.rules)


@pytest.mark.parametrize("rule", BAD_PARTS.values(), ids=BAD_PARTS)
def test_an_allow_that_is_not_understood_allows_nothing(rule):
    rules = made(Action.ALLOW, rule)
    assert rules.action == RBAC.Action.ALLOW
    assert not rules.policies  # a filter that allows, without a policy, refuses everything


@pytest.mark.parametrize("rule", BAD_PARTS.values(), ids=BAD_PARTS)
def test_a_deny_that_is_not_understood_denies_by_what_remains(rule):
    rules = made(Action.DENY, rule)
    assert rules.action == RBAC.Action.DENY
    (policy,) = rules.policies.values()
    told = str(policy)
    assert ":method" in told
    assert 'exact: "GET"' in told
    assert not any(bad in told for bad in ("10.0.0.0", "here", "destination_port", "mood", "destination_ip"))


def test_on_a_stream_what_asks_for_http_never_allows_and_denies_by_what_remains():
    rule = Rule(to=(To(operation=Operation(paths=("/secret",), ports=("80",))),))
    assert not made(Action.ALLOW, rule, http=False).policies
    (policy,) = made(Action.DENY, rule, http=False).policies.values()
    assert "destination_port: 80" in str(policy)
    assert "url_path" not in str(policy)
