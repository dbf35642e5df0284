"""What is read of an object's status."""

import pytest

from mizzen.config.status import Condition, Status, read_status


def test_conditions_of_the_object_and_of_its_parents():
    status = read_status(
        {
            "conditions": [{"type": "A", "status": "False", "reason": "R", "message": "m"}],
            "parents": [{}, {"conditions": [{"type": "B", "status": "True"}]}],
            "addresses": [{"value": "10.0.0.1"}],
        }
    )
    assert status == Status(
        (
            Condition("A", "False", "R", "m", ("status", "conditions", 0)),
            Condition("B", "True", "", "", ("status", "parents", 1, "conditions", 0)),
        ),
        ("10.0.0.1",),
    )


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        "x",
        [],
        {},
        {"conditions": 1},
        {"conditions": [1, None]},
        {"parents": [1]},
        {"addresses": ["x"]},
    ],
)
def test_what_does_not_conform_says_nothing(value):
    assert read_status(value) is None
