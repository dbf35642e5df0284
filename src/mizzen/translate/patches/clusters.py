"""Patches of clusters."""

from mizzen.config.types.envoy_filter import ClusterMatch, EnvoyConfigObjectPatch
from mizzen.proto.api import Cluster
from mizzen.translate.built import ResourceRef
from mizzen.translate.clusters.outbound import ClusterKey


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
    key = next((item for item in ref.arguments if isinstance(item, ClusterKey)), None)
    if key is None:
        # An inbound cluster: its service is the workload itself, which stands in no match.
        return not match.service and not match.subset and match.port_number in ref.arguments
    return (
        match.service in {"", key.service.host}
        and match.subset in {"", key.subset}
        and match.port_number in {0, key.port}
    )
