"""Matches of streams: whatever rules say, no two filter chains of a listener have a case in common."""

from itertools import product

import hypothesis.strategies as st
from hypothesis import given

from mizzen.translate.stream_routes import Cell, StreamMatch, server_name, untaken

_some = st.lists(st.sampled_from(("a", "b", "c")), unique=True, max_size=3).map(tuple)
matches = st.lists(st.builds(StreamMatch, _some, _some, _some), max_size=6)


def cells(match: StreamMatch) -> list[Cell]:
    return list(product(match.subnets or ("",), match.server_names or ("",), match.sources or ("",)))


@given(matches)
def test_each_case_goes_to_the_first_match_that_has_it_and_to_no_other(
    given_matches: list[StreamMatch],
) -> None:
    taken: set[Cell] = set()
    owners: dict[Cell, int] = {}
    for index, match in enumerate(given_matches):
        for left in untaken(match, taken):
            for cell in cells(left):
                assert cell not in owners
                owners[cell] = index
    expected: dict[Cell, int] = {}
    for index, match in enumerate(given_matches):
        for cell in cells(match):
            expected.setdefault(cell, index)
    assert owners == expected


def test_a_match_that_nothing_touches_stays_whole() -> None:
    match = StreamMatch(("a", "b"), ("10.0.0.0/8", "11.0.0.0/8"))
    assert list(untaken(match, set())) == [match]


def test_server_names_are_what_envoy_compares() -> None:
    assert server_name("API.example.com") == ("api.example.com",)
    assert server_name("*.example.com") == ("*.example.com",)
    assert server_name("*") == ()
    assert server_name("*foo.com") == ()
