"""The pure pieces of discovery, one by one."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.proto.api import DeltaDiscoveryResponse
from mizzen.xds import encoding, isolation, rollout
from mizzen.xds.difference import Differences, difference
from mizzen.xds.names import NamePool
from mizzen.xds.resource import (
    CLUSTER,
    ENDPOINT,
    LISTENER,
    NOTHING,
    ROUTE,
    SECRET,
    Layers,
    discovery_resource,
)
from tests.support.discovery import resource

NAMES = st.lists(st.text(min_size=1, max_size=20), max_size=8)


@given(NAMES, NAMES, st.binary(min_size=1, max_size=70_000))
def test_a_response_reads_as_what_was_put_in(names, removed, body):
    resources = [discovery_resource(CLUSTER, name, body) for name in names]
    data = encoding.delta_response(CLUSTER, resources, removed, "7", "41")
    response = DeltaDiscoveryResponse.FromString(data)
    assert (response.type_url, response.nonce, response.system_version_info) == (CLUSTER, "7", "41")
    assert list(response.removed_resources) == removed
    assert [(r.name, r.version, r.resource.type_url, r.resource.value) for r in response.resources] == [
        (each.name, each.version, CLUSTER, body) for each in resources
    ]
    assert len(response.SerializeToString()) == len(data)  # no unknown fields


def test_the_version_is_of_the_bytes_alone():
    first, same = (
        discovery_resource(CLUSTER, "a", b"x"),
        discovery_resource(CLUSTER, "b", b"x", ((ENDPOINT, "b"),)),
    )
    assert first.version == same.version != discovery_resource(CLUSTER, "a", b"y").version


# behind -> what may be added, and whether what is gone may be removed
ORDER = [
    (set(), {CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET}, True),
    ({CLUSTER}, {CLUSTER, ENDPOINT, SECRET}, False),
    ({ENDPOINT}, {CLUSTER, ENDPOINT, SECRET}, False),
    ({LISTENER}, {CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET}, False),
    ({ROUTE}, {CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET}, False),
    ({SECRET}, {CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET}, True),
]


@pytest.mark.parametrize(("behind", "added", "removed"), ORDER)
def test_the_order_of_a_roll_out(behind, added, removed):
    every = (ROUTE, SECRET, CLUSTER, ENDPOINT, LISTENER)
    assert {type_url for type_url in every if rollout.may_add(type_url, behind)} == added
    assert rollout.may_remove(behind) is removed


def test_types_are_considered_in_envoys_order_and_unknown_ones_last():
    assert rollout.in_order(["z", ROUTE, LISTENER, "a", CLUSTER, ENDPOINT]) == [
        CLUSTER,
        ENDPOINT,
        LISTENER,
        ROUTE,
        "a",
        "z",
    ]


@given(
    st.sets(st.text("abc.|", min_size=1, max_size=4), min_size=2, max_size=40), st.text("abc.| ", max_size=30)
)
def test_a_split_loses_nothing_and_gets_smaller(names, error):
    groups = isolation.split(sorted(names), error)
    assert frozenset().union(*groups) == names
    assert sum(map(len, groups)) == len(names)
    assert all(0 < len(group) < len(names) for group in groups)


def test_what_is_accused_is_tried_first_and_alone():
    names = ("outbound|80", "outbound|90", "inbound")
    assert isolation.split(names, "cluster outbound|90: no") == ({"outbound|90"}, {"outbound|80", "inbound"})


def test_a_difference_is_what_changed():
    old = {name: resource(CLUSTER, name) for name in "abc"}
    new = {"a": old["a"], "b": resource(CLUSTER, "b", "2"), "d": resource(CLUSTER, "d")}
    found = difference(old, new)
    assert [each.name for each in found.upserts] == ["b", "d"]
    assert found.removed == ("c",)


def test_differences_are_computed_once_and_bounded():
    states = [{"a": resource(CLUSTER, "a", str(number))} for number in range(4)]
    differences = Differences(capacity=2)
    for _ in range(3):
        assert differences.between(NOTHING, states[0]) is differences.between(NOTHING, states[0])
    assert differences.computed == 1
    for state in states[1:]:
        differences.between(NOTHING, state)
    differences.between(NOTHING, states[0])
    assert differences.computed == 5


STATES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("12"), max_size=5).map(
    lambda versions: {name: resource(CLUSTER, name, version) for name, version in versions.items()}
)


@given(st.lists(STATES, min_size=4, max_size=4), st.booleans(), st.booleans())
def test_a_difference_of_layers_is_that_of_what_is_seen_through_them(parts, old_is_layered, same_own):
    own, common, new_own, new_common = parts
    old = Layers(own, common) if old_is_layered else common
    new = Layers(own if same_own else new_own, new_common)
    found = Differences().between(old, new)
    expected = difference(dict(old.items()), dict(new.items()))
    assert {each.name: each for each in found.upserts} == {each.name: each for each in expected.upserts}
    assert sorted(found.removed) == sorted(expected.removed)
    assert (len(new), set(new)) == (len(dict(new.items())), {*new.own, *new.common})


def test_what_views_share_is_compared_once_for_all_of_them():
    before = {name: resource(CLUSTER, name) for name in "abc"}
    after = {**before, "b": resource(CLUSTER, "b", "2")}
    own = [{f"own-{number}": resource(CLUSTER, f"own-{number}")} for number in range(20)]
    differences = Differences()
    found = {id(differences.between(Layers(each, before), Layers(each, after))) for each in own}
    assert len(found) == differences.computed == 1


def test_equal_names_are_one_set_and_forgotten_after_use():
    pool = NamePool()
    first, second = pool.shared(["a", "b"]), pool.shared(["b", "a"])
    assert first is second
    del first, second
    gc.collect()
    assert len(pool) == 0
