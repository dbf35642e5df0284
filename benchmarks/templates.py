"""Istio's own benchmark (the corpus xds-bench): what a proxy's configuration costs from nothing, and after one change.

Everything runs in this process, offline: YAML is decoded, the queries are run, the resources are held as the daemon holds
them. From nothing is compared with reading the same YAML, the change with from nothing, so that the ratios mean something
on any machine. Istio has no figures to compare with: its benchmark prints what its own run took.

Run: python benchmarks/templates.py [SCENARIO...]
"""

import base64
import gc
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the scenarios are a package beside this file

from benchmarks.load.scenarios import CORPUS, Scenario, scenarios
from mizzen.config.decode import decode
from mizzen.config.resource import Located
from mizzen.daemon.views import Views
from mizzen.derive.inputs import RESOURCES
from mizzen.incremental import Database

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "conformance"
ROUNDS = 3
LONG_SECONDS = 5
"""Of what takes so long there is one round."""

Replacement = str | Callable[[re.Match[str]], str]


def doubled(found: re.Match[str]) -> str:
    """A certificate twice is a chain."""
    return f"tls.crt: {base64.b64encode(base64.b64decode(found[1]) * 2).decode()}"


CHANGES: Mapping[str, tuple[str, Replacement]] = {
    "main/gateways": ("/route-0", "/route-zero"),
    "main/strict": ("mode: STRICT", "mode: PERMISSIVE"),
    "main/disabled": ("mode: DISABLE", "mode: PERMISSIVE"),
    "main/externalname": (
        r"random-0\.example\.com",
        "example.com",
    ),  # what another host is called is only asked of hosts that are there
    "main/telemetry-api": (r"random-0\.host", "other.host"),
    "main/authorizationpolicy": ("POST", "PUT"),
    "secrets/secrets-1000": (r"tls\.crt: (\S+)", doubled),
    "nds/tcp": (r"240\.240\.0\.0", "240.240.9.9"),  # names lead to the addresses of services
    "main/tls": (r"240\.240\.0\.0", "240.240.9.9"),
    "main/auto": (r"240\.240\.0\.0", "240.240.9.9"),
    "eds/1x100": (r"111\.0\.0\.0", "111.9.9.9"),
    "eds/10x10": (r"111\.0\.0\.0", "111.9.9.9"),
}
"""Scenario -> what is replaced, once, in the YAML: one object is another one then."""


@dataclass(frozen=True, slots=True)
class Cost:
    queries: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    objects: int
    resources: int
    bytes: int
    read_seconds: float
    cold: Cost
    changed: Cost


def timed(work: Callable[[], object]) -> float:
    gc.collect()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class Mesh:
    """A scenario's objects in a database, and its proxy's view."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.db = Database()
        self._views = Views(self.db)

    def put(self, objects: Iterable[Located]) -> None:
        with self.db.batch():
            for each in objects:
                self.db.set(RESOURCES, each.resource.key, each.resource)

    def connect(self) -> None:
        self._views.acquire(self._scenario.view(self.db))

    def refresh(self) -> None:
        self._views.take_in(self.db.refresh())

    def held(self) -> list[bytes]:
        """Of the types that the scenario asks for."""
        failures = list(self._views.failures())
        assert not failures, failures
        (view,) = self._views
        urls = self._scenario.type_urls
        return [found.body for url in urls for found in view.resources(url).values()]


def read(text: str) -> tuple[Located, ...]:
    found = decode(text, "scenario")
    errors = [each for each in found.diagnostics if each.severity.value == "error"]
    assert not errors, errors
    return found.located


def measure(scenario: Scenario) -> Figures:
    text = scenario.text(scenario.services, scenario.instances)
    objects: list[Located] = []
    read_seconds = timed(lambda: objects.extend(read(text)))
    changes = read(changed_document(text, *CHANGES[scenario.id]))
    rounds: list[tuple[Cost, Cost, list[bytes]]] = []
    began = time.perf_counter()
    while not rounds or (len(rounds) < ROUNDS and time.perf_counter() - began < LONG_SECONDS):
        rounds.append(one_round(scenario, objects, changes))
    cold, changed, held = rounds[0]
    return Figures(
        len(objects),
        len(held),
        sum(map(len, held)),
        read_seconds,
        Cost(cold.queries, statistics.median(cold.seconds for cold, _, _ in rounds)),
        Cost(changed.queries, statistics.median(changed.seconds for _, changed, _ in rounds)),
    )


def changed_document(text: str, pattern: str, replacement: Replacement) -> str:
    """The one document in which something is replaced."""
    documents = text.split("\n---")
    for document in documents:
        changed = re.sub(pattern, replacement, document, count=1)
        if changed != document:
            return changed
    raise LookupError(f"{pattern} is nowhere")


def one_round(
    scenario: Scenario, objects: Sequence[Located], changes: Sequence[Located]
) -> tuple[Cost, Cost, list[bytes]]:
    """From nothing, after the change, and what was held before it."""
    mesh = Mesh(scenario)
    mesh.put(objects)
    with mesh.db.recording() as log:
        seconds = timed(mesh.connect)
    cold, held = Cost(len(log.ran), seconds), mesh.held()
    mesh.put(changes)
    with mesh.db.recording() as log:
        seconds = timed(mesh.refresh)
    assert sorted(mesh.held()) != sorted(held), f"{scenario.id}: the change changes nothing"
    return cold, Cost(len(log.ran), seconds), held


HEADINGS = (
    "scenario",
    "objects",
    "resources",
    "bytes",
    "queries",
    "re-run",
    "from nothing / reading the YAML",
    "one change / from nothing",
)


def row(name: str, found: Figures) -> Sequence[str]:
    cold, changed = found.cold, found.changed
    return (
        name,
        f"{found.objects:,}",
        f"{found.resources:,}",
        f"{found.bytes:,}",
        f"{cold.queries:,}",
        f"{changed.queries:,}",
        f"{cold.seconds / found.read_seconds:.2f} ({cold.seconds:.4f} s, {found.read_seconds:.4f} s)",
        f"{changed.seconds / cold.seconds:7.2%} ({changed.seconds:.4f} s)",
    )


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Names to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        for cells in rows
    )


def main(wanted: Sequence[str]) -> None:
    corpus = Path(os.environ.get("MIZZEN_CONFORMANCE") or BESIDE) / CORPUS
    if not corpus.is_dir():
        print(
            f"could not run here: {corpus} is missing (set MIZZEN_CONFORMANCE to the folder of the corpora)"
        )
        return
    every = scenarios(corpus)
    if unknown := set(wanted) - {each.id for each in every}:
        sys.exit(
            f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(each.id for each in every)}"
        )
    found = [each for each in every if not wanted or each.id in wanted]
    able = [each for each in found if not each.obstacle]
    print(
        f"one proxy, medians of {ROUNDS} where that is quick; queries are counted from nothing, and after one object changed"
    )
    print(aligned([HEADINGS, *(row(each.id, measure(each)) for each in able)]))
    for each in found:
        if each.obstacle:
            print(f"{each.id}: not run: {each.obstacle}")


if __name__ == "__main__":
    main(sys.argv[1:])
