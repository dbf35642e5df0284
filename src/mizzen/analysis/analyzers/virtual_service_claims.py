"""Do routes by JWT claims have a RequestAuthentication at the gateway that validates the token?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.objects import resources, spec_of
from mizzen.analysis.workloads import selected, workload_labels
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path, Resource, ResourceKey
from mizzen.config.types.networking import Gateway, VirtualService
from mizzen.derive.mesh import root_namespace
from mizzen.derive.virtual_services import MESH_GATEWAY, gateway_name
from mizzen.derive.workloads import covers
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, query

_CLAIM = (
    "@request.auth.claims"  # Istio's pseudo headers: @request.auth.claims.group, @request.auth.claims[group]
)


@analyzer("VirtualService", codes="IST0149")
def virtual_service_claims(db: Database, resource: Resource[VirtualService]) -> Findings:
    found = _first_claim(resource.spec)
    if found is None:
        return
    claim, path = found
    for name in resource.spec.gateways:
        if name == MESH_GATEWAY:
            continue
        namespace, _, short = gateway_name(name, resource.key.namespace).partition("/")
        gateway = spec_of(db, ResourceKey("Gateway", namespace, short), Gateway)
        for workload in selected(db, "", gateway.selector) if gateway else ():
            if not _authenticates(db, workload):
                message = (
                    f'"{claim}" needs a validated token, and no RequestAuthentication selects {workload}'
                )
                hint = f"add a RequestAuthentication for the workloads of the gateway {namespace}/{short}"
                yield Finding("IST0149", path, message, hint)


def _first_claim(spec: VirtualService) -> tuple[str, Path] | None:
    for rule, http in enumerate(spec.http):
        for index, match in enumerate(http.match):
            for member, headers in (("headers", match.headers), ("withoutHeaders", match.without_headers)):
                for name in headers:
                    if name.startswith(_CLAIM):
                        return name, ("spec", "http", rule, "match", index, member, name)
    return None


def _authenticates(db: Database, workload: ResourceKey) -> bool:
    labels = workload_labels(db, workload)
    scopes = dict.fromkeys((root_namespace(db), workload.namespace))
    return any(covers(selector, labels) for scope in scopes for selector in _authenticated(db, scope))


@query
def _authenticated(db: Database, namespace: str) -> tuple[FrozenMap[str, str], ...]:
    """The selectors of a namespace's RequestAuthentications."""
    found = (resource.spec.selector for resource in resources(db, "RequestAuthentication", namespace))
    return tuple(selector.match_labels if selector else EMPTY for selector in found)
