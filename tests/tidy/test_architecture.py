"""ARCHITECTURE.md is true: the functions that it names are there, and so are the folders."""

import inspect
import re
from importlib import import_module

import pytest

from tests.support.repository import ROOT, python_files, read, section

PAGE = read("ARCHITECTURE.md")
_TABLE = re.search(r"<!-- field-table -->\n(.*?)<!-- /field-table -->", PAGE, re.DOTALL)
FUNCTIONS = sorted(set(re.findall(r"\| `(mizzen[\w.]+)` \|$", _TABLE[1] if _TABLE else "", re.MULTILINE)))
ROAD = section(PAGE, "## The road")


def test_the_field_table_is_read_whole():
    assert _TABLE, "ARCHITECTURE.md has a field table between its marks"
    rows = [line for line in _TABLE[1].splitlines() if line.startswith("| ")][2:]
    assert len(rows) == len(re.findall(r"\| `mizzen[\w.]+` \|$", _TABLE[1], re.MULTILINE))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_the_field_table_is_there(name):
    module, _, attribute = name.rpartition(".")
    found = getattr(import_module(module), attribute)
    function = inspect.unwrap(getattr(found, "function", found))
    assert callable(function)


def test_the_folders_of_the_road_are_those_of_the_package():
    named = set(re.findall(r"`(\w+)/`", "\n".join(line.split(" | ")[0] for line in ROAD.splitlines())))
    there = {path.parts[2] for path in python_files("src") if len(path.parts) > 3}
    assert named == there - {"proto"}, "(proto/ is no stage: it is Envoy's API as classes)"


def test_what_to_start_reading_at_is_there():
    for line in ROAD.splitlines():
        cells = line.strip("| ").split(" | ")
        folder = re.search(r"`(\w+)/`", cells[0])
        if len(cells) < 3 or folder is None:
            continue
        for file in re.findall(r"`(\w+\.py)`", cells[2]):
            assert list((ROOT / "src/mizzen").glob(f"*/{file}")), f"{cells[0]} names {file}"
        for words in re.findall(r"`(\w+)\.py` `([\w.]+)`", cells[2]):
            module = import_module(f"mizzen.{folder[1]}.{words[0]}")
            assert hasattr(module, words[1].partition(".")[0]), f"{module.__name__} has no {words[1]}"


def test_every_path_and_module_that_the_page_names_is_there():
    missing = []
    for word in set(re.findall(r"`([\w./]+)`", PAGE)):
        if re.fullmatch(r"(tests|docs|src|samples|daemon|proto|derive|translate)/[\w./]+", word):
            if not (ROOT / word).exists() and not (ROOT / "src/mizzen" / word).exists():
                missing.append(word)
        elif re.fullmatch(r"(daemon|translate|derive|xds|config)(\.\w+)+", word) and not resolves(
            f"mizzen.{word}"
        ):
            missing.append(word)
    assert [word for word in missing if not word.endswith((".binpb", ".pyi"))] == [], "set-up makes those two"


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute in one, or an attribute of that."""
    parts = name.split(".")
    for count in range(len(parts), 1, -1):
        try:
            found = import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[count:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False
