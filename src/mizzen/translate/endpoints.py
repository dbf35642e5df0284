"""Cluster load assignments: the endpoints of a service port, or of one of its subsets."""

from collections.abc import Iterable
from typing import Any

from mizzen.config.validation.hosts import is_address
from mizzen.derive.destination_rules import RuleKeys, subset_labels
from mizzen.derive.endpoints import service_endpoints
from mizzen.derive.services import service
from mizzen.derive.workloads import covers
from mizzen.incremental import Database, query
from mizzen.model.identity import CLUSTER_ID
from mizzen.model.service import ServiceRef
from mizzen.model.subject import Subject
from mizzen.model.workload import Endpoint
from mizzen.proto.api import ClusterLoadAssignment
from mizzen.translate import names
from mizzen.translate.built import Built, Origin, built, struct
from mizzen.translate.callers import HOST, Caller
from mizzen.translate.locality import Group, LocalityBalancing, grouped, locality_balancing
from mizzen.translate.telemetry.metrics import METADATA, PEER
from mizzen.xds.resource import ENDPOINT

_UNIX = "unix://"


@query
def load_assignment(
    db: Database, ref: ServiceRef, port: int, subset: str, rules: RuleKeys, caller: Caller
) -> Built:
    """The endpoints of an outbound cluster. `rules` say which labels pick the subset, and whether it makes a difference
    who calls.
    """
    endpoints = (each for each in endpoints_for(db, ref, port, caller) if _is_reachable(each.address))
    balancing = locality_balancing(db, ref, port, subset, rules)
    message = ClusterLoadAssignment(
        cluster_name=names.outbound_cluster(port, subset, ref.host),
        endpoints=locality_endpoints(of_subset(db, endpoints, rules, subset), balancing, caller),
    )
    return built(ENDPOINT, message, (Origin("", ref.source),))


def endpoints_for(db: Database, ref: ServiceRef, port: int, caller: Caller) -> tuple[Endpoint, ...]:
    """The endpoints of a service that a caller may use: all, or those of its own node (internalTrafficPolicy)."""
    endpoints, found = service_endpoints(db, ref, port), service(db, ref)
    if found is None or not found.same_node_only:
        return endpoints
    return tuple(each for each in endpoints if each.node == caller.labels.get(HOST, ""))


def of_subset(
    db: Database, endpoints: Iterable[Endpoint], rules: RuleKeys, subset: str
) -> tuple[Endpoint, ...]:
    """Those that belong to a subset; to one that no rule declares, none; "" is all."""
    if not subset:
        return tuple(endpoints)
    labels = subset_labels(db, rules, subset)
    return tuple(one for one in endpoints if labels is not None and covers(labels, one.labels))


def _is_reachable(text: str) -> bool:
    """Discovery resolves no names: Envoy would refuse all endpoints for one that is none (Istio leaves it out, too)."""
    return text.startswith(_UNIX) or is_address(text)


def locality_endpoints(
    endpoints: Iterable[Endpoint], balancing: LocalityBalancing | None, caller: Caller
) -> list[dict[str, Any]]:
    """Endpoints by locality, with the weight and the priority that each locality has for a caller."""
    return [_lb_endpoints(group) for group in grouped(endpoints, balancing, caller)]


def _lb_endpoints(group: Group) -> dict[str, Any]:
    return {
        "locality": dict(zip(("region", "zone", "sub_zone"), group.place, strict=True)),
        "lb_endpoints": [_lb_endpoint(endpoint) for endpoint in group.members],
        "load_balancing_weight": {"value": group.weight},
        "priority": group.priority,
    }


def _lb_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if endpoint.namespace:
        metadata[METADATA] = struct({PEER: _facts(endpoint).text})
    if endpoint.mutual_tls:
        metadata["envoy.transport_socket_match"] = struct({"tlsMode": "istio"})
    made: dict[str, Any] = {
        "endpoint": _host(endpoint),
        "load_balancing_weight": {"value": endpoint.weight},
    }
    return {**made, "metadata": {"filter_metadata": metadata}} if metadata else made


def _facts(endpoint: Endpoint) -> Subject:
    """What metrics tell of a workload, as its certificate has it."""
    return Subject(
        endpoint.workload,
        endpoint.namespace,
        endpoint.canonical_name,
        endpoint.canonical_revision,
        CLUSTER_ID,
    )


def _host(endpoint: Endpoint) -> dict[str, Any]:
    """Of several addresses Envoy takes the first that answers (Happy Eyeballs, RFC 8305)."""
    if endpoint.address.startswith(_UNIX):
        return {"address": {"pipe": {"path": endpoint.address.removeprefix(_UNIX)}}}
    first, *more = (
        {"address": {"socket_address": {"address": address, "port_value": endpoint.port}}}
        for address in (endpoint.address, *endpoint.more)
    )
    return {**first, "additional_addresses": more} if more else first
