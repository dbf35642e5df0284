"""The runner: what it counts, and above all what must fail a run."""

import json
from pathlib import Path

import pytest

from mizzen.proto.api import RBAC
from tests.conformance.__main__ import SETS, main
from tests.conformance.authz import difference, meaning
from tests.conformance.outcome import Outcome, Reason, SetResult, Status

GOOD = [Outcome(f"good-{index}", "http", Status.PASSED) for index in range(9)]
BAD = Outcome("bad", "http", Status.FAILED, "differs")
SKIPPED = Outcome("skipped", "http", Status.SKIPPED, Reason.AMBIENT.value)


def test_the_line_of_a_set() -> None:
    assert SetResult("authz", [*GOOD, BAD]).line() == "authz: 9 passed, 1 failed, 0 skipped"


@pytest.mark.parametrize(
    ("result", "objections"),
    [
        (SetResult("s", [*GOOD, BAD], {"bad": "known"}), []),
        (SetResult("s", [*GOOD, BAD]), ["s: bad fails: differs"]),
        (
            SetResult("s", GOOD, {"good-0": "known"}),
            ["s: good-0 passes, but is listed as failing: take it off the list"],
        ),
        (
            SetResult("s", GOOD, {"gone": "known"}),
            ["s: gone is listed as failing, but there is no such case"],
        ),
        (SetResult("s", [*GOOD, SKIPPED]), []),
        (
            SetResult("s", [GOOD[0], SKIPPED]),
            ["s: group http passes 50%, less than 80%", "s: 50.0% pass together, less than 80%"],
        ),
        (SetResult("s", [*GOOD, SKIPPED], minimum_together=0.95), ["s: 90.0% pass together, less than 95%"]),
        (SetResult("s", [GOOD[0], Outcome("x", "t", Status.SKIPPED, "off", counts=False)]), []),
        (SetResult("s", []), ["s: the set has no cases"]),
    ],
)
def test_what_fails_a_run(result: SetResult, objections: list[str]) -> None:
    assert list(result.objections()) == objections


def test_a_missing_corpus_is_said_plainly_and_fails_only_ci(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    absent = {"MIZZEN_CONFORMANCE": str(tmp_path / "absent")}
    assert main([], absent) == 0
    assert main([], {**absent, "CI": "true"}) == 1
    assert "could not run here" in capsys.readouterr().out


def test_an_unknown_set_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["auhtz"], {}) == 2
    assert "no such set: auhtz" in capsys.readouterr().out


def test_any_folder_of_the_format_works(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    policy = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "p", "namespace": "foo"},
        "spec": {"action": "DENY", "rules": [{}]},
    }
    folder = tmp_path / "authz"
    folder.mkdir()
    (folder / "in.yaml").write_text(json.dumps(policy))
    (folder / "out.yaml").write_text("name: envoy.filters.http.rbac\n")
    case = {
        "id": "http/x",
        "protocol": "http",
        "input": "in.yaml",
        "expected": ["out.yaml"],
        "custom_builder": False,
        "trust_domain": "",
        "trust_domain_aliases": [],
    }
    corpus = {"context": {"proxy": {"namespace": "foo", "labels": {}}}, "cases": [case]}
    (folder / "cases.json").write_text(json.dumps(corpus))
    assert main(["authz"], {"MIZZEN_CONFORMANCE": str(tmp_path)}) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "authz: 0 passed, 1 failed, 0 skipped"


def test_the_order_of_alternatives_means_nothing_but_what_they_are_does() -> None:
    one, other, third = (
        RBAC(
            policies={
                "p": {
                    "principals": [
                        {"or_ids": {"ids": [{"authenticated": {"principal_name": {"exact": e}}} for e in es]}}
                    ]
                }
            }
        )
        for es in (("a", "b"), ("b", "a"), ("a", "c"))
    )
    assert meaning(one) == meaning(other)
    assert "authenticated" in difference(meaning(one), meaning(third))


def test_every_set_has_its_own_module() -> None:
    here = Path(__file__).parent
    modules = {
        path.stem for path in (*here.glob("*.py"), *(path.parent for path in here.glob("*/__init__.py")))
    }
    assert {name.replace("-", "_") for name in SETS} <= modules


def test_a_group_of_a_set_can_be_asked_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "authz"
    folder.mkdir()
    (folder / "cases.json").write_text(json.dumps({"context": {"proxy": {}}, "cases": []}))
    assert main(["authz/http", "auhtz/x"], {"MIZZEN_CONFORMANCE": str(tmp_path)}) == 2
    assert "no such set: auhtz;" in capsys.readouterr().out
    assert main(["authz/http"], {"MIZZEN_CONFORMANCE": str(tmp_path)}) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "authz: 0 passed, 0 failed, 0 skipped"
