"""CustomResourceDefinitions: structural, the API's, and such that what Mizzen takes an API server takes, too."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from mizzen.cli.crds import command
from mizzen.config.crds import NAMING, definition, object_schema
from mizzen.config.decode import decode
from mizzen.config.documents import split
from mizzen.config.kinds import ISTIO, KINDS
from tests.support.openapi import not_structural, violations
from tests.support.repository import ROOT

CORPUS = Path(os.environ.get("MIZZEN_CONFORMANCE", "../shared/conformance"))
KIND_OF = {(kind.group, kind.name): kind for kind in ISTIO}


@pytest.fixture(scope="module")
def crds():
    if CORPUS.is_dir():
        found = json.loads((CORPUS / "api-fields.json").read_text())["crds"]
        return {crd["kind"]: crd for crd in found}
    if os.environ.get("CI"):
        pytest.fail("no conformance corpora: MIZZEN_CONFORMANCE must name their folder")
    pytest.skip("no conformance corpora beside the repository; MIZZEN_CONFORMANCE may name them")


def test_every_kind_of_istio_has_a_naming_and_no_other():
    assert NAMING.keys() == {kind.name for kind in ISTIO}


@pytest.mark.parametrize("kind", ISTIO, ids=lambda kind: kind.name)
def test_schemas_are_structural(kind):
    assert list(not_structural(object_schema(kind))) == []


UNSOUND = {
    "a value without a type": ({"properties": {}}, ": no type"),
    "a reference": ({"type": "object", "$ref": "#/x"}, ": $ref is forbidden"),
    "a type in logic": ({"type": "object", "anyOf": [{"type": "string"}]}, ".anyOf[0]: type inside of logic"),
    "a list without items": ({"type": "array"}, ": a list without items"),
    "a key that is not required": (
        {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "properties": {"name": {"type": "string"}}},
        },
        ": the key name is not required",
    ),
    "a required member that is not there": (
        {"type": "object", "properties": {}, "required": ["a"]},
        ": {'a'} are required and not there",
    ),
}


@pytest.mark.parametrize(("schema", "breach"), UNSOUND.values(), ids=UNSOUND.keys())
def test_what_is_not_structural_is_found(schema, breach):
    assert list(not_structural(schema)) == [breach]


# --- against the API's own list -------------------------------------------------------------------------------

SAME_WORDS = (
    "enum", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
    "pattern", "format", "nullable", "x-kubernetes-list-type", "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-int-or-string",
)  # fmt: skip


def flattened(schema, path):
    """Each value of a schema in the words of the list: path -> facts."""
    facts = {word: schema[word] for word in SAME_WORDS if word in schema}
    facts["type"] = schema.get("type", "int-or-string")
    facts["required"] = set(schema.get("required", ()))
    rules = schema.get("x-kubernetes-validations", ())
    facts["cel"] = {(" ".join(rule["rule"].split()), rule["message"]) for rule in rules}
    facts["oneof_groups"] = {
        tuple(sorted(part["required"][0] for part in one["oneOf"] if "required" in part))
        for one in schema.get("allOf", [schema])
        if "oneOf" in one
    }
    yield path, facts
    for name, member in schema.get("properties", {}).items():
        yield from flattened(member, f"{path}.{name}")
    if "items" in schema:
        yield from flattened(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from flattened(schema["additionalProperties"], f"{path}.*")


def listed(field):
    """A field of the list, the same way."""
    facts = {word: field[word] for word in SAME_WORDS if word in field}
    facts["type"] = field["type"]
    facts["required"] = set(field.get("required", ()))
    facts["cel"] = {(" ".join(rule["rule"].split()), rule["message"]) for rule in field.get("cel", ())}
    facts["oneof_groups"] = {tuple(sorted(group)) for group in field.get("oneof_groups", ())}
    return facts


@pytest.mark.parametrize("kind", ISTIO, ids=lambda kind: kind.name)
def test_schemas_say_what_the_api_says(kind, crds):
    for part, fields in (("spec", "fields"), ("status", "status_fields")):
        wanted = {field["path"]: listed(field) for field in crds[kind.name][fields]}
        ours = dict(flattened(object_schema(kind)["properties"][part], part))
        assert ours.keys() == wanted.keys()
        differing = {path: (ours[path], wanted[path]) for path in ours if ours[path] != wanted[path]}
        assert differing == {}, "(ours, the API's)"


@pytest.mark.parametrize("kind", ISTIO, ids=lambda kind: kind.name)
def test_definitions_have_the_apis_names_and_versions(kind, crds):
    crd, ours = crds[kind.name], definition(kind)["spec"]
    assert (ours["group"], ours["scope"]) == (crd["group"], crd["scope"])
    assert ours["names"]["plural"] == crd["plural"]
    assert ours["names"].get("shortNames", []) == crd["short_names"]
    assert {(version["name"], version["storage"]) for version in ours["versions"]} == {
        (version["name"], version["storage"]) for version in crd["versions"]
    }
    for version in ours["versions"]:
        columns = version.get("additionalPrinterColumns", [])
        assert [column["name"] for column in columns] == crd["printer_columns"]
        assert list(version["subresources"]) == crd["subresources"]
        schema = version["schema"]["openAPIV3Schema"]
        assert ("spec" in schema.get("required", ())) == crd["spec_required"]


# --- against resources ----------------------------------------------------------------------------------------


def yaml_texts():
    """The YAML of the sample and of the specs and pages: (where, text)."""
    for path in sorted((ROOT / "samples").rglob("*.yaml")):
        yield str(path.relative_to(ROOT)), path.read_text()
    for folder in ("tests/specs", "docs"):
        for path in sorted((ROOT / folder).glob("*.md")):
            blocks = re.findall(r"^```yaml[^\n]*\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
            for number, block in enumerate(blocks):
                yield f"{folder}/{path.name} #{number}", block


def accepted():
    """Objects of Istio's kinds that Mizzen takes in, as plain values."""
    for where, text in yaml_texts():
        decoded = decode(text, where)
        if decoded.broken or not decoded.complete:
            continue  # pages about mistakes
        for document in split(text, where):
            value = document.value()
            group = str(value.get("apiVersion", "")).partition("/")[0] if isinstance(value, dict) else ""
            if isinstance(value, dict) and (group, value.get("kind")) in KIND_OF:
                yield where, KIND_OF[group, value["kind"]], value


