"""Host names: what a short name means, what a wildcard covers, and which pattern wins."""

import pytest

from mizzen.derive.hosts import aliases, matches, most_specific, qualified


@pytest.mark.parametrize(
    ("host", "full"),
    [
        ("reviews", "reviews.shop.svc.cluster.local"),
        ("reviews.bank", "reviews.bank"),
        ("*", "*"),
        ("*.example.com", "*.example.com"),
    ],
)
def test_only_a_name_without_a_dot_is_short(host: str, full: str) -> None:
    assert qualified(host, "shop") == full


@pytest.mark.parametrize(
    ("pattern", "host", "covered"),
    [
        ("a.example.com", "a.example.com", True),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "*.a.example.com", True),
        ("*.a.example.com", "*.example.com", False),
        ("*", "anything", True),
        ("*", "*.example.com", True),
        ("a.example.com", "*.example.com", False),
    ],
)
def test_what_a_pattern_covers(pattern: str, host: str, covered: bool) -> None:
    assert matches(pattern, host) is covered


def test_an_exact_pattern_wins_then_the_longest_wildcard() -> None:
    patterns = ["*", "*.com", "*.example.com", "a.example.com"]
    assert most_specific(patterns, "a.example.com") == "a.example.com"
    assert most_specific(patterns, "b.example.com") == "*.example.com"
    assert most_specific(patterns, "b.org") == "*"
    assert most_specific(patterns[1:], "b.org") is None


def test_the_bare_name_is_an_alias_in_its_own_namespace_only() -> None:
    host = "reviews.shop.svc.cluster.local"
    assert "reviews" in aliases(host, "shop")
    assert "reviews" not in aliases(host, "bank")
    assert "reviews.shop" in aliases(host, "bank")
    assert aliases("api.example.com", "shop") == ("api.example.com",)
