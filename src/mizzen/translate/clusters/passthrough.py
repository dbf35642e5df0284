"""Clusters that stand for no service: where what is unknown goes, and where what must not leave goes."""

from typing import Any

from mizzen.derive.mesh import mesh_config
from mizzen.incremental import Database, query
from mizzen.model.service import Protocol
from mizzen.proto.api import Cluster
from mizzen.translate import names
from mizzen.translate.built import Built, built, pack, struct
from mizzen.translate.clusters.connection_pool import (
    HTTP_OPTIONS,
    PASSTHROUGH_IDLE_TIMEOUT,
    apply_connection_pool,
    http_options,
)
from mizzen.translate.clusters.discovery import by_request
from mizzen.translate.clusters.transport import ORIGINATED, apply_auto_names, origination
from mizzen.translate.telemetry.metrics import METADATA, SERVICE, service_names
from mizzen.xds.resource import CLUSTER


def _unknown_service(name: str) -> dict[str, Any]:
    """Metadata by which metrics name what is no service of the mesh. (Istio's destination_service_name)"""
    return {"filter_metadata": {METADATA: struct({SERVICE: service_names("", name, "")})}}


@query
def black_hole_cluster(db: Database) -> Built:
    """Where what must not leave goes: a cluster without endpoints."""
    return built(
        CLUSTER,
        Cluster(
            name=names.BLACK_HOLE,
            type="STATIC",
            connect_timeout=mesh_config(db).connect_timeout,
            metadata=_unknown_service(names.BLACK_HOLE),
        ),
    )


@query
def passthrough_cluster(db: Database) -> Built:
    """Where traffic to unknown destinations goes under ALLOW_ANY: where the application meant it to go."""
    return built(CLUSTER, original_destination(db, names.PASSTHROUGH))


@query
def dynamic_dns_cluster(db: Database) -> Built:
    """Where requests to unknown hosts go under ALLOW_ANY_DYNAMIC_DNS: to the host that they name, in TLS if the mesh's
    policy says so.
    """
    mesh = mesh_config(db)
    pool = mesh.default_traffic_policy.connection_pool if mesh.default_traffic_policy else None
    cluster = Cluster(name=names.DYNAMIC_DNS, metadata=_unknown_service(names.DYNAMIC_DNS))
    apply_connection_pool(cluster, mesh, pool)
    options = http_options(Protocol.AUTO, mesh, pool, upgrades=False)
    tls = mesh.outbound_traffic_policy.tls
    by_request(cluster, options, mesh, insecure=tls is not None and bool(tls.insecure_skip_verify))
    if tls is not None and tls.mode in ORIGINATED:
        sans = tls.subject_alt_names
        cluster.transport_socket.CopyFrom(origination(mesh, tls, tls.sni, sans, http2=False))
        apply_auto_names(options, tls, sans)
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(pack(options))
    return built(CLUSTER, cluster)


def original_destination(db: Database, name: str) -> Cluster:
    """A cluster that goes where the connection meant to go, by the protocol that it speaks."""
    mesh = mesh_config(db)
    pool = mesh.default_traffic_policy.connection_pool if mesh.default_traffic_policy else None
    cluster = Cluster(
        name=name, type="ORIGINAL_DST", lb_policy="CLUSTER_PROVIDED", metadata=_unknown_service(name)
    )
    apply_connection_pool(cluster, mesh, pool)
    options = http_options(Protocol.AUTO, mesh, pool, upgrades=False)
    if not options.common_http_protocol_options.HasField("idle_timeout"):
        options.common_http_protocol_options.idle_timeout.FromTimedelta(PASSTHROUGH_IDLE_TIMEOUT)
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(pack(options))
    return cluster
