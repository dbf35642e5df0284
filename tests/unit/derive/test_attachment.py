"""Whom a policy is for."""

import pytest

from mizzen.config.types.security import AuthorizationPolicy
from mizzen.config.types.targets import PolicyTargetReference, WorkloadSelector
from mizzen.derive.attachment import GATEWAY_NAME_LABEL, Attachment
from mizzen.frozen import FrozenMap

GATEWAY = PolicyTargetReference(group="gateway.networking.k8s.io", kind="Gateway", name="front")
SERVICE = PolicyTargetReference(kind="Service", name="web")
FRONT, CART = {GATEWAY_NAME_LABEL: "front", "app": "front"}, {"app": "cart"}


def selecting(**labels: str) -> AuthorizationPolicy:
    return AuthorizationPolicy(selector=WorkloadSelector(match_labels=FrozenMap(labels)))


@pytest.mark.parametrize(
    ("policy", "front", "cart"),
    [
        (AuthorizationPolicy(), True, True),
        (selecting(), True, True),
        (selecting(app="cart"), False, True),
        (selecting(app="cart", version="v1"), False, False),
        (AuthorizationPolicy(target_refs=(GATEWAY,)), True, False),
        (AuthorizationPolicy(target_ref=GATEWAY), True, False),
        (AuthorizationPolicy(target_refs=(SERVICE, GATEWAY)), True, False),
        # A waypoint's: no proxy here. It must not become a policy for all.
        (AuthorizationPolicy(target_refs=(SERVICE,)), False, False),
    ],
)
def test_who_is_meant(policy, front, cart):
    attachment = Attachment.of(policy)
    assert (attachment.holds_for(FRONT), attachment.holds_for(CART)) == (front, cart)