def test_what_mizzen_takes_in_keeps_to_the_schemas():
    found = list(accepted())
    assert len(found) > 40
    assert len({kind.name for _, kind, _ in found}) >= 7
    for where, kind, value in found:
        body = {name: member for name, member in value.items() if name in ("spec", "status")}
        assert list(violations(body, object_schema(kind))) == [], where


def test_what_istios_own_tests_call_valid_keeps_to_the_schemas(crds):
    cases = json.loads((CORPUS / "validation" / "crd-cases.json").read_text())["cases"]
    # In this one the corpus' reader took the address 001:db8:: inside of [] for a mapping.
    misread = "crds/serviceentry-valid.yaml#full"
    valid = [case["resource"] for case in cases if case["valid"] and case["id"] != misread]
    assert len(valid) > 15
    for resource in valid:
        kind = KIND_OF[resource["apiVersion"].partition("/")[0], resource["kind"]]
        found = violations({"spec": resource["spec"]}, object_schema(kind))
        # An API server drops members that it does not know: the cases are newer than the list of fields.
        assert [each for each in found if not each.endswith(" is not known")] == []


REFUSED = {
    "a missing member": ("DestinationRule", {}, ".spec: host is missing"),
    "an unknown member": ("DestinationRule", {"host": "a", "hots": "b"}, ".spec: hots is not known"),
    "a wrong type": ("DestinationRule", {"host": 1}, ".spec.host: 1 is no string"),
    "a word that is none": ("AuthorizationPolicy", {"action": "MAYBE"}, ".spec.action: 'MAYBE' is none of"),
    "a number out of bounds": ("ProxyConfig", {"concurrency": -1}, ".spec.concurrency: -1 breaks minimum"),
    "a list without items": ("ServiceEntry", {"hosts": []}, ".spec.hosts: 0 breaks minItems"),
    "two of a group": (
        "TrafficExtension",
        {"wasm": {"url": "a"}, "lua": {"inlineCode": "a"}},
        ".spec: oneOf",
    ),
    "a pattern": ("WasmPlugin", {"url": "a", "sha256": "A"}, ".spec.sha256: 'A' does not match"),
}


@pytest.mark.parametrize(("name", "spec", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_api_refuses_the_schemas_refuse(name, spec, words):
    (kind,) = (kind for kind in ISTIO if kind.name == name)
    (found,) = violations({"spec": spec}, object_schema(kind))
    assert found.startswith(words)


# --- the command ----------------------------------------------------------------------------------------------


def test_the_command_prints_all_definitions():
    result = CliRunner().invoke(command)
    printed = list(yaml.load_all(result.output, yaml.CSafeLoader))
    assert printed == [definition(kind) for kind in ISTIO]
    assert "&id" not in result.output, "an API server reads YAML, but people read no anchors"


def test_the_command_prints_those_that_are_named():
    result = CliRunner().invoke(command, ["sidecar", "VirtualService"])
    printed = yaml.load_all(result.output, yaml.CSafeLoader)
    assert [each["spec"]["names"]["kind"] for each in printed] == ["Sidecar", "VirtualService"]


def test_the_command_knows_what_was_meant():
    result = CliRunner().invoke(command, ["VirtualServce"])
    assert str(result.exception) == "Istio has no kind VirtualServce: did you mean VirtualService?"


def test_our_own_definitions_are_read_like_any_other():
    decoded = decode(CliRunner().invoke(command, ["Sidecar"]).output, "crds.yaml")
    (located,) = decoded.located
    assert located.resource.spec.names.kind == "Sidecar"
    assert [version.name for version in located.resource.spec.versions] == ["v1", "v1beta1", "v1alpha3"]
    assert KINDS["apiextensions.k8s.io", "CustomResourceDefinition"].key_kind == located.resource.key.kind
