"""The style rules that a machine can hold. What it cannot is in CONTRIBUTING.md."""

import ast
import re
import statistics
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.support.repository import ROOT, python_files, read, tracked_files

LONGEST_FILE = 600
LONGEST_FUNCTION = 70
# Tables of the API: one entry a field, nothing to follow.
API_TABLES = {Path("src/mizzen/config/types/networking.py")}
CATCH_ALLS = re.compile(r"(^|_)(utils?|helpers?|managers?|commons?|misc)(_|$)")
# Put together here, so that this file does not contain what it forbids.
HOME_PATH = re.compile(
    "|".join((r"/ho" + r"me/\w", r"/Us" + r"ers/\w", r"/ro" + r"ot/\w", r"/wo" + r"rk/\w"))
)
INDEX_HOST = re.compile(
    "|".join((r"py" + r"pi\.", r"pythonho" + r"sted", r"index-u" + r"rl", r"artif" + r"actory"))
)
IGNORE = re.compile(r"#\s*(noqa|type:\s*ignore)\b")
REASONED = re.compile(
    r"#\s*(?:noqa:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|type: ignore\[[\w, -]+\])[\s#-]+\w+(?:\W+\w+)+"
)
LEFT_OPEN = re.compile(r"\b(?:TODO|FIXME|XXX)\b(?!:?(?:\W+\w+){3})")

ALL_PYTHON = python_files("src", "samples", "scripts", "benchmarks", "tests")
TEXTS = [path for path in tracked_files() if path.suffix not in {".png", ".binpb", ".lock", ".pem"}]


def test_files_are_not_too_long():
    lengths = {path: len(read(path).splitlines()) for path in ALL_PYTHON if path not in API_TABLES}
    assert {str(path): length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_functions_are_not_too_long():
    found = {f"{path}: {name}": lines for path in ALL_PYTHON for name, lines in functions(path)}
    assert {name: lines for name, lines in found.items() if lines > LONGEST_FUNCTION} == {}


def test_most_of_the_source_is_short(record_property):
    of_functions = sorted(lines for path in python_files("src") for _, lines in functions(path))
    of_files = [len(read(path).splitlines()) for path in python_files("src")]
    figures = {
        "median function": statistics.median(of_functions),
        "function at the 95th percentile": of_functions[len(of_functions) * 95 // 100],
        "median file": statistics.median(of_files),
    }
    print(figures)
    for name, lines in figures.items():
        record_property(name, lines)
    assert figures["median function"] <= 12
    assert figures["function at the 95th percentile"] <= 30
    assert figures["median file"] <= 150


def test_every_module_says_what_it_is_for():
    assert [str(path) for path in ALL_PYTHON if not ast.get_docstring(ast.parse(read(path)))] == []


def test_no_module_is_a_catch_all():
    assert [str(path) for path in ALL_PYTHON if any(map(CATCH_ALLS.search, path.with_suffix("").parts))] == []


def test_every_ignore_has_a_code_and_a_reason():
    found = [comment for comment in all_comments() if IGNORE.search(comment)]
    assert len(found) > 10, "ignores are found"
    assert [comment for comment in found if not REASONED.search(comment)] == []


def test_what_is_left_open_has_a_reason():
    assert [comment for comment in all_comments() if LEFT_OPEN.search(comment)] == []


def test_no_file_names_a_machine_or_an_index():
    found = {path: HOME_PATH.findall(read(path)) + INDEX_HOST.findall(read(path)) for path in TEXTS}
    assert {str(path): words for path, words in found.items() if words} == {}


def all_comments() -> Iterator[str]:
    """Comments with their places; texts and docstrings are none."""
    for path in ALL_PYTHON:
        with (ROOT / path).open("rb") as file:
            for token in tokenize.tokenize(file.readline):
                if token.type == tokenize.COMMENT:
                    yield f"{path}:{token.start[0]}: {token.string}"


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function of a file with its length in lines, without its docstring."""
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            end = node.end_lineno or node.lineno
            first = node.body[0]
            prose = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(node) else 0
            yield node.name, end - node.lineno + 1 - prose
