"""What controllers report of an object in its `status`, as far as analysis reads it. Never wrong: what does not conform is left out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]  # as in config.resource, which needs this module
_MOST = 64  # of conditions, parents and addresses: no controller writes more, and a hostile text may hold anything


@dataclass(frozen=True, slots=True)
class Condition:
    """One of the conditions. `path` leads to it from the top of the object."""

    type: str
    status: str  # True, False or Unknown
    reason: str
    message: str
    path: Path


@dataclass(frozen=True, slots=True)
class Status:
    """Apart from the object's spec, so that a status re-runs nothing that reads the spec."""

    conditions: tuple[Condition, ...] = ()
    addresses: tuple[str, ...] = ()  # of a ServiceEntry: what a controller allocated


def read_status(value: Any) -> Status | None:
    """The status of an object; None where it says nothing that matters here."""
    if not isinstance(value, dict):
        return None
    conditions = (
        *_conditions(value.get("conditions"), ("status", "conditions")),
        *(
            condition
            for index, parent in enumerate(_list(value.get("parents")))
            for condition in _conditions(
                parent.get("conditions") if isinstance(parent, dict) else None,
                ("status", "parents", index, "conditions"),
            )
        ),
    )
    addresses = tuple(
        _text(each, "value") for each in _list(value.get("addresses")) if isinstance(each, dict)
    )
    return Status(conditions, addresses) if conditions or addresses else None


def _conditions(value: Any, path: Path) -> Iterator[Condition]:
    for index, each in enumerate(_list(value)):
        if isinstance(each, dict):
            kind, status, reason, message = (
                _text(each, name) for name in ("type", "status", "reason", "message")
            )
            yield Condition(kind, status, reason, message, (*path, index))


def _list(value: Any) -> list[Any]:
    return value[:_MOST] if isinstance(value, list) else []


def _text(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""
