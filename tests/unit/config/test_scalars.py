"""What YAML's plain scalars mean: as for kubectl."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.config.scalars import ScalarError, key_text, plain_scalar, tagged_scalar

MEANINGS = [
    # numbers
    ("0", 0), ("8080", 8080), ("-1", -1), ("+5", 5), ("1_000", 1000),
    ("0x1F", 31), ("0b101", 5), ("0o17", 15), ("017", 15), ("-0x10", -16),
    ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("1E-2", 0.01), ("09", 9.0),
    # words
    ("true", True), ("True", True), ("yes", True), ("on", True), ("y", True),
    ("false", False), ("NO", False), ("Off", False), ("n", False),
    ("", None), ("~", None), ("null", None),
    # what YAML 1.1 would have made something else of
    ("22:22", "22:22"), ("2024-01-01", "2024-01-01"), ("1.2.3", "1.2.3"), ("v1", "v1"), ("=", "="),
    (".inf", ".inf"), (".nan", ".nan"), ("1e999", "1e999"), ("10s", "10s"), ("0x", "0x"), ("-", "-"), ("tRUE", "tRUE"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), MEANINGS)
def test_plain_scalars(text, value):
    found = plain_scalar(text)
    assert (type(found), found) == (type(value), value)


@given(st.integers())
def test_integers_read_back(number):
    assert plain_scalar(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back(number):
    found = plain_scalar(repr(number))
    assert isinstance(found, int | float)
    assert math.isclose(found, number, rel_tol=0, abs_tol=0)


@given(st.text(max_size=200))
def test_no_text_is_refused(text):
    assert isinstance(plain_scalar(text), str | int | float | bool | None)


@pytest.mark.parametrize(
    ("text", "key"),
    [("8080", "8080"), ("yes", "true"), ("off", "false"), ("app", "app"), ("0x10", "16"), ("1.5", "1.5")],
)
def test_keys_become_strings(text, key):
    assert key_text(text) == key


def test_a_missing_key_is_refused():
    with pytest.raises(ScalarError, match="missing"):
        key_text("")


@pytest.mark.parametrize(
    ("tag", "text", "value"),
    [
        ("str", "8080", "8080"),
        ("int", "7", 7),
        ("float", "7", 7.0),
        ("bool", "yes", True),
        ("null", "", None),
    ],
)
def test_tags(tag, text, value):
    found = tagged_scalar(f"tag:yaml.org,2002:{tag}", text, plain=False)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("tag", "text"),
    [("tag:yaml.org,2002:int", "abc"), ("!python/object", "x"), ("tag:yaml.org,2002:binary", "aa")],
)
def test_tags_that_do_not_fit(tag, text):
    with pytest.raises(ScalarError):
        tagged_scalar(tag, text, plain=False)
