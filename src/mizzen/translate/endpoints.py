"""Cluster load assignments: the endpoints of a service port, or of one of its subsets."""

from collections.abc import Iterable
from typing import Any

from mizzen.derive.destination_rules import RuleKeys, subset_labels
from mizzen.derive.endpoints import service_endpoints
from mizzen.derive.workloads import covers
from mizzen.incremental import Database, query
from mizzen.model.service import ServiceRef
from mizzen.model.workload import Endpoint
from mizzen.proto.api import ClusterLoadAssignment
from mizzen.translate import names
from mizzen.translate.built import Built, Origin, built, struct
from mizzen.translate.telemetry import METADATA
from mizzen.xds.resource import ENDPOINT


@query
def load_assignment(db: Database, ref: ServiceRef, port: int, subset: str, rules: RuleKeys) -> Built:
    """The endpoints of an outbound cluster. `rules` say which labels pick the subset."""
    endpoints = service_endpoints(db, ref, port)
    if subset:
        labels = subset_labels(db, rules, subset)
        endpoints = tuple(e for e in endpoints if labels is not None and covers(labels, e.labels))
    message = ClusterLoadAssignment(
        cluster_name=names.outbound_cluster(port, subset, ref.host), endpoints=locality_endpoints(endpoints)
    )
    return built(ENDPOINT, message, (Origin("", ref.source),))


def locality_endpoints(endpoints: Iterable[Endpoint]) -> list[dict[str, Any]]:
    """Endpoints grouped by locality, each group weighing what its members weigh."""
    groups: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        groups.setdefault(endpoint.locality, []).append(endpoint)
    return [
        {
            "locality": _locality(locality),
            "lb_endpoints": [_lb_endpoint(endpoint) for endpoint in members],
            "load_balancing_weight": {"value": sum(endpoint.weight for endpoint in members)},
        }
        for locality, members in sorted(groups.items())
    ]


def _locality(text: str) -> dict[str, str]:
    region, _, rest = text.partition("/")
    zone, _, sub_zone = rest.partition("/")
    return {"region": region, "zone": zone, "sub_zone": sub_zone}


def _lb_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        METADATA: struct(
            {
                "workload": endpoint.workload,
                "namespace": endpoint.namespace,
                "canonical_name": endpoint.canonical_name,
                "canonical_revision": endpoint.canonical_revision,
            }
        )
    }
    if endpoint.mutual_tls:
        metadata["envoy.transport_socket_match"] = struct({"tlsMode": "istio"})
    address = {"socket_address": {"address": endpoint.address, "port_value": endpoint.port}}
    return {
        "endpoint": {"address": address},
        "metadata": {"filter_metadata": metadata},
        "load_balancing_weight": {"value": endpoint.weight},
    }
