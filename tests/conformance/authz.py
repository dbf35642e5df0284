"""The set `authz`: AuthorizationPolicies, and the RBAC filters that Istio makes of them.

Filters are compared by what they mean: as parsed messages, without the order within "all of" and "any of".
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.json_format import MessageToDict, ParseDict

from mizzen.config.decode import decode
from mizzen.derive.inputs import RESOURCES
from mizzen.frozen import FrozenMap
from mizzen.proto.api import HttpFilter, NetworkFilter
from mizzen.proto.descriptors import pool
from mizzen.translate.authorization.filters import (
    authorization_filters,
    custom_filters,
    http_filters,
    network_filters,
)
from tests.conformance.outcome import Outcome, SetResult, Status
from tests.support.mesh import Mesh

FAILING: Mapping[str, str] = {
    "http/custom-bad-multiple-providers": "Istio where it refuses a workload several authorizers, one of which is known; the group "
    "authz-multiple-providers of routing-e2e wants them asked",
}
"""Case -> why it is known to fail."""

Json = Any


def run(folder: Path) -> SetResult:
    corpus = json.loads((folder / "cases.json").read_text())
    context = corpus["context"]
    return SetResult("authz", [_outcome(folder, case, context) for case in corpus["cases"]], FAILING)


def _outcome(folder: Path, case: Mapping[str, Any], context: Mapping[str, Any]) -> Outcome:
    name, group = case["id"], case["protocol"]
    expected = [_golden(folder / file, http=group == "http") for file in case["expected"]]
    try:
        made = list(_filters(folder, case, context))
    except Exception as error:
        return Outcome(name, group, Status.FAILED, f"{type(error).__name__}: {error}")
    if made == expected:
        return Outcome(name, group, Status.PASSED)
    return Outcome(name, group, Status.FAILED, difference(expected, made))


def _filters(folder: Path, case: Mapping[str, Any], context: Mapping[str, Any]) -> Iterator[Json]:
    proxy, services = context["proxy"], context["services_known"]
    mesh = Mesh(
        _mesh_config(case), *map(_service, services), trust_domain=case["trust_domain"] or "cluster.local"
    )
    decoded = decode((folder / case["input"]).read_bytes(), case["input"])
    for located in decoded.located:
        mesh.db.set(RESOURCES, located.resource.key, located.resource)
    http = case["protocol"] == "http"
    labels = FrozenMap(proxy["labels"])
    if case["custom_builder"]:
        found = tuple(custom_filters(mesh.db, proxy["namespace"], labels, http=http))
    else:
        found = authorization_filters(mesh.db, proxy["namespace"], labels, http)
    for made in http_filters(found) if http else network_filters(found):
        yield meaning(made)


def _service(known: Mapping[str, str]) -> str:
    """One of those that the authorizers of the cases are; the port is the only one that cases name."""
    metadata = {"name": known["hostname"].partition(".")[0], "namespace": known["namespace"]}
    spec = {"ports": [{"name": "http", "port": 9000}]}
    return json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


def _mesh_config(case: Mapping[str, Any]) -> str:
    spec = {"trustDomainAliases": case["trust_domain_aliases"], **(case["mesh_config"] or {})}
    return json.dumps(
        {
            "apiVersion": "mesh.istio.io/v1alpha1",
            "kind": "MeshConfig",
            "metadata": {"name": "mesh"},
            "spec": spec,
        }
    )


def _golden(file: Path, *, http: bool) -> Json:
    parsed = ParseDict(
        yaml.safe_load(file.read_text()), HttpFilter() if http else NetworkFilter(), descriptor_pool=pool()
    )
    return meaning(parsed)


def meaning(message: Any) -> Json:
    """A message as data, in which the order of members of "all of" and "any of" is the same for all."""
    return _unordered(MessageToDict(message, descriptor_pool=pool()))


def _unordered(value: Json) -> Json:
    if isinstance(value, dict):
        made = {name: _unordered(item) for name, item in value.items()}
        return {
            name: sorted(item, key=_text) if name in _SETS and isinstance(item, list) else item
            for name, item in made.items()
        }
    return [_unordered(item) for item in value] if isinstance(value, list) else value


_SETS = frozenset({"rules", "ids", "permissions", "principals"})


def _text(value: Json) -> str:
    return json.dumps(value, sort_keys=True)


def difference(expected: Json, made: Json, path: str = "") -> str:
    """The first place where two values differ, in one line."""
    if isinstance(expected, dict) and isinstance(made, dict):
        for name in sorted({*expected, *made}):
            if expected.get(name) != made.get(name):
                return difference(expected.get(name), made.get(name), f"{path}.{name}")
    if isinstance(expected, list) and isinstance(made, list) and len(expected) == len(made):
        for index, (one, other) in enumerate(zip(expected, made, strict=True)):
            if one != other:
                return difference(one, other, f"{path}[{index}]")
    return f"at {path or 'the top'}: expected {_text(expected)[:200]}, got {_text(made)[:200]}"
