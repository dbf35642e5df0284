"""Two expositions in one, valid whatever the application answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mizzen.agent.exposition import WrongExpositionError, checked, merge
from tests.support.exposition import read_strictly, value_of

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4"
PROXY = b"""# TYPE envoy_server_live gauge
envoy_server_live{} 1
# TYPE istio_requests_total counter
istio_requests_total{response_code="200"} 7
# TYPE envoy_rq_time histogram
envoy_rq_time_bucket{le="0.5"} 1
envoy_rq_time_bucket{le="+Inf"} 2
envoy_rq_time_sum{} 3.5
envoy_rq_time_count{} 2
"""
APPLICATION = b"""# HELP shop_orders_total Orders, "all" of them.
# TYPE shop_orders_total counter
shop_orders_total{kind="a\\"b\\\\",place="x}y"} 3 1700000000000
shop_orders_total 1e+06

# a comment 1e999
shop_most 1.7976931348623157e+308
shop_long{a="\\n 1e999",b=""} 1e-400
shop_heat{a="1",} -Inf
shop_cold\t NaN
shop_list{ } .5
# HELP shop_map Looks like {a=,a=}
shop_map{a="{b=\\"1\\",b=",b="a=a,"} +Inf
#TYPE shop_map is a comment
"""


def test_a_valid_answer_stays_as_it_is():
    assert checked(APPLICATION, TEXT) == APPLICATION
    assert checked(b"", TEXT) == b""
    assert checked(b"a 1\n \t\n", TEXT) == b"a 1\n \t\n"


def test_a_last_line_without_end_gets_one():
    assert checked(b"a 1\nb 2", "") == b"a 1\nb 2\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>no metrics</html>", "line 1 is not of Prometheus' text form: '<html>no metrics</html>'"),
        (b"a 1\nb\nc 2\n", "line 2 is not of .*: 'b'"),
        (b"a 1\r\n", "line 1 "),
        (b"a one\n", "line 1 "),
        (b"a 1e999\n", "1e999 is too large"),
        (b"a 1 1.5\n", "line 1 "),
        (b"a 1 12345678901234567890\n", "line 1 "),
        (b'a{b="1} 1\n', "line 1 "),
        (b"a{b=1} 1\n", "line 1 "),
        (b'a{1b="1"} 1\n', "line 1 "),
        (b'{"a.b"} 1\n', "line 1 "),
        (b"# TYPE a number\na 1\n", "line 1 "),
        (b"# TYPE a\n", "line 1 "),
        (b'a{b="\xff"} 1\n', "it is not UTF-8"),
        (b'a{b="1",c="2",b="3"} 1\n', "a sample has a label twice: b=,c=,b="),
        (b'a{__name__="b"} 1\n', "a sample has a label twice: __name__="),
        (b'a{b="c"}\t-11e308\n', "-11e308 is too large"),
        (b"a " + b"9" * 310 + b"\n", "line 1 "),
        (b"a 1 -5\n", "line 1 "),
        (b"a +NaN\n", "line 1 "),
        (b'a{b="\0"} 1\n', "line 1 "),
        (b"# TYPE a  counter\n", "line 1 "),
        (b"# TYPE a counter \n", "line 1 "),
        (b'a 1 # {trace_id="x"} 1\n', "line 1 "),
        (b'\n\na_bucket{le="1"', "line 3 "),
    ],
)
def test_what_a_parser_would_refuse_is_refused(answer, words):
    with pytest.raises(WrongExpositionError, match=words):
        checked(answer, TEXT)


@given(st.text(alphabet='ab01{}=",\\ \n#.:-eE+_', max_size=60))
def test_whatever_passes_is_read_by_a_parser(text):
    try:
        passed = checked(text.encode(), TEXT).decode()
    except WrongExpositionError:
        return
    read = sum(len(family.samples) for family in text_string_to_metric_families(passed))
    assert read == sum(1 for line in passed.split("\n") if line.strip(" ") and line[0] != "#")


def test_openmetrics_becomes_the_text_form():
    answer = b"""# TYPE shop_orders counter
