"""Counters become edges, splits and denials."""

import pytest

from mizzen.admin.traffic import build_report
from mizzen.admin.window import CounterWindow

PAGE = "spiffe://cluster.local/ns/bookinfo/sa/productpage"
REVIEWS = "spiffe://cluster.local/ns/bookinfo/sa/reviews"


def requests(version="v1", **labels):
    full = {
        "reporter": "source",
        "source_workload": "productpage-0",
        "source_workload_namespace": "bookinfo",
        "source_principal": PAGE,
        "destination_workload": f"reviews-{version}-0",
        "destination_workload_namespace": "bookinfo",
        "destination_version": version,
        "destination_service": "reviews.bookinfo.svc.cluster.local",
        "destination_principal": REVIEWS,
        "request_protocol": "http",
        "response_code": "200",
        "response_flags": "-",
    } | labels
    written = ",".join(f'{name}="{value}"' for name, value in full.items())
    return f"istio_requests_total{{{written}}}"


def denied(details, principal=PAGE):
    return (
        f'mizzen_denied_requests_total{{reporter="destination",source_principal="{principal}",'
        'destination_workload="reviews-v1-0",destination_workload_namespace="bookinfo",'
        f'response_code_details="{details}"}}'
    )


def report(growth, before=None):
    """The report after one second in which the counters grew by `growth`."""
    window = CounterWindow(10.0, series_per_target=100)
    start = dict.fromkeys(growth, 0) | (before or {})
    window.observe("agent", start, 100.0)
    window.observe("agent", {series: start[series] + growth.get(series, 0) for series in start}, 101.0)
    return build_report(
        window.activity(101.0),
        window_seconds=10.0,
        allow_policies=lambda workload: [f"{workload.split('/')[0]}/reviews-viewer"],
        to_epoch=lambda seen: seen + 1_000_000,
    )


def edge(growth, before=None):
    (one,) = report(growth, before).edges
    return one


def test_an_edge_adds_up_its_series():
    one = edge({requests(): 80, requests(response_code="503"): 15, requests(response_code="403"): 5})
    assert (one.source, one.destination) == ("bookinfo/productpage-0", "bookinfo/reviews-v1-0")
    assert (one.service, one.protocol) == ("reviews.bookinfo.svc.cluster.local", "http")
    assert (one.requests_per_second, one.errors_per_second, one.denied_per_second) == (100, 15, 5)
    assert one.requests_total == 100
    assert (one.mutual_tls, one.source_principal, one.destination_principal) == (True, PAGE, REVIEWS)


def test_a_request_that_got_no_answer_is_an_error():
    assert edge({requests(response_code="0", response_flags="DC"): 4}).errors_per_second == 4


def test_one_plaintext_request_among_encrypted_ones_shows():
    plain = requests(source_principal="", destination_principal="unknown")
    assert not edge({requests(): 99, plain: 1}).mutual_tls
    assert edge({requests(): 99}, before={plain: 7}).mutual_tls, "plaintext of the past says nothing of today"


def test_a_failed_connection_says_nothing_about_tls():
    failed = requests(
        source_principal="", destination_principal="", response_code="503", response_flags="UF,URX"
    )
    assert edge({requests(): 5, failed: 5}).mutual_tls
    assert not edge({failed: 5}).mutual_tls


def test_a_quiet_edge_shows_how_it_last_talked():
    one = edge({}, before={requests(): 12})
    assert (one.requests_per_second, one.requests_total, one.mutual_tls) == (0, 12, True)


def test_where_no_workload_answered_the_edge_ends_at_the_service():
    fault = requests(
        destination_workload="unknown",
        destination_version="unknown",
        destination_principal="",
        response_code="555",
    )
    assert edge({fault: 2}).destination == "reviews.bookinfo.svc.cluster.local"


def test_the_servers_own_count_is_not_counted_twice():
    assert report({requests(reporter="destination"): 10}).edges == ()


def test_a_split_counts_requests_by_version():
    counted = {
        requests("v1"): 80,
        requests("v2"): 10,
        requests("v3"): 7,
        requests("v3", response_code="500"): 3,
    }
    (split,) = report(counted).splits
    assert split.service == "reviews.bookinfo.svc.cluster.local"
    assert split.requests_by_version == {"v1": 80, "v2": 10, "v3": 10}


def test_one_version_is_no_split():
    assert report({requests("v1"): 80}).splits == ()


def test_a_version_that_is_not_called_any_more_stays_in_the_split_with_nothing():
    (split,) = report({requests("v1"): 80}, before={requests("v2"): 5}).splits
    assert split.requests_by_version == {"v1": 80, "v2": 0}


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ("ns[bookinfo]-policy[deny-x]-rule[0]", "DENY policy bookinfo/deny-x"),
        ("none", "no ALLOW policy matched (bookinfo/reviews-viewer)"),
        ("something-else", "DENY policy something-else"),
    ],
)
def test_a_denial_names_its_policy(details, words):
    (denial,) = report({denied(f"rbac_access_denied_matched_policy[{details}]"): 3}).denials
    assert denial.policy == words
    assert (denial.source_principal, denial.destination) == (PAGE, "bookinfo/reviews-v1-0")
    assert (denial.requests_total, denial.last_seen) == (3, 1_000_101.0)


def test_a_denied_caller_may_have_no_identity():
    (denial,) = report({denied("rbac_access_denied_matched_policy[none]", principal=""): 1}).denials
    assert denial.source_principal == ""


def test_an_applications_own_403_is_no_denial():
    assert report({denied("via_upstream"): 5, denied("unknown"): 5}).denials == ()


def test_a_denial_before_the_watch_has_no_time():
    (denial,) = report({}, before={denied("rbac_access_denied_matched_policy[none]"): 9}).denials
    assert (denial.requests_total, denial.last_seen) == (9, 0.0)


def test_the_mesh_as_a_whole():
    whole = report({requests("v1"): 8, requests("v2"): 2})
    assert (whole.requests_per_second, whole.window_seconds) == (10, 10.0)
    assert [one.destination for one in whole.edges] == ["bookinfo/reviews-v1-0", "bookinfo/reviews-v2-0"]


def measured(name, version="v1"):
    return requests(version).replace("istio_requests_total", f"istio_request_duration_milliseconds_{name}")


def test_latency_is_the_mean_over_the_window():
    one = edge({requests(): 10, measured("count"): 8, measured("sum"): 100})
    assert (one.mean_milliseconds, one.requests_total) == (12.5, 10)
    assert edge({requests(): 10}).mean_milliseconds is None


def test_connections_are_an_edge_but_no_requests():
    opened = (
        requests(request_protocol="tcp")
        .replace("istio_requests_total", "istio_tcp_connections_opened_total")
        .replace('response_code="200",', "")
    )
    found = report({opened: 4})
    (one,) = found.edges
    assert (one.protocol, one.requests_per_second, one.errors_per_second) == ("tcp", 4.0, 0.0)
    assert found.requests_per_second == 0
    assert found.splits == ()
