"""What can be asked for is documented, and what is documented is there."""

import re
from unittest.mock import MagicMock

import msgspec
import pytest
from prometheus_client.metrics import MetricWrapperBase

from mizzen.admin import schema, server
from mizzen.agent import settings as agent_settings
from mizzen.agent.dns import DnsFigures
from mizzen.agent.metrics import AgentFigures, ScrapeFigures, exposition_of, exposition_of_scrapes
from mizzen.cli.main import COMMANDS
from mizzen.config.diagnostics import CATALOGUE
from mizzen.config.types.telemetry import IstioMetric
from mizzen.daemon import __main__ as daemon_main
from mizzen.daemon.readings import Readings
from mizzen.daemon.settings import Settings
from mizzen.daemon.wiring import Daemon
from mizzen.derive import protocols
from mizzen.derive.telemetry import METRIC_NAMES, MetricChange
from mizzen.frozen import FrozenMap
from mizzen.lab.definition import Expectation, Ingress, LabDefinition, Port, Traffic, Workload
from mizzen.logs import AGENT_SCOPES, DAEMON_SCOPES
from mizzen.proto.api import StatsAccessLog
from mizzen.translate.telemetry.metrics import (
    Served,
    denied_metrics,
    destination_labels,
    http_metrics,
    source_labels,
)
from tests.support.repository import ROOT, first_cells, python_files, read, section, tracked_files