# UNIT shop_orders orders
# HELP shop_orders Orders.
shop_orders_total{kind="#1"} 3.0 1700000000.123 # {trace_id="a}b"} 1.0 1700000000.5
shop_orders_created{kind="#1"} 1700000000.0
# TYPE shop_wait histogram
shop_wait_bucket{le="1.0"} 1 # {trace_id="a"} 0.5
shop_wait_bucket{le="+Inf"} 2
shop_wait_sum 3
shop_wait_count 2
# TYPE shop_build info
shop_build_info{version="2"} 1
# TYPE shop_state stateset
shop_state{shop_state="on"} 1
# TYPE shop_size gaugehistogram
shop_size_bucket{le="+Inf"} 4
# TYPE shop_thing unknown
shop_thing 5
# EOF
"""
    text = checked(answer, OPENMETRICS).decode()
    assert "# EOF" not in text
    families = read_strictly(text)
    orders = families["shop_orders_total"]
    assert (orders.type, orders.documentation) == ("counter", "Orders.")
    assert value_of(families, "shop_orders_total", kind="#1") == 3
    assert 'shop_orders_total{kind="#1"} 3.0 1700000000123\n' in text
    assert families["shop_wait"].type == "histogram"
    assert value_of(families, "shop_wait_bucket", le="1.0") == 1
    assert families["shop_build_info"].type == families["shop_state"].type == "gauge"
    assert value_of(families, "shop_size_bucket", le="+Inf") == 4
    assert value_of(families, "shop_thing") == 5


@pytest.mark.parametrize("line", [b"a one", b"a 1 1e999", b"a 1 -1", b"a 1 soon", b"a 1 1.5 2"])
def test_openmetrics_that_is_wrong_is_refused(line):
    with pytest.raises(WrongExpositionError, match="line 2 "):
        checked(b"# TYPE a gauge\n" + line + b"\n# EOF\n", OPENMETRICS)


def test_nothing_in_common_is_put_together_as_it_is():
    merged = merge(PROXY, APPLICATION, (b"mizzen_agent_",))
    assert merged.text == PROXY + APPLICATION
    assert merged.left_out == frozenset()


def test_what_the_proxy_has_is_not_there_a_second_time():
    application = b"""# HELP istio_requests_total Mine.
# TYPE istio_requests_total counter
istio_requests_total{response_code="200"} 1
istio_requests_totally 2
# TYPE envoy_rq_time gauge
envoy_rq_time 5
# TYPE mizzen_agent_ready gauge
mizzen_agent_ready 0
"""
    merged = merge(PROXY, application, (b"mizzen_agent_",))
    assert merged.left_out == {b"istio_requests_total", b"envoy_rq_time", b"mizzen_agent_ready"}
    families = read_strictly(merged.text.decode())
    assert value_of(families, "istio_requests_total") == 7
    assert value_of(families, "istio_requests_totally") == 2
    assert families["envoy_rq_time"].type == "histogram"
    assert "mizzen_agent_ready" not in families


@pytest.mark.parametrize(
    "application",
    [
        b'# TYPE envoy_server_live histogram\nenvoy_server_live_bucket{le="+Inf"} 1\nenvoy_server_live_sum 1\nenvoy_server_live_count 1\n',
        b"# TYPE envoy_rq_time_count counter\nenvoy_rq_time_count 1\n",
        b"# TYPE envoy_rq summary\nenvoy_rq_sum 1\nenvoy_rq_count 2\nenvoy_rq_time_sum 1\n# TYPE envoy_rq_time_sum gauge\n",
    ],
)
def test_a_family_goes_as_a_whole(application):
    merged = merge(PROXY, application, ())
    families = read_strictly(merged.text.decode())
    assert families["envoy_server_live"].type == "gauge"
    assert value_of(families, "envoy_rq_time_count") == 2
    assert "envoy_server_live_bucket" not in merged.text.decode()


# Few names, so that families are each other's samples: a_sum is one of a summary `a`.
STEMS = st.sampled_from(["a", "b", "a_sum", "a_count", "a_bucket", "a_sum_count", "ab", "mine_a"])
SAMPLES = {
    "counter": ("",),
    "gauge": ("",),
    "untyped": ("",),
    "summary": ("_sum", "_count"),
    "histogram": ('_bucket{le="+Inf"}', "_sum", "_count"),
}


@st.composite
def expositions(draw):
    """Families of which none is another's sample: what a process that is alone would answer."""
    text, used = "", set()
    for name, kind in draw(st.dictionaries(STEMS, st.sampled_from(sorted(SAMPLES)))).items():
        samples = [name + suffix for suffix in SAMPLES[kind]]
        names = {name, *(sample.partition("{")[0] for sample in samples)}
        if used.isdisjoint(names):
            used |= names
            text += f"# HELP {name} Help.\n# TYPE {name} {kind}\n" + "".join(f"{one} 1\n" for one in samples)
    return text.encode()


@given(expositions(), expositions())
def test_any_two_together_are_strictly_valid_and_the_proxys_is_whole(proxy, application):
    merged = merge(proxy, application, (b"mine_",))
    families = read_strictly(merged.text.decode())
    assert merged.text.startswith(proxy)
    assert families.keys() >= read_strictly(proxy.decode()).keys()
    foreign = read_strictly(merged.text[len(proxy) :].decode())
    assert not [name for name in foreign if name.startswith("mine_")]
    assert foreign.keys().isdisjoint(name.decode() for name in merged.left_out)
