"""analyzers.md: what each analyzer finds in the objects above."""

import re
from pathlib import Path

import pytest

from mizzen.analysis.findings import diagnose, findings_by
from mizzen.analysis.offline import Reading, database
from mizzen.analysis.registry import ANALYZERS
from mizzen.config.decode import decode
from mizzen.config.diagnostics import CATALOGUE
from mizzen.config.resource import path_text

PAGE = (Path(__file__).parent / "analyzers.md").read_text()
_CASE = re.compile(
    r"^## (?P<name>\w+)\n.*?```yaml\n(?P<yaml>.*?)```\n\n```text\n(?P<lines>.*?)```", re.MULTILINE | re.DOTALL
)
CASES = {case["name"]: (case["yaml"], case["lines"]) for case in _CASE.finditer(PAGE)}
BY_NAME = {analyzer.name: analyzer for analyzer in ANALYZERS}
ELSEWHERE = {"multi_cluster_services"}  # needs several clusters: test_multi_cluster.py


def found(text, *analyzers):
    reading = Reading()
    reading.add(decode(text, "x.yaml"))
    made = findings_by(database(reading.located, None), analyzers)
    return sorted(diagnose(made, reading.located.get), key=lambda each: (each.location.line, each.code))


@pytest.mark.parametrize("name", CASES)
def test_what_it_finds(name):
    text, lines = CASES[name]
    assert [
        f"{each.location.line} {each.code} {path_text(each.path)}: {each.message}"
        for each in found(text, BY_NAME[name])
    ] == lines.splitlines()


@pytest.mark.parametrize("name", CASES)
def test_it_yields_the_codes_that_it_declares(name):
    codes = {each.code for each in found(CASES[name][0], BY_NAME[name])}
    assert codes <= set(BY_NAME[name].codes)
    assert all(each.advice for each in found(CASES[name][0], BY_NAME[name]))


def test_every_analyzer_has_a_case():
    assert CASES.keys() | ELSEWHERE == BY_NAME.keys()


def test_every_code_of_an_analyzer_is_in_the_catalogue():
    assert {code for analyzer in ANALYZERS for code in analyzer.codes} <= CATALOGUE.keys()
