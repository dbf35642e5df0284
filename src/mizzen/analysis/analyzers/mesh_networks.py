"""Does every registry that a network of MeshNetworks names exist?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.objects import resources
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.mesh import MeshNetworks
from mizzen.incremental import Database, query

_BUILT_IN = frozenset({"Kubernetes", "External", "Mock"})
_MULTI_CLUSTER = "istio/multiCluster"  # the label of secrets that hold other clusters' credentials


@analyzer("MeshNetworks", codes="IST0126")
def mesh_networks(db: Database, resource: Resource[MeshNetworks]) -> Findings:
    known = _BUILT_IN | remote_clusters(db)
    for name, network in resource.spec.networks.items():
        for index, endpoint in enumerate(network.endpoints):
            registry = endpoint.from_registry
            if registry and registry not in known:
                path = ("spec", "networks", name, "endpoints", index, "fromRegistry")
                message = f'the network "{name}" has endpoints of "{registry}", and there is no such cluster'
                yield Finding("IST0126", path, message, f"known: {', '.join(sorted(known))}")


@query
def remote_clusters(db: Database) -> frozenset[str]:
    """The clusters for which there are credentials. (stringData is only read from files; an API server has data.)"""
    secrets = (secret for secret in resources(db, "Secret") if secret.labels.get(_MULTI_CLUSTER) == "true")
    return frozenset(name for secret in secrets for name in secret.spec.data)
