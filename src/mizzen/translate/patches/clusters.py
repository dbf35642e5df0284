"""Patches of clusters."""

from mizzen.config.types.envoy_filter import ClusterMatch, EnvoyConfigObjectPatch
from mizzen.proto.api import Cluster, HttpProtocolOptions
from mizzen.translate.built import ResourceRef, pack
from mizzen.translate.clusters.connection_pool import HTTP_OPTIONS
from mizzen.translate.clusters.inbound import InboundKey
from mizzen.translate.clusters.outbound import ClusterKey
from mizzen.translate.patches.values import merge_whole


def patch_cluster(cluster: Cluster, patch: EnvoyConfigObjectPatch) -> bool:
    """Merge a patch into a cluster; whether anything changed. Raises UnusableError.

    Patches that were written for older Envoys set `http2_protocol_options` on the cluster itself, which Envoy ignores
    beside the typed options that clusters have today: there it goes.
    """
    if not merge_whole(cluster, patch):
        return False
    if (
        cluster.HasField("http2_protocol_options")
        and HTTP_OPTIONS in cluster.typed_extension_protocol_options
    ):
        typed = cluster.typed_extension_protocol_options[HTTP_OPTIONS]
        options = HttpProtocolOptions.FromString(typed.value)
        options.explicit_http_config.http2_protocol_options.CopyFrom(cluster.http2_protocol_options)
        cluster.ClearField("http2_protocol_options")
        typed.CopyFrom(pack(options))
    return True


def cluster_matches(ref: ResourceRef, cluster: Cluster, patch: EnvoyConfigObjectPatch) -> bool:
    """Whether a patch means this cluster, by what it was made of."""
    match = patch.match.cluster if patch.match else None
    if match is None:
        return True
    if match.name:
        return match.name == cluster.name
    return _describes(match, ref)


def _describes(match: ClusterMatch, ref: ResourceRef) -> bool:
    if not (match.service or match.subset or match.port_number):
        return True
    key = ref.arguments[0] if ref.arguments else None
    if isinstance(key, InboundKey):
        # Its service is the workload itself, which stands in no match.
        return not match.service and not match.subset and match.port_number == key.port
    return isinstance(key, ClusterKey) and (
        match.service in {"", key.service.host}
        and match.subset in {"", key.subset}
        and match.port_number in {0, key.port}
    )
