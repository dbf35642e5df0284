"""A budget of series: sums stay what they are, and a series that is in stays in."""

import re
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mizzen.agent.cardinality import Budget

OWN = 'reporter="destination",destination_app="web"'


def exposition(series: dict[str, int]) -> bytes:
    """One counter and one histogram, by path."""
    lines = ["# TYPE envoy_server_live gauge", "envoy_server_live{} 1", "# TYPE istio_requests_total counter"]
    lines += [f'istio_requests_total{{{OWN},path="{path}"}} {value}' for path, value in series.items()]
    lines.append("# TYPE istio_request_bytes histogram")
    for path, value in series.items():
        labels = f'{OWN},path="{path}"'
        lines.append(f'istio_request_bytes_bucket{{{labels},le="1"}} {value}')
        lines.append(f'istio_request_bytes_bucket{{{labels},le="+Inf"}} {2 * value}')
        lines.append(f"istio_request_bytes_sum{{{labels}}} {value}.5")
        lines.append(f"istio_request_bytes_count{{{labels}}} {2 * value}")
    return "\n".join(lines).encode() + b"\n"


def read(text: bytes) -> dict[str, Counter[str]]:
    """Of each name (with its bound), the values by path."""
    found: dict[str, Counter[str]] = {}
    for line in text.decode().splitlines():
        if match := re.fullmatch(r'(\w+)\{.*path="(\w+)"(?:,(le="[^"]+"))?\} (\S+)', line):
            values = found.setdefault(f"{match[1]} {match[3] or ''}", Counter())
            assert match[2] not in values, "no series twice"
            values[match[2]] = float(match[4])
    return found


def test_within_the_budget_nothing_changes():
    text = exposition({"a": 1, "b": 2})
    assert Budget(100).applied(text) == text


def test_the_rest_is_one_series():
    budget = Budget(2)
    found = read(budget.applied(exposition({"a": 1, "b": 2, "c": 3, "d": 4})))
    assert found["istio_requests_total "] == {"a": 1, "b": 2, "other": 7}
    assert found['istio_request_bytes_bucket le="+Inf"'] == {"a": 2, "b": 4, "other": 14}
    assert found["istio_request_bytes_sum "] == {"a": 1.5, "b": 2.5, "other": 8}
    assert budget.folded == {"istio_requests_total": 2, "istio_request_bytes": 2}


def test_what_the_proxy_says_of_itself_is_kept():
    text = Budget(1).applied(exposition({"a": 1, "b": 2}))
    assert f'istio_requests_total{{{OWN},path="other"}} 2\n'.encode() in text


@given(
    st.lists(st.dictionaries(st.sampled_from("abcdefghij"), st.integers(1, 99), max_size=10), max_size=6),
    st.integers(1, 6),
)
def test_sums_stay_and_who_is_in_stays_in(scrapes, most):
    budget = Budget(most)
    inside: set[str] = set()
    for series in scrapes:
        for name, values in read(budget.applied(exposition(series))).items():
            factor = {"le": 1}.get(name, 2 if "Inf" in name or "count" in name else 1)
            halves = 0.5 * len(series) if "_sum" in name else 0
            assert sum(values.values()) == factor * sum(series.values()) + halves
            own = values.keys() - {"other"}
            assert len(own) <= most
            if name == "istio_requests_total ":
                assert inside & series.keys() <= own
                inside = own if len(series) > most // 2 else set()
        if not series:
            inside = set()
