"""The set `validation`: what Istio's CRD schemas and its webhook accept and refuse, warnings included.

A case passes when our verdict (any error: invalid) is the expected one and, where Istio asserts whether there is a warning, ours
agrees. What the mesh does not do yet (codes MZ01xx) is no matter of validity. Words are not compared; but where the expected
error names a path, or members that the case has, one of our findings must be about it: on the way there, below it, or by name.

A fragment is driven inside a resource: in the one that comes with it, or in the smallest one that holds it at its path.
Rules of which a resource shows no more than a part are asked directly.
"""

import base64
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as File
from typing import Any

from mizzen.config.decode import decode
from mizzen.config.diagnostics import CATALOGUE, Severity
from mizzen.config.resource import Path, path_text
from mizzen.config.validation import headers, hosts, localities
from mizzen.config.validation.rules import Findings
from tests.conformance.outcome import Outcome, Reason, SetResult, Status

Json = Any
Told = tuple[str, Path, str]
"""Code, path and message of a finding."""

_NEWER = "the field is newer than the API that Mizzen types (corpus README: istio/api b8f8791d9653)"
_INBOUND_RETRY = "TestValidateMeshConfigDefaultInboundHTTPRetryPolicy/ignored "

FAILING: Mapping[str, str] = {
    "crds/reqauth-valid.yaml#full": _NEWER,
    f"{_INBOUND_RETRY}perTryTimeout": _NEWER,
    f"{_INBOUND_RETRY}retryRemoteLocalities": _NEWER,
    f"{_INBOUND_RETRY}retryIgnorePreviousHosts": _NEWER,
    "crds/serviceentry-valid.yaml#full": "001:db8::] is a mapping in YAML, so the address is none",
    "TestValidateHTTPStatus/L1201#4": "Envoy refuses the status 600",
}
"""Case -> why it is known to fail."""

TIERS = ("crd", "resource", "fragment")
_NOT_OF_VALIDITY = "MZ01"


def run(folder: File) -> SetResult:
    outcomes = [
        _outcome(tier, case)
        for tier in TIERS
        for case in json.loads((folder / f"{tier}-cases.json").read_text())["cases"]
    ]
    return SetResult("validation", outcomes, FAILING)


def _outcome(tier: str, case: Mapping[str, Any]) -> Outcome:
    name, group = case["id"], f"{tier} {case['kind']}"
    if _is_internal(case):
        return Outcome(name, group, Status.SKIPPED, Reason.INTERNAL_NAME.value)
    try:
        found = _verdict(tier, case)
    except Exception as error:
        return Outcome(name, group, Status.FAILED, f"{type(error).__name__}: {error}")
    objection = next(_objections(case, found), "")
    return Outcome(name, group, Status.FAILED if objection else Status.PASSED, objection)


def _is_internal(case: Mapping[str, Any]) -> bool:
    """Istio marks so what its own Gateway API controller makes."""
    annotations = (case.get("metadata") or {}).get("annotations") or {}
    return any(name.startswith("internal.istio.io/") for name in annotations)


class Verdict:
    """What was found, without what only says that the mesh does something not yet."""

    def __init__(self, found: Iterator[Told]) -> None:
        """Of code, path, message."""
        told = [each for each in found if not each[0].startswith(_NOT_OF_VALIDITY)]
        self.errors = [each for each in told if CATALOGUE[each[0]].severity is Severity.ERROR]
        self.warnings = [each for each in told if CATALOGUE[each[0]].severity is not Severity.ERROR]


def _verdict(tier: str, case: Mapping[str, Any]) -> Verdict:
    if tier == "crd":
        return _of_document(case["resource"])
    if tier == "resource":
        return _of_document({key: case[key] for key in ("apiVersion", "kind", "metadata", "spec")})
    if direct := DIRECT.get(case["validator"]):
        found = direct(_plain(case["value"]), case)
        return Verdict((each.code, each.path, each.message) for each in found)
    return _of_document(embedded(case))


def _of_document(document: Json) -> Verdict:
    document = {**_plain(document), "metadata": {"name": "x", **(document.get("metadata") or {})}}
    text = json.dumps(document, ensure_ascii=False)
    found = decode(text, "case").diagnostics
    return Verdict((each.code, each.path, each.message) for each in found)


def _objections(case: Mapping[str, Any], found: Verdict) -> Iterator[str]:
    given = case.get("resource", {}).get("spec") or case.get("spec") or case.get("value")
    if case["valid"] and found.errors:
        yield f"is valid, but: {_told(found.errors)}"
    if not case["valid"] and not found.errors:
        yield f"is invalid: {_asserted(case, 'error_contains') or 'Istio says so'}"
    if case["valid"] and (wanted := case.get("warning")) is not None and wanted != bool(found.warnings):
        yield f"{_asserted(case, 'warning_contains')} wanted: {wanted}, warnings: {_told(found.warnings)}"
    if (
        not case["valid"]
        and found.errors
        and not _concerns(found.errors, _asserted(case, "error_contains"), given)
    ):
        yield f"is invalid for another reason: {_asserted(case, 'error_contains')}, not {_told(found.errors)}"


