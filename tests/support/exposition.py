"""Reads Prometheus' text form strictly: what any parser might refuse fails here."""

import re

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


def read_strictly(text: str) -> dict[str, Metric]:
    """The families by their names. Fails where a line cannot be read, a family comes twice or in pieces, or a series twice."""
    assert text == "" or text.endswith("\n"), "the last line has an end"
    types = [tuple(line.split()[2:]) for line in text.splitlines() if line.startswith("# TYPE ")]
    kinds = dict(types)
    assert len(types) == len(kinds), "every type is said once"
    families: dict[str, Metric] = {}
    # The parser takes _total from the names of counters, which makes two families of Envoy one: let it see none.
    for family in text_string_to_metric_families(re.sub(r"(?m)^(# TYPE \S+) counter$", r"\1 gauge", text)):
        # It ends a family where a line of another one comes.
        assert family.name not in families, f"{family.name} comes twice"
        families[family.name] = family
        family.type = kinds.get(family.name, family.type)
    series = [
        (sample.name, *sorted(sample.labels.items()))
        for family in families.values()
        for sample in family.samples
    ]
    assert len(series) == len(set(series)), "every series comes once"
    return families


def value_of(families: dict[str, Metric], name: str, **labels: str) -> float:
    """Of the one series of that name with these labels among its own."""
    found = [
        sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) == 1, f"{len(found)} series {name} {labels}"
    return found[0]
