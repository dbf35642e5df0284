"""How findings come together: suppression, failures, bounds, what is left out."""

import json
from pathlib import Path

import pytest

from mizzen.analysis import findings as all_findings
from mizzen.analysis.analyzer import analyzer
from mizzen.analysis.findings import diagnose, findings, findings_by
from mizzen.analysis.left_out import LEFT_OUT
from mizzen.analysis.live import LiveAnalysis
from mizzen.analysis.offline import Reading, database
from mizzen.analysis.registry import ANALYZERS
from mizzen.analysis.suppression import Suppression
from mizzen.config.decode import decode
from mizzen.config.diagnostics import CATALOGUE, Diagnostic, Finding
from mizzen.config.resource import ResourceKey
from mizzen.errors import UserError
from mizzen.sources.change import Change

ROUTE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %s%s}
spec: {hosts: [web], gateways: [nowhere], http: [{%s}]}
---
"""
TO_WEB = "route: [{destination: {host: web}}]"


def reading(text):
    made = Reading()
    made.add(decode(text, "x.yaml"))
    return made


def codes(text):
    return {finding.code for _, finding in database(reading(text).located, None).value(findings)}


def test_the_annotation_suppresses_what_it_names():
    plain = codes(ROUTE % ("web", "", TO_WEB))
    assert plain == {"IST0101", "IST0132"}
    one = ', annotations: {galley.istio.io/analyze-suppress: "IST0132, IST0999"}'
    assert codes(ROUTE % ("web", one, TO_WEB)) == {"IST0101"}
    every = ', annotations: {galley.istio.io/analyze-suppress: "*"}'
    assert codes(ROUTE % ("web", every, TO_WEB)) == set()


@pytest.mark.parametrize(
    ("rule", "covers"),
    [
        ("IST0101=VirtualService shop/web", True),
        ("IST0101=VirtualService shop/*", True),
        ("IST01*=* shop/w*", True),
        ("*=VirtualService shop/web", True),
        ("IST0101=VirtualService other/*", False),
        ("IST0102=VirtualService shop/web", False),
        ("IST0101=VirtualService shop/[w]eb", False),
    ],
)
def test_suppression_by_option(rule, covers):
    found = Diagnostic("IST0101", "m", ResourceKey("VirtualService", "shop", "web"))
    assert Suppression.parse(rule).covers(found) is covers


@pytest.mark.parametrize("text", ["IST0101", "=VirtualService x", "IST0101=", "IST9999=VirtualService x"])
def test_a_rule_that_cannot_be_read_is_refused(text):
    with pytest.raises(UserError):
        Suppression.parse(text)


def test_an_analyzer_that_fails_costs_itself_alone(monkeypatch):
    @analyzer("VirtualService", codes="IST0101")
    def broken(_db, _resource):
        raise ValueError("oh")
        yield

    @analyzer("VirtualService", codes="IST0101")
    def sound(_db, _resource):
        yield Finding("IST0101", (), "found")

    monkeypatch.setattr(all_findings, "DEFAULT", {"VirtualService": (broken, sound)})
    made = reading(ROUTE % ("web", "", TO_WEB))
    db = database(made.located, None)
    first, second = db.value(findings)
    assert first[1].code == "IST0001"
    assert "broken" in first[1].message
    assert second[1].message == "found"


def test_broken_objects_are_analysed_as_far_as_they_can_be_read():
    text = ROUTE % ("web", "", f"tiemout: 3s, {TO_WEB}")
    made = reading(text)
    assert {found.code for found in made.diagnostics} == {"MZ0020"}
    assert codes(text) == {"IST0101", "IST0132"}


def test_the_first_of_two_objects_with_one_key_counts():
    made = reading(ROUTE % ("web", "", TO_WEB))
    made.add(decode(ROUTE % ("web", "", TO_WEB), "y.yaml"))
    assert [str(each.location) for each in made.diagnostics] == ["y.yaml:1:1"]
    assert made.located[ResourceKey("VirtualService", "default", "web")].file == "x.yaml"


def test_istios_default_resources_have_no_findings_and_give_way():
    db = database({}, None)
    assert db.value(findings) == ()
    gateway = (
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: web}\nspec: {selector: {istio:"
        " ingressgateway}, servers: [{port: {number: %d, name: http, protocol: HTTP}, hosts: [a.b]}]}\n"
    )
    assert codes(gateway % 80) == set()
    assert codes(gateway % 8080) == {"IST0162"}


@pytest.mark.parametrize("length", [2, 500])
def test_circles_of_delegates_are_told_and_bounded(length):
    text = "".join(
        ROUTE % (f"v{number}", "", f"delegate: {{name: v{(number + 1) % length}}}")
        for number in range(length)
    )
    db = database(reading(text).located, None)
    wrong = {finding.code for _, finding in db.value(findings)} & {"MZ0201", "MZ0202"}
    assert wrong == ({"MZ0201"} if length == 2 else {"MZ0202"})


def test_live_findings_follow_the_objects():
    live = LiveAnalysis()
    made = reading(ROUTE % ("web", "", TO_WEB))
    live.apply(Change(upserts=tuple(made.located.values())))
    assert live.diagnostics(made.located) == ()  # nothing before the refresh
    live.take_in(live.db.refresh())
    assert {found.code for found in live.diagnostics(made.located)} == {"IST0101", "IST0132"}
    live.apply(Change(removals=tuple(made.located)))
    live.take_in(live.db.refresh())
    assert live.diagnostics({}) == ()


def test_positions_are_looked_up_when_findings_are_shown():
    made = reading(ROUTE % ("web", "", TO_WEB))
    found = list(database(made.located, None).value(findings))
    moved = reading("# moved\n" + ROUTE % ("web", "", TO_WEB))
    lines = [{each.location.line for each in diagnose(found, of.located.get)} for of in (made, moved)]
    assert lines == [{4}, {5}]


# --- Istio's list of messages --------------------------------------------------------------------------------------

MESSAGES = Path(__file__).parents[4] / "shared" / "conformance" / "analysis" / "messages.json"


def test_every_message_of_istio_is_given_or_left_out_with_a_reason():
    if not MESSAGES.is_file():
        pytest.skip(f"could not run here: {MESSAGES} is missing")
    messages = {message["name"]: message for message in json.loads(MESSAGES.read_text())}
    assert LEFT_OUT.keys() <= messages.keys()
    assert all(LEFT_OUT.values())
    for name, message in messages.items():
        code = message["code"]
        assert (name in LEFT_OUT) != (code in CATALOGUE), f"{code} {name}"
        if code in CATALOGUE:
            assert CATALOGUE[code].severity.value == message["level"].lower(), code


def test_every_code_of_analysis_is_given_by_something():
    by_analyzers = {code for each in ANALYZERS for code in each.codes}
    of_decoding = {"IST0106", "IST0130", "IST0131", "IST0133"}
    of_istio = {code for code in CATALOGUE if code.startswith("IST")}
    assert of_istio == {code for code in by_analyzers if code.startswith("IST")} | of_decoding | {"IST0001"}


def test_findings_by_runs_what_is_asked_for_only():
    made = reading(ROUTE % ("web", "", TO_WEB))
    chosen = tuple(each for each in ANALYZERS if each.name == "virtual_service_destinations")
    assert {finding.code for _, finding in findings_by(database(made.located, None), chosen)} == {"IST0101"}
