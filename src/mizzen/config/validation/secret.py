"""Secret: only what it holds for TLS. What else people keep in secrets is their business."""

from mizzen.config import credentials
from mizzen.config.resource import Resource
from mizzen.config.types.kubernetes import Secret
from mizzen.config.validation.rules import Findings, invalid, questionable


def validate(resource: Resource[Secret]) -> Findings:
    """A TLS secret that no proxy could use is refused, so that the last good one stays in force. In other secrets the
    members' names may mean something else: there it is a warning.
    """
    refuse = invalid if resource.spec.type == credentials.TLS_TYPE else questionable
    for problem in credentials.problems(resource.spec):
        where = "stringData" if problem.member in resource.spec.string_data else "data"
        yield refuse(
            (where, problem.member), f"not usable for TLS: {problem}", "replace it with PEM that fits"
        )
