"""The set `analysis`: files, one of Istio's analyzers, and the exact multiset of its messages."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from mizzen.analysis.analyzer import Analyzer
from mizzen.analysis.findings import findings_by
from mizzen.analysis.inputs import REMOTE
from mizzen.analysis.kubernetes import KUBERNETES_GATEWAY
from mizzen.analysis.offline import Reading, database
from mizzen.analysis.registry import ANALYZERS
from mizzen.config.decode import DEFAULT_NAMESPACE, decode
from mizzen.config.kinds import KINDS, Scope
from mizzen.config.resource import ResourceKey
from tests.conformance.outcome import Outcome, SetResult, Status

FAILING: Mapping[str, str] = {}
"""Case -> why it is known to fail."""

BY_ISTIOS_NAME: Mapping[str, tuple[str, ...]] = {
    "annotations.AlphaAnalyzer": ("alpha_annotations",),
    "annotations.K8sAnalyzer": ("annotations",),
    "applicationUID.Analyzer": ("application_uid",),
    "auth.AuthorizationPoliciesAnalyzer": ("authorization_policies",),
    "authn.BlockedCIDRsAnalyzer": ("jwks_addresses",),
    "conditions.ConditionAnalyzer": ("conditions",),
    "deployment.MultiServiceAnalyzer": ("deployment_services",),
    "deprecation.DeprecationAnalyzer": ("deprecations",),
    "destinationrule.CaCertificateAnalyzer": ("destination_rule_certificates",),
    "destinationrule.SubsetSelectPodAnalyzer": ("destination_rule_subsets",),
    "envoyfilter.EnvoyPatchAnalyzer": ("envoy_filter_patches",),
    "externalcontrolplane.ExternalControlPlaneAnalyzer": ("external_control_plane",),
    "gateway.CertificateAnalyzer": ("gateway_certificates",),
    "gateway.ConflictingGatewayAnalyzer": ("gateway_conflicts",),
    "gateway.IngressGatewayPortAnalyzer": ("gateway_ports",),
    "gateway.SecretAnalyzer": ("gateway_secrets",),
    "injection.Analyzer": ("injection",),
    "injection.ImageAnalyzer": ("injection_images",),
    "injection.ImageAutoAnalyzer": ("injection_auto_images",),
    "k8sgateway.CRDVersionAnalyzer": ("gateway_api_versions",),
    "k8sgateway.SelectorAnalyzer": ("kubernetes_gateway_selectors",),
    "meshnetworks.MeshNetworksAnalyzer": ("mesh_networks",),
    "service.PortNameAnalyzer": ("service_ports",),
    "serviceentry.Analyzer": ("service_entry_addresses",),
    "serviceentry.ConflictingServiceEntryProtocolAnalyzer": ("service_entry_protocols",),
    "services.MultiClusterServiceAnalyzer": ("multi_cluster_services",),
    "sidecar.DefaultSelectorAnalyzer": ("sidecar_defaults",),
    "sidecar.SelectorAnalyzer": ("sidecar_selectors",),
    "telemetry.DefaultSelectorAnalyzer": ("telemetry_defaults",),
    "telemetry.ProviderAnalyzer": ("telemetry_providers",),
    "telemetry.SelectorAnalyzer": ("telemetry_selectors",),
    "virtualservice.ConflictingMeshGatewayHostsAnalyzer": ("virtual_service_hosts",),
    "virtualservice.DestinationHostAnalyzer": ("virtual_service_destinations",),
    "virtualservice.DestinationRuleAnalyzer": ("virtual_service_subsets",),
    "virtualservice.GatewayAnalyzer": ("virtual_service_gateways",),
    "virtualservice.JWTClaimRouteAnalyzer": ("virtual_service_claims",),
    "webhook.Analyzer": ("webhooks",),
}
"""Istio's analyzer -> ours that do its work."""

Message = tuple[str, ResourceKey]
"""Code and object."""


