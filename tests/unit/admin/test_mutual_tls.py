"""Who still speaks plaintext, from the counters of both sides."""

from mizzen.admin.mutual_tls import build_mutual_tls
from mizzen.admin.window import CounterWindow

PAGE = "spiffe://cluster.local/ns/shop/sa/page"
CART = "spiffe://cluster.local/ns/shop/sa/cart"


def series(name, reporter, source, policy, principals=True, **labels):
    full = {
        "reporter": reporter,
        "source_workload": source,
        "source_workload_namespace": "shop" if source != "unknown" else "unknown",
        "source_principal": PAGE if principals else "unknown",
        "destination_workload": "cart",
        "destination_workload_namespace": "shop",
        "destination_principal": CART if principals else "unknown",
        "connection_security_policy": policy,
        "response_flags": "-",
    } | labels
    written = ",".join(f'{label}="{value}"' for label, value in full.items())
    return f"{name}{{{written}}}"


def requests(*arguments, **labels):
    return series("istio_requests_total", *arguments, **labels)


def report(counters, modes=None):
    window = CounterWindow(10.0, series_per_target=100)
    window.observe("agent", dict.fromkeys(counters, 0), 100.0)
    window.observe("agent", counters, 101.0)
    return build_mutual_tls(
        window.activity(101.0),
        since=1_000_000,
        modes=modes or {"shop/cart": "PERMISSIVE"},
        to_epoch=lambda seen: seen + 1_000_000,
    )


def of_cart(counters):
    (one,) = report(counters).workloads
    return one


def test_who_has_no_proxy_is_what_nobody_else_says():
    one = of_cart(
        {
            requests("destination", "page", "mutual_tls"): 70,
            requests("destination", "unknown", "none", principals=False): 14,
            requests("source", "page", "unknown"): 70,
            requests("source", "batch", "unknown", principals=False): 9,
        }
    )
    assert (one.mutual_total, one.plaintext_total) == (70, 14)
    assert [(caller.source, caller.total) for caller in one.callers] == [("shop/batch", 9), ("", 5)]
    assert {caller.last_seen for caller in one.callers} == {1_000_101}


def test_connections_count_as_requests_do():
    opened = "istio_tcp_connections_opened_total"
    one = of_cart(
        {
            series(opened, "destination", "page", "mutual_tls"): 3,
            series(opened, "destination", "unknown", "none", principals=False): 2,
        }
    )
    assert (one.mutual_total, one.plaintext_total) == (3, 2)


def test_what_never_arrived_is_no_plaintext():
    """A caller whose connection failed has no principals either."""
    one = of_cart({requests("source", "page", "unknown", principals=False, response_flags="UF"): 9})
    assert (one.plaintext_total, one.callers) == (0, ())


def test_every_workload_is_listed_and_no_other():
    counters = {requests("destination", "page", "mutual_tls"): 1}
    found = report(counters, {"shop/page": "STRICT", "shop/idle": "PERMISSIVE"})
    assert [(one.workload, one.mode, one.mutual_total) for one in found.workloads] == [
        ("shop/idle", "PERMISSIVE", 0),
        ("shop/page", "STRICT", 0),
    ]
