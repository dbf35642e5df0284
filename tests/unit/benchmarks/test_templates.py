"""The templates of Istio's benchmark: rendered as Istio renders them, byte for byte."""

import os
from pathlib import Path

import pytest

from benchmarks.load.scenarios import scenarios
from benchmarks.load.templates import TemplateError, render
from tests.support.repository import ROOT

CORPUS = Path(os.environ.get("MIZZEN_CONFORMANCE") or ROOT.parent / "shared/conformance") / "xds-bench"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("no action", "no action"),
        ("{{range $i := until .Services}}a{{$i}} {{end}}.", "a0 a1 a2 ."),
        ("a:\n{{- range $i := until .Services }}\n- {{$i}}\n{{- end }}\n", "a:\n- 0\n- 1\n- 2\n"),
        ("{{range $i := until .Services}}{{div $i 2 }}{{mod $i 2}} {{end}}", "00 01 10 "),
        ("{{range $i := until .Instances}}{{mod $i $.Services}}{{end}}", "0120"),
        ("{{range $i := until .Services}}{{range $j := until $i}}{{$i}}{{$j}} {{end}}{{end}}", "10 20 21 "),
    ],
)
def test_what_templates_say(template, text):
    assert render(template, services=3, instances=4) == text


def test_of_none_nothing_is_said():
    assert render("a{{range $i := until .Services}}{{$i}}{{end}}b", services=0, instances=0) == "ab"


@pytest.mark.parametrize(
    "template",
    ["{{.Other}}", "{{add 1 2}}", "{{range $i := until .Services}}", "{{end}}", "{{if .Services}}a{{end}}"],
)
def test_what_the_corpus_does_not_use_is_refused(template):
    with pytest.raises(TemplateError):
        render(template, services=1, instances=1)


@pytest.fixture(scope="module")
def corpus():
    if CORPUS.is_dir():
        return CORPUS
    if os.environ.get("CI"):
        pytest.fail("no conformance corpora: MIZZEN_CONFORMANCE must name their folder")
    pytest.skip("no conformance corpora beside the repository; MIZZEN_CONFORMANCE may name them")


def test_every_template_becomes_what_istio_makes_of_it(corpus):
    expected = {path.name: path.read_text() for path in (corpus / "rendered-1x1").iterdir()}
    made = {name: render((corpus / "templates" / name).read_text(), 1, 1) for name in expected}
    assert made == expected
    assert len(made) > 10


def test_only_the_ambient_mode_stands_in_the_way_of_a_scenario(corpus):
    obstacles = {each.id for each in scenarios(corpus) if each.obstacle}
    assert obstacles == {"main/waypoint", "wds-incremental/serviceentry-workloadentry"}
