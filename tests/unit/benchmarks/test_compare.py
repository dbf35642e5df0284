"""A run against a recorded one: counts are judged, times are shown."""

import copy

import pytest

from benchmarks.compare import compare

CHANGE = {"proxies": 10, "query_runs": 20, "bytes": 1000, "last_ack_ms_p50": 50.0, "cpu_seconds": 0.01}
RUN = {"scoped": {"shape": {"services": 1}, "starts": {}, "changes": {"one endpoint": CHANGE}}}


def changed(**figures):
    run = copy.deepcopy(RUN)
    run["scoped"]["changes"]["one endpoint"].update(figures)
    return run


def test_the_same_run_is_held():
    found, wrong = compare(RUN, RUN)
    assert {figure.name for figure in found} == CHANGE.keys()
    assert {figure.ratio for figure in found} == {1.0}
    assert wrong == []


@pytest.mark.parametrize("figures", [{"bytes": 1049}, {"query_runs": 5}, {"last_ack_ms_p50": 500}])
def test_what_may_differ(figures):
    assert compare(RUN, changed(**figures))[1] == []


def test_a_count_that_grew_is_told():
    told = compare(RUN, changed(query_runs=22))[1]
    assert told == ["scoped: one endpoint: query_runs grew from 20 to 22"]


def test_a_count_that_was_none_has_grown():
    assert compare(changed(query_runs=0), changed(query_runs=1))[1] != []


def test_another_mesh_is_not_compared():
    other = copy.deepcopy(RUN)
    other["scoped"]["shape"]["services"] = 2
    found, wrong = compare(RUN, other)
    assert not found
    assert wrong == ["the scoped mesh is another one: recorded {'services': 1}, now {'services': 2}"]


def test_runs_without_a_common_mesh_are_not_compared():
    assert compare(RUN, {"unscoped": RUN["scoped"]})[1] == ["the runs have no mesh in common"]
