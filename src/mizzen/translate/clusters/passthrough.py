"""Clusters that stand for no service: where what is unknown goes, and where what must not leave goes."""

from mizzen.derive.mesh import mesh_config
from mizzen.incremental import Database, query
from mizzen.model.service import Protocol
from mizzen.proto.api import Cluster
from mizzen.translate import names
from mizzen.translate.built import Built, built, pack
from mizzen.translate.clusters.connection_pool import (
    HTTP_OPTIONS,
    PASSTHROUGH_IDLE_TIMEOUT,
    apply_connection_pool,
    http_options,
)
from mizzen.xds.resource import CLUSTER


@query
def black_hole_cluster(db: Database) -> Built:
    """Where what must not leave goes: a cluster without endpoints."""
    return built(
        CLUSTER,
        Cluster(name=names.BLACK_HOLE, type="STATIC", connect_timeout=mesh_config(db).connect_timeout),
    )


@query
def passthrough_cluster(db: Database) -> Built:
    """Where traffic to unknown destinations goes under ALLOW_ANY: where the application meant it to go."""
    return built(CLUSTER, original_destination(db, names.PASSTHROUGH))


def original_destination(db: Database, name: str) -> Cluster:
    """A cluster that goes where the connection meant to go, by the protocol that it speaks."""
    mesh = mesh_config(db)
    pool = mesh.default_traffic_policy.connection_pool if mesh.default_traffic_policy else None
    cluster = Cluster(name=name, type="ORIGINAL_DST", lb_policy="CLUSTER_PROVIDED")
    apply_connection_pool(cluster, mesh, pool)
    options = http_options(Protocol.AUTO, mesh, pool, upgrades=False)
    if not options.common_http_protocol_options.HasField("idle_timeout"):
        options.common_http_protocol_options.idle_timeout.FromTimedelta(PASSTHROUGH_IDLE_TIMEOUT)
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(pack(options))
    return cluster
