"""Diagnostics for other programs: JSON, SARIF 2.1.0, GitHub's workflow commands. Pure: values in, text out."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from mizzen import __version__
from mizzen.config.diagnostics import CATALOGUE, Diagnostic, Severity
from mizzen.config.resource import path_text

_SARIF_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_GITHUB_COMMANDS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def as_json(diagnostics: Iterable[Diagnostic], more: Mapping[str, Any]) -> str:
    """One object: the diagnostics in their order, and what else is told."""
    return json.dumps({"diagnostics": [_plain(each) for each in diagnostics], **more}, indent=2)


def _plain(diagnostic: Diagnostic) -> dict[str, Any]:
    key, location = diagnostic.resource, diagnostic.location
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        "advice": diagnostic.advice,
        "resource": {"kind": key.kind, "namespace": key.namespace, "name": key.name} if key else None,
        "path": path_text(diagnostic.path),
        "file": location.file if location else None,
        "line": location.line if location else None,
        "column": location.column if location else None,
    }


def as_sarif(diagnostics: Sequence[Diagnostic]) -> str:
    """A log with one run, as code scanning services take it."""
    codes = sorted({each.code for each in diagnostics})
    rules = [_rule(code) for code in codes]
    results = [_result(each, codes.index(each.code)) for each in diagnostics]
    driver = {"name": "mizzen", "version": __version__, "semanticVersion": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(code: str) -> dict[str, Any]:
    known = CATALOGUE[code]
    return {
        "id": code,
        "shortDescription": {"text": known.title},
        "help": {"text": f"{known.what_to_do[0].upper()}{known.what_to_do[1:]}."},
        "defaultConfiguration": {"level": _SARIF_LEVELS[known.severity]},
    }


def _result(diagnostic: Diagnostic, rule: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": _SARIF_LEVELS[diagnostic.severity],
        "message": {"text": f"{diagnostic.message}; {diagnostic.advice}"},
    }
    place: dict[str, Any] = {}
    if diagnostic.location is not None:
        at = diagnostic.location
        region = {"startLine": at.line, "startColumn": at.column}
        place["physicalLocation"] = {"artifactLocation": {"uri": quote(at.file)}, "region": region}
    if diagnostic.resource is not None:
        name = " ".join(filter(None, (str(diagnostic.resource), path_text(diagnostic.path))))
        place["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "resource"}]
    if place:
        result["locations"] = [place]
    return result


def as_github(diagnostics: Iterable[Diagnostic]) -> str:
    """Commands that GitHub shows as annotations of a change."""
    return "\n".join(map(_command, diagnostics))


def _command(diagnostic: Diagnostic) -> str:
    title = f"{diagnostic.code} {CATALOGUE[diagnostic.code].title}"
    given = {"title": title}
    if diagnostic.location is not None:
        at = diagnostic.location
        given = {"file": at.file, "line": str(at.line), "col": str(at.column), **given}
    properties = ",".join(f"{name}={_property(value)}" for name, value in given.items())
    subject = f"{diagnostic.resource}: " if diagnostic.resource else ""
    text = _data(f"{subject}{diagnostic.message}; {diagnostic.advice}")
    return f"::{_GITHUB_COMMANDS[diagnostic.severity]} {properties}::{text}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