def _told(found: list[Told]) -> str:
    return "; ".join(f"{path_text(path)}: {message}" for _, path, message in found) or "none"


def _asserted(case: Mapping[str, Any], member: str) -> str:
    text = case.get(member) or ""
    return text if isinstance(text, str) else "; ".join(text)


# --- what an error is about -----------------------------------------------------------------------------------

_PATH = re.compile(r"\bspec(?:\.\w+|\[\d+\])+", re.IGNORECASE)


def _concerns(errors: list[Told], text: str, given: Json) -> bool:
    """Whether one of the errors is about what the text names: a path, or else members that the case has."""
    if named := _PATH.search(text):
        wanted = [_words(named.group())[1:]]
    else:
        words = _words(text)
        wanted = [path for path in _members(given, []) if path[-1] in words]
    if not wanted:
        return True  # the text names nothing that could be looked for
    return any(
        _on_one_line(path, _steps(told)) or path[-1] in _words(message)
        for path in wanted
        for _, told, message in errors
    )


def _members(value: Json, path: list[str]) -> Iterator[list[str]]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield [*path, name.lower()]
            yield from _members(member, [*path, name.lower()])
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield from _members(item, [*path, str(index)])


def _steps(path: Path) -> list[str]:
    """Below the spec."""
    return [str(step).lower() for step in path[1:]]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _on_one_line(one: list[str], other: list[str]) -> bool:
    """Whether the steps of the shorter path are among those of the longer one, in their order."""
    shorter, longer = sorted((one, other), key=len)
    rest = iter(longer)
    return all(step in rest for step in shorter)


# --- fragments ------------------------------------------------------------------------------------------------


def _plain(value: Json) -> Json:
    """The corpus writes long texts and bytes as instructions."""
    if isinstance(value, dict):
        if value.keys() == {"$repeat"}:
            character, count = value["$repeat"]
            return character * count
        if value.keys() == {"$base64"}:
            return base64.b64encode(_plain(value["$base64"]).encode()).decode()
        return {name: _plain(member) for name, member in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _without_nil(value: Json) -> Json:
    """A nil message in a list of Go's has no YAML; on the wire it is a message that says nothing."""
    if isinstance(value, dict):
        return {name: _without_nil(member) for name, member in value.items()}
    return (
        [{} if item is None else _without_nil(item) for item in value] if isinstance(value, list) else value
    )


def embedded(case: Mapping[str, Any]) -> Json:
    """The resource in which a fragment is asked about."""
    value = _without_nil(case["value"])
    if own := EMBEDDINGS.get(case["validator"]):
        return own(value, case)
    wrapped = case.get("wrapped_resource")
    if wrapped is None:
        return _at(case["kind"], case["path"], value)
    return _mesh_config(wrapped["meshConfig"]) if "meshConfig" in wrapped else _without_nil(wrapped)


_GROUPS: Mapping[str, str] = {
    "MeshConfig": "mesh.istio.io/v1alpha1",
    "MeshNetworks": "mesh.istio.io/v1alpha1",
    "Telemetry": "telemetry.istio.io/v1",
    "EnvoyFilter": "networking.istio.io/v1alpha3",
}
_ROUTE = {"route": [{"destination": {"host": "a.example.com"}}]}
_SMALLEST: Mapping[str, Json] = {
    "VirtualService": {"hosts": ["a.example.com"], "http": [_ROUTE]},
    "DestinationRule": {"host": "a.example.com"},
    "ServiceEntry": {
        "hosts": ["a.example.com"],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
    },
    "Gateway": {
        "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
    },
}
_STEP = re.compile(r"(\w+)|\[(\d+)\]|\.(<key>)|\.(\*)")


def _document(kind: str, spec: Json, namespace: str = "bar") -> Json:
    version = _GROUPS.get(kind, "networking.istio.io/v1")
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": "foo", "namespace": namespace},
        "spec": spec,
    }


def _mesh_config(spec: Json) -> Json:
    return _document("MeshConfig", spec)


def _at(kind: str, path: str, value: Json) -> Json:
    """The smallest resource of the kind with the value at the path. <key> is a key of a map, .* a member's value."""
    steps: list[str | int] = [
        int(step[2]) if step[2] else (step[1] or step[3] or "x-header")
        for step in _STEP.finditer(path.split(" ", maxsplit=1)[0])
    ]
    if value is None:
        return _document(kind, _SMALLEST.get(kind, {}))
    if steps[:1] != ["spec"]:
        steps.insert(0, "spec")
    if steps[-1] == "<key>":
        steps[-1], value = str(value), {"exact": "a"} if "match" in steps else "a"
    document = json.loads(json.dumps(_document(kind, _SMALLEST.get(kind, {}))))
    node = document
    for step, following in itertools.pairwise(steps):
        empty: Json = [] if isinstance(following, int) else {}
        if isinstance(step, int):
            node += [empty] * (step + 1 - len(node))
            node = node[step]
        else:
            node = node.setdefault(step, empty)
    if isinstance(steps[-1], int):
        node += [None] * (steps[-1] + 1 - len(node))
    node[steps[-1]] = value
    return document


