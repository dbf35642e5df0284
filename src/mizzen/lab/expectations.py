"""Expectations of lab.yaml: requests, and what must come back. What `mizzen up --check` proves of the user's own mesh."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mizzen.lab.definition import INGRESS, Expectation
from mizzen.lab.protocol import CallRequest, Response

# A true split fails a check once in a million runs.
SPLIT_P_VALUE = 1e-6


def call_of(expectation: Expectation, ingress_url: str, unique: str) -> CallRequest:
    """The requests to send. `unique` is another text in every run."""
    url = expectation.url.replace("{unique}", unique)
    if expectation.source == INGRESS:
        url = f"{ingress_url}{url}"
    return CallRequest(
        source=expectation.source, url=url, headers=expectation.headers, count=expectation.count
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    holds: bool
    evidence: str


def judge(expectation: Expectation, responses: Sequence[Response]) -> Verdict:
    """Whether the responses are as expected, with what was seen."""
    for response in responses:
        wrong = _objection(expectation, response)
        if wrong:
            return Verdict(holds=False, evidence=wrong)
    if expectation.shares:
        return _judge_shares(expectation, responses)
    return Verdict(holds=True, evidence=_summary(expectation, responses))


def _objection(expectation: Expectation, response: Response) -> str:
    """What is wrong with one response; "" where nothing is."""
    expected = expectation.status
    if expected is None and (response.status == 0 or response.status >= 500):
        return f"got {_words(response)}"
    if expected is not None and response.status != expected:
        return f"expected status {expected}, got {_words(response)}"
    if expectation.body_contains and expectation.body_contains.encode() not in response.body:
        return f"the body lacks {expectation.body_contains!r}: {response.body[:120]!r}"
    headers = {name.lower(): value for name, value in response.headers}
    for name, text in expectation.header_contains.items():
        if text not in headers.get(name.lower(), ""):
            return f"the header {name} lacks {text!r}: {headers.get(name.lower(), 'absent')}"
    if response.seconds < expectation.at_least_seconds:
        return (
            f"answered after {response.seconds:.2f} s, expected {expectation.at_least_seconds:g} s at least"
        )
    if expectation.at_most_seconds and response.seconds > expectation.at_most_seconds:
        return f"answered after {response.seconds:.2f} s, expected {expectation.at_most_seconds:g} s at most"
    return ""


def _words(response: Response) -> str:
    return f"status {response.status}" if response.status else response.error or "no answer"


def _summary(expectation: Expectation, responses: Sequence[Response]) -> str:
    statuses = Counter(_words(response) for response in responses)
    seen = ", ".join(f"{count} x {words}" if count > 1 else words for words, count in statuses.items())
    if expectation.at_least_seconds or expectation.at_most_seconds:
        seen += f" after {max(response.seconds for response in responses):.2f} s"
    if expectation.body_contains:
        seen += f", {expectation.body_contains}"
    return seen


def _judge_shares(expectation: Expectation, responses: Sequence[Response]) -> Verdict:
    counts = Counter(_value(response, expectation.share_of) for response in responses)
    total = len(responses)
    seen = ", ".join(
        f"{value} {count} ({100 * count / total:.0f}%)" for value, count in sorted(counts.items())
    )
    unexpected = set(counts) - {value for value, share in expectation.shares.items() if share > 0}
    if unexpected:
        return Verdict(
            holds=False, evidence=f"of {total}: {seen}; {', '.join(sorted(unexpected))} was not expected"
        )
    p_value = split_p_value(counts, expectation.shares, total)
    return Verdict(holds=p_value >= SPLIT_P_VALUE, evidence=f"of {total}: {seen} (p = {p_value:.2g})")


def _value(response: Response, field: str) -> str:
    try:
        return str(json.loads(response.body)[field])
    except (ValueError, KeyError, TypeError):
        return "(none)"


def split_p_value(counts: Mapping[str, int], shares: Mapping[str, float], total: int) -> float:
    """How likely counts at least this far off are under the shares (percent): the smallest of the two-sided binomial
    tails of the values, corrected for their number (Bonferroni).
    """
    present = {value: share / 100 for value, share in shares.items() if share > 0}
    tails = [2 * _binomial_tail(counts.get(value, 0), total, share) for value, share in present.items()]
    return min(1.0, min(tails) * len(tails))


def _binomial_tail(seen: int, total: int, share: float) -> float:
    """P(X <= seen) or P(X >= seen), whichever side `seen` is on."""
    if share >= 1:
        return 1.0 if seen == total else 0.0
    side = range(seen + 1) if seen <= total * share else range(seen, total + 1)
    return math.fsum(math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in side)
