"""YAML text -> documents, plain values and places."""

import contextlib
import json
import textwrap

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mizzen.config import documents
from mizzen.config.documents import DocumentError, split


def values(text):
    return [document.value() for document in split(text, "f.yaml")]


def value(text):
    return values(textwrap.dedent(text))[0]


def place(text, *path, **options):
    location = next(iter(split(textwrap.dedent(text), "f.yaml"))).places().locate(path, **options)
    return location.line, location.column


def error(text):
    with pytest.raises(DocumentError) as raised:
        values(textwrap.dedent(text))
    found = raised.value
    return found.code, found.message, (found.line + 1, found.column + 1)


SCALARS = (
    # PyYAML writes these plain, as YAML 1.2 reads them; to us, as to kubectl, they are booleans.
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C"])).filter(
        lambda text: text not in {"y", "Y", "n", "N"}
    )
    | st.integers()
    | st.booleans()
    | st.none()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4)
    ),
)


@given(VALUES)
def test_what_pyyaml_writes_reads_back(given_value):
    text = yaml.safe_dump(given_value)
    assert value(text) == given_value


@given(VALUES)
def test_json_is_yaml(given_value):
    assert value(json.dumps(given_value, ensure_ascii=False)) == given_value


def test_documents_are_cut_at_their_markers():
    text = "a: 1\n---\nb: 2\n...\n%YAML 1.1\n---\nc: 3\n--- {d: 4}\n"
    assert [found for found in values(text) if found] == [{"a": 1}, {"b": 2}, {"c": 3}, {"d": 4}]


def test_a_marker_inside_a_word_is_none():
    assert values("a: |\n  ---\n  ...\nb: ---x\n") == [{"a": "---\n...\n", "b": "---x"}]


def test_a_broken_document_disturbs_only_itself():
    good, bad, also_good = split("a: 1\n---\nb: [\n---\nc: 3\n", "f.yaml")
    assert good.value() == {"a": 1}
    with pytest.raises(DocumentError):
        bad.value()
    assert also_good.value() == {"c": 3}
    assert also_good.locate(("c",)).line == 5


def test_anchors_and_merges():
    text = """\
        base: &base {a: 1, b: 2}
        more: &more {b: 3, c: 4}
        one: {<<: *base, a: 9}
        two: {<<: [*base, *more]}
        list: &l [1]
        again: *l
        """
    found = value(text)
    assert found["one"] == {"a": 9, "b": 2}
    assert found["two"] == {"a": 1, "b": 2, "c": 4}
    assert found["again"] == [1]
    assert place(text, "one", "b") == (1, 20)


TEXT = """\
    spec:
      http:
      - route:
        - destination: {host: a,  subset: b}
      -   timeout: 5s
      "quoted key": x
      8080: y
    """

PLACES = [
    ((), {}, (1, 1)),
    (("spec",), {}, (1, 1)),
    (("spec", "http"), {}, (2, 3)),
    (("spec", "http"), {"value": True}, (3, 3)),
    (("spec", "http", 0), {}, (3, 5)),
    (("spec", "http", 0, "route", 0, "destination", "subset"), {}, (4, 31)),
    (("spec", "http", 0, "route", 0, "destination", "subset"), {"value": True}, (4, 39)),
    (("spec", "http", 1, "timeout"), {"value": True}, (5, 16)),
    (("spec", "http", 1, "retries", "attempts"), {}, (5, 7)),  # the nearest ancestor
    (("spec", "http", 7), {}, (2, 3)),
    (("spec", "quoted key"), {}, (6, 3)),
    (("spec", "8080"), {}, (7, 3)),
]


@pytest.mark.parametrize(("path", "options", "expected"), PLACES)
def test_places(path, options, expected):
    assert place(TEXT, *path, **options) == expected


ERRORS = [
    ("a tab", "a:\n\tb: 1\n", "MZ0001", "cannot start any token", (2, 1)),
    ("an open bracket", "a: [1, 2\nb: 3\n", "MZ0001", "flow sequence", (2, 2)),
    ("an open quote", 'a: "x\n', "MZ0001", "unexpected end of stream", (2, 1)),
    ("two colons", "a: b: c\n", "MZ0001", "mapping values are not allowed", (1, 5)),
    ("a key twice", "a: 1\nb: 2\na: 3\n", "MZ0002", '"a" is there twice', (3, 1)),
    ("a key twice in two spellings", '80: 1\n"80": 2\n', "MZ0002", '"80" is there twice', (2, 1)),
    ("an unknown alias", "a: *b\n", "MZ0001", "names no anchor", (1, 4)),
    ("an alias inside its anchor", "a: &b [*b]\n", "MZ0001", "inside what it names", (1, 8)),
    ("an unknown tag", "a: !python/object x\n", "MZ0001", "is not known", (1, 4)),
    ("a merge of a scalar", "a: {<<: 1}\n", "MZ0001", "merges mappings only", (1, 9)),
    ("a list as key", "? [a]\n: 1\n", "MZ0001", "a key must be a text", (1, 3)),
    ("no key", "a: 1\n~: 2\n", "MZ0001", "missing before the colon", (2, 1)),
    ("a control character", "a: 'x\x07y'\n", "MZ0004", "U+0007", (1, 6)),
    ("two documents without a marker", "{a: 1}\n{b: 2}\n", "MZ0001", "document start", (2, 1)),
]


@pytest.mark.parametrize(
    ("text", "code", "words", "at"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS]
)
def test_errors(text, code, words, at):
    found_code, message, found_at = error(text)
    assert (found_code, found_at) == (code, at)
    assert words in message


def test_deep_nesting_is_refused():
    assert error("[" * 101 + "]" * 101)[0] == "MZ0003"
    assert error("[" * 5_000)[0] in ("MZ0001", "MZ0003")


def test_a_billion_laughs_are_refused(monkeypatch):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    code, message, _ = error("\n".join(lines))
    assert code == "MZ0003"
    assert "aliases" in message
    monkeypatch.setattr(documents, "MAX_NODES", 10)
    assert error("a: &a [1, 2, 3, 4]\nb: [*a, *a]\n")[0] == "MZ0003"


@given(st.text())
def test_any_text_gives_a_value_or_a_document_error(text):
    for document in split(text, "f.yaml"):
        with contextlib.suppress(DocumentError):
            document.value()
