"""A few seconds of what `make soak` does for half an hour: changes of all kinds while proxies come and go."""

import math

import pytest

from benchmarks.load.meshes import MeshShape
from benchmarks.load.scene import scene
from benchmarks.load.soak import KINDS, Growth, Limits, Sample, Schedule, growing, growth, soak
from benchmarks.load.weighed import weight
from mizzen.xds.resource import ENDPOINT

SHAPE = MeshShape(services=40, proxies=60)
SHORT = Schedule(
    seconds=6.0,
    virtual_service_seconds=0.3,
    policy_seconds=0.4,
    new_service_seconds=0.5,
    scale_seconds=0.7,
    reconnect_seconds=0.8,
    sample_seconds=1.0,
)
# What waits on a busy machine for some seconds has not grown.
UNJUDGED = Limits(None, math.inf, math.inf, math.inf)


@pytest.fixture
def connected(tmp_path):
    with scene(tmp_path, SHAPE) as made:
        made.connect_all()
        yield made


def test_after_a_storm_everybody_holds_what_a_fresh_proxy_is_sent(connected):
    told = []
    found = soak(connected, SHORT, UNJUDGED, told.append)
    assert found.wrong == ()
    assert found.samples == told
    assert len(told) >= 3
    assert told[-1].responses > 100
    assert told[-1].connected < SHAPE.proxies, "some are always away"
    assert found.changes > 100


def test_a_proxy_that_holds_something_else_is_found(connected):
    connected.fleet.order("remember")
    assert connected.fleet.order("differences") == {"count": 0, "found": {}}
    concern = connected.mesh.change_endpoint(1)
    connected.fleet.order("mark")
    connected.fleet.order("await", count=concern.proxies, seconds=30, what=ENDPOINT)
    found = connected.fleet.order("differences", most=1)
    assert found["count"] == concern.proxies
    ((_, of_types),) = found["found"].items()
    assert of_types.keys() == {ENDPOINT}


def samples(*memory_mb, waiting=()):
    waits = waiting or [0] * len(memory_mb)
    return [
        Sample(5.0 * place, memory, wait, 0, 0, 0, 0, 0, 0)
        for place, (memory, wait) in enumerate(zip(memory_mb, waits, strict=True))
    ]


def test_growth_is_that_of_a_line_through_the_samples():
    assert growth(samples(100, 101, 102), "memory_mb") == Growth(100, 2)
    assert growth(samples(100, 130, 100), "memory_mb").gain == pytest.approx(0)
    assert growth(samples(100), "memory_mb") == Growth(0, 0)


def verdicts(found, limits):
    return list(growing(found, growth(found, "memory_mb"), limits))


def test_what_grows_is_told():
    assert verdicts(samples(100, 100.4, 100.8), Limits()) == []
    assert verdicts(samples(100, 101, 102), Limits()) == ["memory grew by 2.0 MB, 2.0% of 100 MB"]
    assert verdicts(samples(100, 101, 102), Limits(memory_share=None)) == []
    assert verdicts(samples(1, 1, 1, waiting=(0, 50, 100)), Limits()) == ["waiting_changes grew by 100.0"]


def test_a_schedule_of_some_kinds_leaves_out_the_others():
    found = Schedule(60.0, endpoints_per_second=50, policy_seconds=4.0).only({"policies"}, times=8)
    assert (found.seconds, found.policy_seconds, found.endpoints_per_second) == (60.0, 0.5, 0)
    assert {found.virtual_service_seconds, found.scale_seconds, found.reconnect_seconds} == {math.inf}
    assert Schedule(60.0).only(KINDS) == Schedule(60.0)


def test_what_memory_consists_of_is_told_apart():
    before = weight()
    small, large = [bytes(400) for _ in range(10_000)], bytes(2**26)
    after = weight()
    assert after["python_blocks"] - before["python_blocks"] > 9_000
    assert after["python_used"] - before["python_used"] > 400 * 9_000
    assert after["c_mapped"] - before["c_mapped"] >= len(large)
    assert len(small) == 10_000
