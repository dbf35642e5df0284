"""What the proxies of a lab have counted, as Prometheus' own parser reads it from the agents."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from tests.support.lab import Lab

Sample = tuple[str, dict[str, str], float]


def scrape(lab: Lab, workload: str) -> str:
    """The metrics of a workload's agent; of its first replica."""
    status, _, body = lab.request(workload, f"http://{lab.address(workload)}:15020/stats/prometheus")
    assert status == 200, body
    return body.decode()


def samples(lab: Lab, *workloads: str) -> Iterator[Sample]:
    for workload in workloads:
        for family in text_string_to_metric_families(scrape(lab, workload)):
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value


def counted(
    lab: Lab, name: str, workload: str, by: tuple[str, ...], **having: str
) -> Counter[tuple[str, ...]]:
    """The values of a metric, added up by some of its labels, of the series that have these labels."""
    found: Counter[tuple[str, ...]] = Counter()
    for metric, labels, value in samples(lab, workload):
        if metric == name and having.items() <= labels.items():
            found[tuple(labels.get(label, "") for label in by)] += round(value)
    return found
