"""Which CEL expressions the pinned Envoy takes, as `config/validation/cel.py` says: it refuses a listener for one that it does not."""

import pytest

from mizzen.config.validation.cel import problem_for_envoy
from mizzen.proto.api import HttpConnectionManager, Listener, Router, StatsAccessLog
from mizzen.translate.built import encode, pack
from mizzen.xds.resource import LISTENER, discovery_resource
from tests.support.validate import validate

pytestmark = pytest.mark.envoy

TAKEN = [
    "response.code >= 400",
    "int('3') + 1",
    "uint('3')",
    "double('3')",
    "bool('true')",
    "bytes('x') == b'x'",
    "size('abc')",
    "'abc'.startsWith('a') && 'abc'.endsWith('c') && 'abc'.contains('b') && 'abc'.matches('a.*')",
    "has(request.headers.x)",
    "'x' in request.headers && (request.path in ['/x'])",
    "type(1)",
    "timestamp('2020-01-01T00:00:00Z')",
    "duration('1s')",
    "dyn(1)",
    "request.time.getHours()",
    "request.time.getDayOfWeek() + request.time.getFullYear()",
    "re.extract('abc', 'a(.*)', '\\\\1')",
    "re.capture('abc', 'a(.*)')",
    "request.path == '/x' ? 'y(z)' : 'string('",
    "source.address",
]
REFUSED = [
    "string(destination.port)",
    "'ABC'.lowerAscii()",
    "'a,b'.split(',')",
    "'a'.replace('a', 'b')",
    "[1, 2].exists(x, x == 1)",
    "[1].map(x, x)",
    "nobody(1)",
    "math.least(1, 2)",
    "(1 + 2)%2",
]


def objection(expression: str) -> str:
    """Envoy's, to a label of a metric that is such an expression; "" where it has none."""
    tag = {"name": "label", "value_format": f"%CEL({expression})%"}
    counter = {"stat": {"name": "x", "tags": [tag]}, "value_fixed": {"value": 1}}
    manager = HttpConnectionManager(
        stat_prefix="x",
        access_log=[
            {"name": "stats", "typed_config": pack(StatsAccessLog(stat_prefix="x", counters=[counter]))}
        ],
        route_config={"name": "x"},
        http_filters=[{"name": "router", "typed_config": pack(Router())}],
    )
    listener = Listener(
        name="x",
        address={"socket_address": {"address": "127.0.0.1", "port_value": 1}},
        filter_chains=[{"filters": [{"name": "http", "typed_config": pack(manager)}]}],
    )
    return validate([discovery_resource(LISTENER, "x", encode(listener))])


@pytest.mark.parametrize("expression", TAKEN)
def test_what_envoy_takes_passes(expression: str) -> None:
    assert (problem_for_envoy(expression), objection(expression)) == ("", "")


@pytest.mark.parametrize("expression", REFUSED)
def test_what_envoy_refuses_is_known(expression: str) -> None:
    assert problem_for_envoy(expression)
    assert objection(expression)
