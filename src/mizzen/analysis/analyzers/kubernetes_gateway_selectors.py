"""Does a policy select a Gateway API gateway's Pods by label? It has no effect there: such gateways are targets."""

from typing import Any

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.workloads import selected, workload_labels
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.incremental import Database

_GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
_KINDS = ("AuthorizationPolicy", "RequestAuthentication", "Telemetry", "WasmPlugin")


@analyzer(*_KINDS, codes="IST0166")
def kubernetes_gateway_selectors(db: Database, resource: Resource[Any]) -> Findings:
    spec = resource.spec
    if spec.selector is None or spec.target_ref is not None or spec.target_refs:
        return
    for workload in selected(db, resource.key.namespace, spec.selector.match_labels):
        gateway = workload_labels(db, workload).get(_GATEWAY_NAME)
        if gateway is not None and workload.kind == "Pod":
            message = f'the selector has no effect on the Gateway API gateway "{gateway}"'
            hint = f"add targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: {gateway}}}]"
            yield Finding("IST0166", ("spec", "selector"), message, hint)