PAGES = sorted(path for path in tracked_files() if path.suffix == ".md" and path.parts[0] != "tests")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: str) -> set[str]:
    """As GitHub makes them: small letters, blanks to dashes, no other marks."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_links_lead_somewhere(path):
    dead = []
    for link in _LINK.findall(read(path)):
        target, _, anchor = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        found = (ROOT / path).parent / target if target else ROOT / path
        if not found.exists() or (anchor and anchor not in anchors(found.read_text())):
            dead.append(link)
    assert dead == []


def test_every_page_can_be_reached_from_the_readme():
    reached, left = set(), ["README.md"]
    while left:
        page = left.pop()
        if page in reached or not page.endswith(".md"):
            continue
        reached.add(page)
        for link in _LINK.findall(read(page)):
            target = ((ROOT / page).parent / link.partition("#")[0]).resolve()
            if target.is_file() and target.is_relative_to(ROOT):
                left.append(str(target.relative_to(ROOT)))
    lost = (
        {str(path) for path in PAGES} - reached - {str(path) for path in PAGES if path.parts[0] == "samples"}
    )
    assert lost == set()


def options_of(name: str) -> set[str]:
    """The options of a command, in all their spellings, but for its help."""
    parsers = {"serve": daemon_main._parser, "agent": agent_settings._parser}
    if name in parsers:
        spellings = [option for action in parsers[name]()._actions for option in action.option_strings]
    else:
        spellings = [option for parameter in COMMANDS[name].load().params for option in parameter.opts]
    return {spelling for spelling in spellings if spelling.startswith("-")} - {"-h", "--help"}


def heading_of(name: str) -> str:
    found = re.search(rf"^### `mizzen {name}\b[^`]*`$", read("docs/cli.md"), re.MULTILINE)
    assert found, f"docs/cli.md has no heading for mizzen {name}"
    return found.group()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name):
    documented = first_cells(section(read("docs/cli.md"), heading_of(name)))
    assert {cell.split()[0] for cell in documented} == options_of(name)


def test_every_code_is_documented_as_the_catalogue_has_it():
    page = read("docs/diagnostics.md") + read("docs/analysis.md")
    for code in CATALOGUE.values():
        words = section(page, f"### {code.code} {code.title}")
        advice = code.what_to_do[0].upper() + code.what_to_do[1:]
        assert words.strip().startswith(f"{code.severity.value.capitalize()}. {advice}.")


def test_every_code_of_the_source_is_documented_and_no_other():
    used = {code for path in python_files("src") for code in re.findall(r'"((?:MZ|IST)\d{4})"', read(path))}
    pages = read("docs/diagnostics.md") + read("docs/analysis.md")
    documented = re.findall(r"^### ((?:MZ|IST)\d{4}) ", pages, re.MULTILINE)
    assert sorted(documented) == sorted(used)


def test_every_metric_is_documented_and_no_other():
    agent = exposition_of(AgentFigures("", "", 0, 0, 0.0, True, 0, DnsFigures()))
    scrapes = exposition_of_scrapes(ScrapeFigures())
    agent_names = re.findall(r"^# TYPE (\w+)", (agent + scrapes).decode(), re.MULTILINE)
    denied = re.findall(r'"(mizzen_\w+_total)"', read("src/mizzen/translate/telemetry/metrics.py"))
    of_envoy = [*METRIC_NAMES.values(), *denied]
    page = read("docs/metrics.md")
    assert sorted(first_cells(section(page, "## A workload"))) == sorted({*agent_names, *of_envoy})


def test_every_metric_of_the_daemon_is_documented_with_its_kind_and_labels_and_no_other(tmp_path):
    """What a whole daemon exposes, compared with the page in both directions."""
    (tmp_path / "config").mkdir()
    (tmp_path / "state").mkdir(mode=0o700)
    daemon = Daemon(Settings(config=(tmp_path / "config",), state_dir=tmp_path / "state"))
    labels = {}
    for collector in daemon._registry._collector_to_names:
        if isinstance(collector, Readings):
            labels |= {reading.name: reading.labels for reading in collector.readings}
        elif isinstance(collector, MetricWrapperBase):
            labels[collector._name] = collector._labelnames
    exposed = {
        (family.name, family.type, labels.get(family.name, ())) for family in daemon._registry.collect()
    }
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| ([^|]*)\| ", section(read("docs/metrics.md"), "## The daemon"), re.MULTILINE
    )
    assert len(rows) == len({name for name, *_ in rows}), "each is listed once"
    assert {(name, kind, tuple(re.findall(r"`(\w+)`", cell))) for name, kind, cell in rows} == exposed


def test_every_label_of_a_metric_is_documented():
    page = section(read("docs/metrics.md"), "### Of the mesh, counted by Envoy")
    whole = {IstioMetric.REQUEST_COUNT: MetricChange(tags=FrozenMap({"reporter": "'x'"}))}  # none is in short
    logs = [denied_metrics()]
    for labels in (source_labels(), destination_labels(Served(mutual=True))):
        logs += http_metrics(labels, whole)
    counters = [StatsAccessLog.FromString(log.typed_config.value).counters[0] for log in logs]
    for counter in (each for each in counters if "messages" not in each.stat.name):
        found = {tag.name for tag in counter.stat.tags}
        assert len(found) > 4, "the counters have labels"
        assert {label for label in found if f"`{label}`" not in page} == set()


@pytest.mark.parametrize(
    ("heading", "struct"),
    [
        ("### The document", LabDefinition),
        ("### `workloads[]`", Workload),
        ("### `workloads[].ports[]`", Port),
        ("### `ingress`", Ingress),
        ("### `traffic[]`", Traffic),
        ("### `checks[]`", Expectation),
    ],
)
def test_every_field_of_lab_yaml_is_documented(heading, struct):
    documented = first_cells(section(read("docs/lab.md"), heading))
    assert documented == [field.encode_name for field in msgspec.structs.fields(struct)]


def documents() -> list[type[msgspec.Struct]]:
    return schema._Document.__subclasses__()


@pytest.mark.parametrize("document", documents(), ids=lambda document: document.__name__)
def test_every_field_of_a_document_is_documented(document):
    documented = first_cells(section(read("docs/admin-api.md"), f"### {document.__name__}"))
    assert sorted(documented) == sorted(field.encode_name for field in msgspec.structs.fields(document))


def test_every_endpoint_is_documented():
    parts = (server._api, server._log_levels, server._health)
    routes = [server._metrics(MagicMock()), *(route for part in parts for route in part(MagicMock()))]
    documented = first_cells(section(read("docs/admin-api.md"), "## Endpoints"))
    assert {route.path for route in routes} | {"/console/"} == set(documented)


def test_every_scope_of_the_log_is_documented():
    documented = first_cells(section(read("docs/daemon-observability.md"), "## Logs"))
    assert documented == [*DAEMON_SCOPES, *(scope for scope in AGENT_SCOPES if scope not in DAEMON_SCOPES)]


def test_every_protocol_is_documented_and_no_other():
    documented = first_cells(section(read("docs/protocols.md"), "## Which protocol a port has"))
    assert sorted(documented) == sorted({*protocols.BY_NAME, *protocols.BY_APP_PROTOCOL})


RECORDS = [path for path in PAGES if path.parent.name == "decisions" and path.name != "README.md"]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_decision_record_has_its_four_parts(path):
    page = read(path)
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["Context", "Decision", "Consequences", "Security"]
    assert len(page.splitlines()) <= 40
    assert f"({path.name})" in read("docs/decisions/README.md")


def test_every_test_that_the_threat_model_names_is_there():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", read("SECURITY.md"))
    assert len(named) > 15
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not re.search(rf"^(async )?def {name}\(", read(file), re.MULTILINE)
    ]
    assert missing == []
