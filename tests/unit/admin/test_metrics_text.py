"""Counters are picked out of an exposition by name, whatever else stands in it."""

from mizzen.admin.metrics_text import parse_series, read_counters

NAMES = ("istio_requests_total",)


def read(text, at_most=100):
    return read_counters(text, NAMES, at_most=at_most)


def test_only_the_counters_asked_for_are_read():
    text = (
        "# TYPE istio_requests_total counter\n"
        'istio_requests_total{reporter="source"} 7\n'
        'istio_requests_total_created{reporter="source"} 8\n'
        'my_istio_requests_total{reporter="source"} 9\n'
        'istio_request_bytes_sum{reporter="source"} 10\n'
    )
    assert read(text) == {'istio_requests_total{reporter="source"}': 7.0}


def test_a_label_may_hold_what_looks_like_syntax():
    text = 'istio_requests_total{a="} 5",b="x=\\"y\\",\\n\\\\",c=""} 3\n'
    (series,) = read(text)
    assert parse_series(series).labels == {"a": "} 5", "b": 'x="y",\n\\', "c": ""}
    assert read(text)[series] == 3.0


def test_what_is_no_count_is_left_out():
    lines = [
        '{a="1"} NaN',
        '{a="2"} +Inf',
        '{a="3"} -4',
        '{a="4"} x',
        '{a="5',
        '{a="6"} 1e3 1700000000',
        '{a="7"}',
    ]
    text = "".join(f"istio_requests_total{line}\n" for line in lines)
    assert read(text) == {'istio_requests_total{a="6"}': 1000.0}


def test_a_flood_of_series_is_cut_off():
    text = "".join(f'istio_requests_total{{a="{number}"}} 1\n' for number in range(50))
    assert len(read(text, at_most=10)) == 10


def test_an_empty_scrape_and_a_hostile_one_give_nothing():
    assert read("") == {}
    assert read('istio_requests_total{"' + "a" * 100_000) == {}
    assert read("istio_requests_total{" * 2_000) == {}
    assert read('istio_requests_total{x="a\n' * 20_000) == {}


def test_labels_that_say_nothing_are_empty():
    series = parse_series('x{a="unknown",b="-",c="",d="v1"}')
    assert [series.label(name) for name in "abcde"] == ["", "", "", "v1", ""]
