"""What the regular expressions of authorization take: asked of RE2, which Envoy uses, over the whole value."""

import pytest
import re2

from mizzen.translate.authorization.terms import NAMESPACES, PRINCIPALS, TRUST_DOMAINS, service_accounts

ALICE = "spiffe://good.example/ns/shop/sa/alice"


def holds(term: dict, identity: str) -> bool:
    (matcher,) = (term["authenticated"]["principal_name"],)
    if "safe_regex" in matcher:
        return re2.fullmatch(matcher["safe_regex"]["regex"], identity) is not None
    if "prefix" in matcher:
        return identity.startswith(matcher["prefix"])
    return identity == matcher["exact"]


@pytest.mark.parametrize(
    ("value", "identity", "expected"),
    [
        ("*", ALICE, True),
        ("*", "", False),
        ("good.example/ns/shop/sa/alice", ALICE, True),
        ("good.example/ns/shop/*", ALICE, True),
        ("*/sa/alice", ALICE, True),
        ("*/sa/alice", "spiffe://good.example/ns/shop/sa/alice-2", False),
        ("*.", "spiffe://good.example/ns/shop/sa/x", False),
    ],
)
def test_principals(value: str, identity: str, expected: bool) -> None:
    assert holds(PRINCIPALS.term(value), identity) is expected


@pytest.mark.parametrize(
    ("value", "identity", "expected"),
    [
        ("good.example", ALICE, True),
        ("good", ALICE, False),
        ("*.example", ALICE, True),
        ("*.evil", "spiffe://good.example/ns/shop/sa/x.evil", False),
        ("*.evil", "spiffe://good.example/ns/a.evil/sa/x", False),
        ("good*", "spiffe://good.example/ns/shop/sa/alice", True),
        ("goodXexample", ALICE, False),
        ("good.*", "spiffe://goodness/ns/shop/sa/alice", False),
    ],
)
def test_a_trust_domain_ends_at_the_first_slash(value: str, identity: str, expected: bool) -> None:
    assert holds(TRUST_DOMAINS.term(value), identity) is expected


@pytest.mark.parametrize(
    ("value", "expected"), [("shop", True), ("sho", False), ("sh*", True), ("*op", True), ("s.op", False)]
)
def test_namespaces(value: str, expected: bool) -> None:
    assert holds(NAMESPACES.term(value), ALICE) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("alice", True), ("shop/alice", True), ("bank/alice", False), ("alic", False), ("a.ice", False)],
)
def test_a_service_account_without_namespace_is_of_the_policys_own(value: str, expected: bool) -> None:
    assert holds(service_accounts("shop").term(value), ALICE) is expected
    if "/" not in value:
        assert not holds(service_accounts("bank").term(value), ALICE)
