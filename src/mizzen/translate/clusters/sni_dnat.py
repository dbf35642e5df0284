"""Clusters of AUTO_PASSTHROUGH gateways: where mutual TLS of the mesh goes, by its server name, without being ended.

Source: Istio's SNI-DNAT clusters. They hold only endpoints whose proxy accepts mutual TLS: a gateway must not be a way to
reach an application in the clear, or one without a proxy at all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mizzen.derive.destination_rules import RuleKeys, rules_for, subset_names
from mizzen.derive.endpoints import service_endpoints
from mizzen.derive.hosts import matches
from mizzen.derive.mesh import mesh_config
from mizzen.derive.services import service
from mizzen.derive.visibility import visible_ports, visible_services
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope
from mizzen.model.service import Resolution, ServiceRef
from mizzen.proto.api import Cluster, ClusterLoadAssignment
from mizzen.translate import names
from mizzen.translate.built import Built, Origin, ResourceRef, built
from mizzen.translate.callers import ANYONE
from mizzen.translate.clusters import discovery
from mizzen.translate.clusters.connection_pool import apply_connection_pool
from mizzen.translate.clusters.load_balancing import load_balancing
from mizzen.translate.endpoints import locality_endpoints, of_subset
from mizzen.translate.traffic_policy import effective_policy, policy_origins
from mizzen.xds.resource import CLUSTER, ENDPOINT


@dataclass(frozen=True, slots=True)
class Passage:
    """A port of a service, or of a subset of it, that a gateway passes mutual TLS on to. The whole input of its cluster."""

    service: ServiceRef
    port: int
    subset: str
    rules: RuleKeys

    @property
    def name(self) -> str:
        """Of the cluster: the server name by which a proxy of the mesh calls it."""
        return names.server_name(self.port, self.subset, self.service.host)


def passages(db: Database, scope: OutboundScope, hosts: Iterable[str]) -> Iterator[Passage]:
    """All of the services under some hosts that a gateway sees, and that are of the mesh."""
    patterns = tuple(hosts)
    for ref in visible_services(db, scope):
        if "*" not in ref.host and any(matches(pattern, ref.host) for pattern in patterns):
            yield from _passages(db, scope, ref)


def _passages(db: Database, scope: OutboundScope, ref: ServiceRef) -> Iterator[Passage]:
    """Only where discovery says who accepts mutual TLS: names that DNS resolves may lead anywhere."""
    found = service(db, ref)
    if found is None or found.mesh_external or found.resolution is not Resolution.STATIC:
        return
    rules = rules_for(db, scope, ref)
    for port in visible_ports(db, scope, ref):
        if port.protocol.is_stream:
            for subset in ("", *subset_names(db, rules)):
                yield Passage(ref, port.number, subset, rules)


def passage_refs(passage: Passage) -> Iterator[ResourceRef]:
    yield ResourceRef(CLUSTER, passage.name, passage_cluster, (passage,))
    yield ResourceRef(ENDPOINT, passage.name, passage_endpoints, (passage,))


@query
def passage_cluster(db: Database, passage: Passage) -> Built:
    """outbound_.<port>_.<subset>_.<host>: what the caller encrypted stays so."""
    policy = effective_policy(db, passage.rules, passage.subset, passage.port)
    cluster = Cluster(name=passage.name, **load_balancing(policy.load_balancer))
    discovery.by_discovery(cluster)
    apply_connection_pool(cluster, mesh_config(db), policy.connection_pool)
    origins = (
        Origin("", passage.service.source),
        *policy_origins(db, passage.rules, passage.subset),
    )
    return built(CLUSTER, cluster, origins, ((ENDPOINT, passage.name),))


@query
def passage_endpoints(db: Database, passage: Passage) -> Built:
    """The endpoints whose proxy accepts mutual TLS, by the caller's gateway as by any proxy."""
    endpoints = (one for one in service_endpoints(db, passage.service, passage.port) if one.mutual_tls)
    chosen = of_subset(db, endpoints, passage.rules, passage.subset)
    localities = locality_endpoints(chosen, None, ANYONE)
    message = ClusterLoadAssignment(cluster_name=passage.name, endpoints=localities)
    return built(ENDPOINT, message, (Origin("", passage.service.source),))