def _http_route(route: Json, case: Mapping[str, Any]) -> Json:
    """The second argument of Istio's validator says whether others delegate to the route."""
    is_delegate = case.get("more_args", [False])[0]
    return _document(
        "VirtualService", {"http": [route]} if is_delegate else {"hosts": ["a.example.com"], "http": [route]}
    )


def _export_to(namespaces: Json, case: Mapping[str, Any]) -> Json:
    kind = "ServiceEntry" if case["is_service_entry"] else "DestinationRule"
    spec = {**_SMALLEST[kind], "exportTo": namespaces or []}
    if case["is_destination_rule_with_workload_selector"]:
        spec["workloadSelector"] = {"matchLabels": {"app": "a"}}
    return _document(kind, spec, case["metadata"]["namespace"])


def _load_balancer(member: str) -> Callable[[Json, Mapping[str, Any]], Json]:
    """The second argument of Istio's validators is the outlier detection beside."""

    def embed(setting: Json, case: Mapping[str, Any]) -> Json:
        policy = {"loadBalancer": {member: setting}}
        for outlier_detection in case.get("more_args", ()):
            policy["outlierDetection"] = outlier_detection
        return _document("DestinationRule", {"host": "a.example.com", "trafficPolicy": policy})

    return embed


def _server(port: Json, bind: str) -> Json:
    return _document("Gateway", {"servers": [{"port": port, "bind": bind, "hosts": ["*"]}]})


def _whole_mesh_config(given: Json, _case: Mapping[str, Any]) -> Json:
    """A message of which nothing is set: its numbers are 0 and its texts "", not the defaults of a document."""
    zeros = dict.fromkeys(("proxyListenPort", "proxyInboundListenPort"), 0)
    return _mesh_config({**zeros, "trustDomain": "", "connectTimeout": "0s", **given})


def _proxy(given: Json, _case: Mapping[str, Any]) -> Json:
    return _mesh_config({"defaultConfig": given})


_AUTHENTICATION_POLICIES = ("NONE", "MUTUAL_TLS")  # as the API numbers them


def _policy_by_number(number: int, _case: Mapping[str, Any]) -> Json:
    known = _AUTHENTICATION_POLICIES[number] if 0 <= number < len(_AUTHENTICATION_POLICIES) else number
    return _mesh_config({"defaultConfig": {"controlPlaneAuthPolicy": known}})


EMBEDDINGS: Mapping[str, Callable[[Any, Mapping[str, Any]], Json]] = {
    "validateHTTPRoute": _http_route,
    "validateExportTo": _export_to,
    "ValidateLocalityLbSetting": _load_balancer("localityLbSetting"),
    "ValidateZoneAwareLbSetting": _load_balancer("zoneAwareLbSetting"),
    "validateServerPort": lambda port, case: _server(port, case["more_args"][0]),
    "ValidatePort": lambda number, _: _server({"number": number, "name": "a", "protocol": "HTTP"}, ""),
    "ValidateIPAddress": lambda text, _: _server({"number": 80, "name": "a", "protocol": "HTTP"}, text),
    "ValidateIPSubnet": lambda text, _: _at("ServiceEntry", "spec.addresses[0]", text),
    "ValidateFQDN": lambda text, _: _document("WorkloadEntry", {"address": text}),
    "ValidateWildcardDomain": lambda text, _: _document("DestinationRule", {"host": text}),
    "ValidateDuration": lambda text, _: _at("VirtualService", "spec.http[0].timeout", text),
    "ValidateMeshConfig": _whole_mesh_config,
    "ValidateMeshNetworks": lambda networks, _: _document("MeshNetworks", networks),
    "ValidateControlPlaneAuthPolicy": _policy_by_number,
    "ValidateProxyAddress": lambda text, case: _proxy({"discoveryAddress": text}, case),
    "validateConnectionSettings": lambda settings, case: _proxy({"connectionSettings": settings}, case),
    "validateExtensionProviderService": lambda text, _: _mesh_config(
        {"extensionProviders": [{"name": "a", "zipkin": {"service": text, "port": 80}}]}
    ),
    # Claims are for gateways.
    "ValidateHTTPHeaderNameOrJwtClaimRoute": lambda name, _: _document(
        "VirtualService",
        {
            "hosts": ["a.example.com"],
            "gateways": ["a"],
            "http": [{"match": [{"headers": {name: {"exact": "a"}}}], **_ROUTE}],
        },
    ),
}
"""Validator of Istio's -> where its fragment goes, where what comes with the case is not usable or is missing."""

DIRECT: Mapping[str, Callable[[Any, Mapping[str, Any]], Findings]] = {
    "validateLocalities": lambda texts, _: localities.localities(texts, ()),
    "ValidateStrictHTTPHeaderName": lambda name, _: headers.header_name(name, ()),
    "ValidateWildcardDomainForVirtualServiceBoundToGateway": lambda text, case: hosts.gateway_bound_host(
        text, (), sni=case["sni_host"]
    ),
}
"""Validator of Istio's -> ours, where whole resources allow more than the rule by itself (such as addresses for hosts)."""
