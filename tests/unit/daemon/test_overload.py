"""What is shed is counted each time and said now and then; every label that is used has words and documentation."""

import re

import pytest
from prometheus_client import CollectorRegistry

from mizzen.daemon.overload import REASONS, WORK, Overload
from tests.support.repository import first_cells, python_files, read, section


def test_all_is_counted_and_little_is_logged():
    registry, lines, now = CollectorRegistry(), [], [0.0]
    overload = Overload(registry, lambda: now[0], lines.append)
    for seconds in (0, 1, 9, 10, 11):
        now[0] = seconds
        overload.shed("streams", "crowd")
    overload.shed("streams", "caller")
    labels = {"work": "streams", "reason": "crowd"}
    assert registry.get_sample_value("mizzen_shed_total", labels) == 5
    assert lines == [
        "shedding new discovery streams: too many at once (see mizzen_shed_total)",
        "shedding new discovery streams: too many at once (see mizzen_shed_total)",
        "shedding new discovery streams: one identity or workload asks too often (see mizzen_shed_total)",
    ]


@pytest.mark.parametrize(("heading", "labels"), [("## By work", WORK), ("## By reason", REASONS)])
def test_every_label_is_documented(heading, labels):
    assert first_cells(section(read("docs/overload.md"), heading)) == list(labels)


def test_every_label_of_the_source_has_words():
    source = "\n".join(read(path) for path in python_files("src"))
    pairs = re.findall(r'shed\("(\w+)", "(\w+)"\)', source)
    reasons = {reason for _, reason in pairs} | set(
        re.findall(r'self\._shed\(self\._work, "(\w+)"\)', source)
    )
    work = {work for work, _ in pairs} | set(re.findall(r'Admission\(\s*"(\w+)"', source))
    assert (work, reasons) == (set(WORK), set(REASONS))
