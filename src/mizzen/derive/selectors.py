"""Label selectors in Kubernetes' long form."""

from collections.abc import Mapping
from typing import Protocol

from mizzen.derive.workloads import covers


class Requirement(Protocol):
    """One of Kubernetes' matchExpressions."""

    @property
    def key(self) -> str: ...
    @property
    def operator(self) -> str: ...
    @property
    def values(self) -> tuple[str, ...]: ...


class LongSelector(Protocol):
    """meta/v1 LabelSelector."""

    @property
    def match_labels(self) -> Mapping[str, str]: ...
    @property
    def match_expressions(self) -> tuple[Requirement, ...]: ...


def selects(selector: LongSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether Kubernetes' selector covers the labels. None and an empty one cover everything."""
    if selector is None:
        return True
    return covers(selector.match_labels, labels) and all(
        _holds(requirement, labels) for requirement in selector.match_expressions
    )


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    if requirement.operator == "In":
        return value in requirement.values
    if requirement.operator == "NotIn":
        return value not in requirement.values
    return (value is not None) == (requirement.operator == "Exists")
