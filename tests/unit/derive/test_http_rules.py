"""What a delegate's rule may match, below the rule that delegates to it."""

import pytest

from mizzen.config.types.networking import HTTPMatchRequest, HTTPRoute, StringMatch
from mizzen.derive.http_rules import merged_rule
from mizzen.frozen import FrozenMap


def prefix(text: str) -> StringMatch:
    return StringMatch(prefix=text)


def exact(text: str) -> StringMatch:
    return StringMatch(exact=text)


def regex(text: str) -> StringMatch:
    return StringMatch(regex=text)


def merged(root: tuple[HTTPMatchRequest, ...], leaf: tuple[HTTPMatchRequest, ...]) -> HTTPRoute | None:
    return merged_rule(HTTPRoute(match=root), HTTPRoute(match=leaf))


@pytest.mark.parametrize(
    ("root", "leaf", "holds"),
    [
        (None, regex("/.*"), True),
        (regex("/.*"), None, True),
        (regex("/a"), regex("/a"), False),
        (prefix("/a"), prefix("/ab"), True),
        (prefix("/a"), prefix("/a"), True),
        (prefix("/a"), exact("/a/b"), True),
        (prefix("/ab"), prefix("/a"), False),
        (prefix("/a"), exact("/b"), False),
        (exact("/a"), exact("/a"), True),
        (exact("/a"), exact("/b"), False),
        (exact("/a"), prefix("/a"), False),
    ],
)
def test_a_text_narrows_another(root: StringMatch | None, leaf: StringMatch | None, holds: bool) -> None:
    for make in (
        lambda text: HTTPMatchRequest(uri=text),
        lambda text: HTTPMatchRequest(headers=FrozenMap({"x": text} if text else {})),
        lambda text: HTTPMatchRequest(query_params=FrozenMap({"x": text} if text else {})),
    ):
        found = merged((make(root),), (make(leaf),))
        assert (found is not None) is holds
        if found is not None:
            assert found.match == (make(leaf or root),)


def test_ports_must_agree_and_either_may_name_one() -> None:
    both = merged((HTTPMatchRequest(port=80),), (HTTPMatchRequest(),))
    assert both is not None
    assert both.match[0].port == 80
    assert merged((HTTPMatchRequest(port=80),), (HTTPMatchRequest(port=81),)) is None


def test_each_match_needs_one_that_it_narrows_and_holds_with_all_of_these() -> None:
    roots = (HTTPMatchRequest(uri=prefix("/a")), HTTPMatchRequest(method=exact("GET")))
    found = merged(roots, (HTTPMatchRequest(uri=exact("/a/b")),))
    assert found is not None
    assert [(match.uri, match.method) for match in found.match] == [
        (exact("/a/b"), None),
        (exact("/a/b"), exact("GET")),
    ]


def test_callers_conditions_of_the_delegating_rule_hold() -> None:
    root = HTTPMatchRequest(source_labels=FrozenMap({"app": "a"}), gateways=("mesh",))
    found = merged((root,), (HTTPMatchRequest(uri=prefix("/")),))
    assert found is not None
    assert (found.match[0].source_labels, found.match[0].gateways) == (root.source_labels, root.gateways)
