"""FrozenMap behaves as a mapping, and as a value."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.frozen import FrozenMap

MAPS = st.dictionaries(st.text(), st.integers())


@given(MAPS)
def test_it_holds_what_the_dict_holds(items):
    frozen = FrozenMap(items)
    assert frozen == items
    assert dict(frozen) == items
    assert len(frozen) == len(items)
    assert pickle.loads(pickle.dumps(frozen)) == frozen


@given(MAPS)
def test_equality_and_hash_do_not_depend_on_the_order(items):
    backwards = FrozenMap(dict(reversed(items.items())))
    assert backwards == FrozenMap(items)
    assert hash(backwards) == hash(FrozenMap(items))


def test_it_cannot_be_changed_by_way_of_its_source():
    source = {"a": 1}
    frozen = FrozenMap(source)
    source["a"] = 2
    assert frozen["a"] == 1
    with pytest.raises(TypeError):
        frozen["a"] = 3
