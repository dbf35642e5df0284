"""Diagnostics for other programs: what each format promises."""

import json

from mizzen.analysis.formats import as_github, as_json, as_sarif
from mizzen.config.diagnostics import Diagnostic
from mizzen.config.resource import Location, ResourceKey

ROUTE = Diagnostic(
    "IST0101",
    'there is no gateway "a:b,c"\n100%',
    ResourceKey("VirtualService", "shop", "web"),
    ("spec", "gateways", 0),
    Location("a folder/x.yaml", 3, 5),
    "create it",
)
MESH = Diagnostic("MZ0303", "workloads may call any host")
NOTE = Diagnostic(
    "IST0102", "no sidecars", ResourceKey("Namespace", "", "shop"), (), Location("x.yaml", 1, 1)
)


def test_json_holds_everything():
    told = json.loads(as_json([ROUTE, MESH], {"suppressed": 2}))
    first, second = told["diagnostics"]
    assert told["suppressed"] == 2
    assert first == {
        "code": "IST0101",
        "severity": "error",
        "message": ROUTE.message,
        "advice": "create it",
        "resource": {"kind": "VirtualService", "namespace": "shop", "name": "web"},
        "path": "spec.gateways[0]",
        "file": "a folder/x.yaml",
        "line": 3,
        "column": 5,
    }
    assert (second["resource"], second["file"]) == (None, None)


def test_sarif_is_of_the_form_that_2_1_0_wants():
    log = json.loads(as_sarif([ROUTE, MESH, NOTE]))
    assert (log["version"], set(log)) == ("2.1.0", {"$schema", "version", "runs"})
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["IST0101", "IST0102", "MZ0303"]
    assert all(rule["shortDescription"]["text"] and rule["help"]["text"] for rule in rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note"}
        assert result["message"]["text"]
    place = run["results"][0]["locations"][0]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20folder/x.yaml"},
        "region": {"startLine": 3, "startColumn": 5},
    }
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "VirtualService shop/web spec.gateways[0]"
    assert "locations" not in run["results"][1]
    assert run["results"][2]["level"] == "note"


def test_sarif_without_results_is_a_log_too():
    assert json.loads(as_sarif([]))["runs"][0]["results"] == []


def test_github_commands_are_escaped():
    first, second = as_github([ROUTE, MESH]).splitlines()
    assert first == (
        "::error file=a folder/x.yaml,line=3,col=5,title=IST0101 What is referred to is not there"
        '::VirtualService shop/web: there is no gateway "a:b,c"%0A100%25; create it'
    )
    assert second.startswith("::warning title=MZ0303 Workloads may call any host::workloads may call")
