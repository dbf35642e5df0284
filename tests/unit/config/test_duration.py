"""Durations as Go and protobuf write them."""

import contextlib
import pickle
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.config.types.message import Duration

UNITS = {
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10s", timedelta(seconds=10)),
        ("1h30m", timedelta(minutes=90)),
        ("0.5s", timedelta(milliseconds=500)),
        ("100ms", timedelta(milliseconds=100)),
        (".25s", timedelta(milliseconds=250)),
        ("-1.5h", timedelta(hours=-1.5)),
        ("1500ns", timedelta(microseconds=2)),
        ("2.000000042s", timedelta(seconds=2, microseconds=1)),
        ("-1ns", timedelta(microseconds=-1)),
        ("1.1s", timedelta(milliseconds=1100)),
        ("0", timedelta()),
        ("0s", timedelta()),
        ("3\u00b5s", timedelta(microseconds=3)),
    ],
)
def test_forms(text, value):
    assert Duration.parse(text) == value
    assert hash(Duration.parse(text)) == hash(value)


@pytest.mark.parametrize(
    "text", ["", "10", "s", "10 s", "1d", "1s2", "--1s", "1e3s", "\u0661s", "PT10S", "10s\n"]
)
def test_what_is_none(text):
    with pytest.raises(ValueError, match="not a duration"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["99999999h", "9" * 400 + "s"])
def test_the_bound_of_the_api(text):
    with pytest.raises(ValueError, match="10,000 years"):
        Duration.parse(text)


@given(st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(list(UNITS))), min_size=1, max_size=5))
def test_a_sum_of_terms(terms):
    text = "".join(f"{number}{unit}" for number, unit in terms)
    assert Duration.parse(text) == sum((number * UNITS[unit] for number, unit in terms), timedelta())


@given(st.text(max_size=20))
def test_any_text_gives_a_duration_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert isinstance(Duration.parse(text), timedelta)


def test_it_survives_copying():
    assert pickle.loads(pickle.dumps(Duration.parse("10s"))) == timedelta(seconds=10)
