"""How a proxy itself calls the service of an extension provider: through the cluster of its port."""

from typing import Any

from mizzen.translate import names


def cluster_of(host: str, port: int) -> str:
    return names.outbound_cluster(port, "", host)


def grpc_service(host: str, port: int) -> dict[str, Any]:
    """Envoy's GrpcService."""
    return {"envoy_grpc": {"cluster_name": cluster_of(host, port), "authority": host}}