def run(folder: Path) -> SetResult:
    corpus = json.loads((folder / "expected.json").read_text())
    return SetResult("analysis", [_outcome(folder, case) for case in corpus["cases"]], FAILING)


def _outcome(folder: Path, case: Mapping[str, Any]) -> Outcome:
    name = case["id"]
    group = case["analyzers"][0]["name"].partition(".")[0]
    try:
        made = Counter(_made(folder, case))
    except Exception as error:
        return Outcome(name, group, Status.FAILED, f"{type(error).__name__}: {error}")
    expected = Counter(_key(message) for message in case["expected"])
    if made == expected:
        return Outcome(name, group, Status.PASSED)
    missing, surplus = _listed(expected - made), _listed(made - expected)
    return Outcome(name, group, Status.FAILED, f"missing: {missing or 'none'}; surplus: {surplus or 'none'}")


def _made(folder: Path, case: Mapping[str, Any]) -> Iterator[Message]:
    clusters = [*(case.get("clusters") or {"": case["input_files"]}).items()]
    readings = {name: _read(folder, files, case) for name, files in clusters}
    first, *others = readings.values()
    db = database(first.located, datetime.now(UTC))
    for name, other in zip([name for name, _ in clusters[1:]], others, strict=True):
        for key, located in other.located.items():
            db.set(REMOTE, (name, key), located.resource)
    for key, finding in findings_by(db, tuple(_analyzers(case))):
        if key in first.located:
            yield finding.code, key
    for kind in _validated(case):
        for found in first.diagnostics:
            if found.resource is not None and found.resource.kind == kind and found.code.startswith("IST"):
                yield found.code, found.resource


def _read(folder: Path, files: Iterable[str], case: Mapping[str, Any]) -> Reading:
    reading = Reading()
    for field, kind in (("mesh_config_file", "MeshConfig"), ("mesh_networks_file", "MeshNetworks")):
        if case.get(field):
            reading.add(
                decode(_object(kind, yaml.safe_load((folder / case[field]).read_text())), case[field])
            )
    for file in files:
        reading.add(decode((folder / file).read_bytes(), file))
    return reading


def _object(kind: str, spec: Any) -> str:
    head = {"apiVersion": "mesh.istio.io/v1alpha1", "kind": kind, "metadata": {"name": "mesh"}}
    return json.dumps({**head, "spec": spec})


def _analyzers(case: Mapping[str, Any]) -> Iterator[Analyzer]:
    wanted = (each["name"] for each in case["analyzers"] if not each["name"].startswith(_VALIDATION))
    names = [name for istios in wanted for name in BY_ISTIOS_NAME[istios]]
    yield from (analyzer for analyzer in ANALYZERS if analyzer.name in names)


_VALIDATION = "schema.ValidationAnalyzer."  # and the kind: what our decoder says of each object


def _validated(case: Mapping[str, Any]) -> Iterator[str]:
    for each in case["analyzers"]:
        if each["name"].startswith(_VALIDATION):
            yield each["name"].removeprefix(_VALIDATION)


_SCOPES = {kind.name: kind.scope for kind in KINDS.values()}


def _key(message: Mapping[str, str]) -> Message:
    """The object as our keys name it: one without a namespace is in the default one, as in kubectl."""
    kind, namespace, name = message["kind"], message["namespace"], message["name"]
    if _SCOPES.get(kind) is Scope.MESH:
        return message["code"], ResourceKey(kind, "", DEFAULT_NAMESPACE)
    if _SCOPES.get(kind) is Scope.CLUSTER:
        return message["code"], ResourceKey(kind, "", name)
    if message["code"] == "IST0171" and kind == "Gateway":  # the corpus does not say whose Gateway
        kind = KUBERNETES_GATEWAY
    return message["code"], ResourceKey(kind, namespace or DEFAULT_NAMESPACE, name)


def _listed(messages: Counter[Message]) -> str:
    return ", ".join(f"{code} {key}" for code, key in sorted(messages.elements()))
