"""Dashboards by themselves: what they ask for is documented, and Grafana's grid has room for it. tests/lab/test_prometheus.py asks a real
Prometheus.
"""

import json
import re

import pytest
from click.testing import CliRunner

from mizzen.cli.dashboards import command
from mizzen.dashboards.model import Dashboard
from mizzen.dashboards.pages import DASHBOARDS
from tests.support.repository import read

BY_TITLE = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.uid)
# Of PromQL, and what a histogram and a counter add to the names of the docs.
WORDS = {
    "sum",
    "rate",
    "by",
    "histogram_quantile",
    "min",
    "time",
    "le",
    "job",
    "mizzen",
    "instance",
    "or",
    "vector",
}


@BY_TITLE
def test_what_is_asked_for_is_documented(dashboard: Dashboard):
    page = read("docs/metrics.md")
    for query in dashboard.queries():
        plain = re.sub(r'"[^"]*"|\[[^\]]*\]|[\d.]+', "", query)
        for word in set(re.findall(r"[a-z_]\w*", plain)) - WORDS:
            metric = re.sub(r"_(bucket|count|sum|total)$", "", word)
            assert f"`{word}`" in page or f"`{metric}`" in page, f"{word} in {query}"


@BY_TITLE
def test_panels_do_not_overlap(dashboard: Dashboard):
    cells = set()
    for panel in dashboard.to_json()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        covered = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not covered & cells, panel["title"]
        cells |= covered


@BY_TITLE
def test_variables_are_declared(dashboard: Dashboard):
    used = {name for query in dashboard.queries() for name in re.findall(r"\$([a-z]\w*)", query)}
    assert used == {variable.name for variable in dashboard.variables}


def test_files_are_written(tmp_path):
    done = CliRunner().invoke(command, ["--output", str(tmp_path / "boards")])
    assert done.exit_code == 0, done.output
    files = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "boards").iterdir()}
    assert files == {dashboard.uid: dashboard.to_json() for dashboard in DASHBOARDS}
