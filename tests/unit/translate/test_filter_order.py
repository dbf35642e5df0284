"""The order of HTTP filters is a table."""

import pytest

from mizzen.proto.api import HttpFilter
from mizzen.translate.filter_order import HTTP_FILTERS, RBAC, ROUTER, in_order


def test_filters_stand_in_the_order_of_the_table() -> None:
    given = [HttpFilter(name=name) for name in reversed(HTTP_FILTERS)]
    assert [found.name for found in in_order(given)] == list(HTTP_FILTERS)


def test_filters_of_one_name_keep_their_order() -> None:
    given = [HttpFilter(name=ROUTER), HttpFilter(name=RBAC, disabled=True), HttpFilter(name=RBAC)]
    assert [(found.name, found.disabled) for found in in_order(given)] == [
        (RBAC, True),
        (RBAC, False),
        (ROUTER, False),
    ]


def test_a_filter_that_the_table_does_not_know_is_a_defect() -> None:
    with pytest.raises(ValueError, match="not in"):
        in_order([HttpFilter(name="unknown")])
