"""Outbound clusters, shared by the whole mesh: their key names no client, but where clients differ."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mizzen.config.types.networking import SimpleLB
from mizzen.derive.destination_rules import RuleKeys, subset_names
from mizzen.derive.endpoints import service_endpoints
from mizzen.derive.mesh import mesh_config
from mizzen.derive.services import service
from mizzen.incremental import Database, query
from mizzen.model.service import Protocol, Resolution, Service, ServicePort, ServiceRef
from mizzen.proto.api import Cluster, Struct
from mizzen.translate import names
from mizzen.translate.built import Built, Origin, ResourceRef, built, pack, struct
from mizzen.translate.callers import ANYONE, HOST, NONE, Caller, Distinction
from mizzen.translate.clusters import discovery
from mizzen.translate.clusters.connection_pool import HTTP_OPTIONS, apply_connection_pool, http_options
from mizzen.translate.clusters.load_balancing import load_balancing
from mizzen.translate.clusters.outlier_detection import apply_error_codes, apply_outlier_detection
from mizzen.translate.clusters.transport import apply_proxy_protocol, apply_transport, origination_secrets
from mizzen.translate.endpoints import load_assignment, locality_endpoints, of_subset
from mizzen.translate.locality import (
    LocalityBalancing,
    apply_locality_balancing,
    distinction,
    locality_balancing,
)
from mizzen.translate.telemetry.metrics import METADATA, SERVICE, service_names
from mizzen.translate.traffic_policy import EffectivePolicy, effective_policy, policy_origins
from mizzen.xds.resource import CLUSTER, ENDPOINT


@dataclass(frozen=True, slots=True)
class ClusterKey:
    """The whole input of an outbound cluster: the service, the port, the subset, the DestinationRules that hold.

    `caller` is what of the callers makes a difference to it: mostly nothing.
    """

    service: ServiceRef
    port: int
    subset: str
    rules: RuleKeys
    caller: Caller = ANYONE


@query
def outbound_cluster(db: Database, key: ClusterKey) -> Built:
    """outbound|<port>|<subset>|<host>."""
    found = service(db, key.service)
    port = found.port(key.port) if found else None
    if found is None or port is None:
        raise LookupError(f"{key.service.host} has no port {key.port}")
    mesh = mesh_config(db)
    policy = effective_policy(db, key.rules, key.subset, key.port)
    cluster = Cluster(
        name=names.outbound_cluster(key.port, key.subset, found.host),
        metadata={"filter_metadata": {METADATA: _metadata(found)}},
        **load_balancing(policy.load_balancer),
    )
    options = http_options(port.protocol, mesh, policy.connection_pool, sniffs=not key.caller.edge)
    if found.resolution is Resolution.DYNAMIC_DNS:
        insecure = policy.tls is not None and bool(policy.tls.insecure_skip_verify)
        discovery.by_request(cluster, options, mesh, insecure=insecure)
    else:
        _apply_discovery(db, cluster, key, found, port, policy)
    apply_connection_pool(cluster, mesh, policy.connection_pool, policy.retry_budget)
    if policy.outlier_detection is not None:
        apply_outlier_detection(cluster, policy.outlier_detection)
        apply_error_codes(options, policy.outlier_detection)
    apply_locality_balancing(cluster, _balancing(db, key))
    apply_transport(db, cluster, options, found, port, key.subset, policy.tls)
    apply_proxy_protocol(cluster, policy.proxy_protocol)
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(pack(options))
    cluster.alt_stat_name = names.stat_name(mesh.outbound_cluster_stat_name, found, port, key.subset)
    origins = (Origin("", key.service.source), *policy_origins(db, key.rules, key.subset))
    warms = ((ENDPOINT, cluster.name),) if cluster.type == Cluster.DiscoveryType.EDS else ()
    return built(CLUSTER, cluster, origins, warms)


def _metadata(found: Service) -> Struct:
    return struct({SERVICE: service_names(found.host, found.name, found.namespace)})


def _apply_discovery(
    db: Database,
    cluster: Cluster,
    key: ClusterKey,
    found: Service,
    port: ServicePort,
    policy: EffectivePolicy,
) -> None:
    balancing = policy.load_balancer
    if found.resolution is Resolution.NONE:
        discovery.as_called(cluster, override=port.target if isinstance(port.target, int) else 0)
    elif _calls_instances(found, key.caller):
        moved = isinstance(port.target, int) and port.target != port.number
        discovery.as_called(cluster, override=int(port.target) if moved else 0)
    elif balancing and balancing.simple is SimpleLB.PASSTHROUGH:
        # Envoy refuses a cluster that finds endpoints and then leaves the choice to the caller.
        discovery.as_called(cluster, override=0)
    elif found.resolution in discovery.BY_DNS:
        endpoints = service_endpoints(db, key.service, key.port) or (discovery.host_as_endpoint(found, port),)
        chosen = of_subset(db, endpoints, key.rules, key.subset)
        localities = locality_endpoints(chosen, _balancing(db, key), key.caller)
        discovery.by_dns(cluster, mesh_config(db), found.resolution, localities)
    else:
        discovery.by_discovery(cluster)


def _calls_instances(found: Service, caller: Caller) -> bool:
    """Whether the caller's application has chosen an instance, by its address: so it is with a headless service. Who does
    not know the address that was called (a gateway, a proxy without capture) chooses an instance itself.
    """
    return found.headless and caller.captures


def _balancing(db: Database, key: ClusterKey) -> LocalityBalancing | None:
    return locality_balancing(db, key.service, key.port, key.subset, key.rules)


# --- which clusters there are -----------------------------------------------------------------------------------


@query
def service_clusters(
    db: Database, ref: ServiceRef, ports: tuple[int, ...], rules: RuleKeys, caller: Caller
) -> tuple[ResourceRef, ...]:
    """A cluster for these ports and every subset of a service; its endpoints where they come by discovery, and the files that
    its TLS needs.
    """
    found = service(db, ref)
    if found is None:
        return ()
    discovered = found.resolution is Resolution.STATIC and not _calls_instances(found, caller)
    refs = []
    for key in _keys(db, ref, ports, rules):
        name = names.outbound_cluster(key.port, key.subset, ref.host)
        own, endpoints = _distinctions(db, key)
        refs.append(ResourceRef(CLUSTER, name, outbound_cluster, (replace(key, caller=own.of(caller)),)))
        if discovered:
            arguments = (ref, key.port, key.subset, rules, endpoints.of(caller))
            refs.append(ResourceRef(ENDPOINT, name, load_assignment, arguments))
        refs += _secrets(db, rules, key.subset, key.port)
    return tuple(refs)


@query
def _secrets(db: Database, rules: RuleKeys, subset: str, port: int) -> tuple[ResourceRef, ...]:
    """Apart from the rest, so that another change of a policy lists nothing anew."""
    tls = effective_policy(db, rules, subset, port).tls
    return tuple(origination_secrets(mesh_config(db), tls)) if tls is not None else ()


@query
def service_distinction(
    db: Database, ref: ServiceRef, ports: tuple[int, ...], rules: RuleKeys
) -> Distinction:
    """What of its callers changes any cluster of a service, or its endpoints."""
    found = NONE
    for key in _keys(db, ref, ports, rules):
        own, endpoints = _distinctions(db, key)
        found |= own | endpoints
    return found


def _keys(db: Database, ref: ServiceRef, ports: tuple[int, ...], rules: RuleKeys) -> Iterator[ClusterKey]:
    for port in ports:
        for subset in ("", *subset_names(db, rules)):
            yield ClusterKey(ref, port, subset, rules)


def _distinctions(db: Database, key: ClusterKey) -> tuple[Distinction, Distinction]:
    """What of its callers changes a cluster, and what its endpoints, which may stand in it (DNS)."""
    found = service(db, key.service)
    port = found.port(key.port) if found else None
    edge = Distinction(
        edge=port is not None and port.protocol is Protocol.AUTO,
        captures=found is not None and found.headless,
    )
    place = distinction(_balancing(db, key))
    if found is not None and found.same_node_only:
        place |= Distinction(labels=frozenset({HOST}))
    by_dns = found is not None and found.resolution in discovery.BY_DNS
    return (edge | place, NONE) if by_dns else (edge, place)
