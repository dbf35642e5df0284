"""Fuzzing: whatever is written, decoding and validation end, never raise, and each complaint has its place.

Short here; `make fuzz` runs it with many more examples.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.config.decode import decode
from mizzen.config.diagnostics import CATALOGUE
from mizzen.config.kinds import KINDS

SAMPLES = tuple(
    path.read_text() for path in sorted((Path(__file__).parents[3] / "samples/bookinfo").glob("*.yaml"))
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["*", "*.a", "10s", "-1s", "a/b", "10.0.0.0/8", "(a", "${", "%REQ(", "ISTIO_MUTUAL", "\0"]
    )
)
# Names of fields that the API has: values of the wrong form at the right places reach furthest.
FIELDS = st.sampled_from(
    [
        *sorted(
            {
                word
                for text in SAMPLES
                for word in text.replace("{", " ").replace(":", " ").split()
                if word.isalpha()
            }
        ),
        "http",
        "match",
        "uri",
        "regex",
        "tls",
        "mode",
        "rules",
        "from",
        "source",
        "principals",
        "servers",
        "endpoints",
    ]
)
SPECS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(FIELDS | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=30,
)


def answered(text: str | bytes) -> None:
    """Nothing is raised; each complaint has a known code, a place, and a length that fits a screen."""
    for found in decode(text, "hostile.yaml").diagnostics:
        assert found.code in CATALOGUE
        assert found.location is not None
        assert found.location.line > 0
        assert len(str(found)) < 2_000


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: f"{kind.group}-{kind.name}")
@given(spec=SPECS)
def test_any_spec_of_any_kind_is_answered(kind, spec):
    version = f"{kind.group}/{kind.versions[0]}".removeprefix("/").removeprefix("core/")
    document = {"apiVersion": version, "kind": kind.name, "metadata": {"name": "a"}, "spec": spec}
    answered(json.dumps(document, allow_nan=True))


@given(
    sample=st.sampled_from(SAMPLES),
    cuts=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=6)), min_size=1, max_size=6
    ),
)
def test_any_damage_to_a_file_is_answered(sample, cuts):
    data = sample.encode()
    for where, length, put in cuts:
        start = int(where * len(data))
        data = data[:start] + put + data[start + length :]
    answered(data)


@given(st.binary(max_size=300) | st.text(max_size=200))
def test_any_bytes_at_all_are_answered(text):
    answered(text)


@given(st.text("{}[]:-, \n#&*!|>'\"ab1", max_size=200))
def test_any_punctuation_is_answered(text):
    answered(text)
