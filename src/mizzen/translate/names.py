"""Istio's names for Envoy resources: what people know from dashboards, logs and EnvoyFilters.

They are only ever written, never parsed: what a name was made of stands in the query's key.
"""

from mizzen.model.service import Service, ServicePort

BLACK_HOLE = "BlackHoleCluster"
PASSTHROUGH = "PassthroughCluster"
DYNAMIC_DNS = "AllowAnyDynamicDNSCluster"
PASSTHROUGH_CHAIN = "PassthroughFilterChain"
INBOUND_PASSTHROUGH = "InboundPassthroughCluster"
VIRTUAL_OUTBOUND = "virtualOutbound"
VIRTUAL_INBOUND = "virtualInbound"
HTTP_PROXY = "http_proxy"
SDS_CLUSTER = "sds-grpc"
_KUBERNETES = "kubernetes://"  # Istio's scheme for Secrets


def outbound_cluster(port: int, subset: str, host: str) -> str:
    return f"outbound|{port}|{subset}|{host}"


def inbound_cluster(port: int) -> str:
    return f"inbound|{port}||"


def server_name(port: int, subset: str, host: str) -> str:
    """The SNI of mesh traffic: Istio's form of the cluster name that a host name may have."""
    return f"outbound_.{port}_.{subset}_.{host}"


def listener(address: str, port: int) -> str:
    return f"{address}_{port}"


def route(port: int) -> str:
    return str(port)


def sniffed_route(host: str, port: int) -> str:
    return f"{host}:{port}"


def gateway_route(port: int, bind: str = "") -> str:
    """The routes of all plain HTTP servers of a port."""
    return f"http.{port}.{bind}" if bind else f"http.{port}"


def gateway_tls_route(port: int, port_name: str, gateway: str, namespace: str) -> str:
    """The routes of one HTTPS server."""
    return f"https.{port}.{port_name}.{gateway}.{namespace}"


def udp_listener(address: str, port: int) -> str:
    return f"udp_{address}_{port}"


def stat_name(pattern: str, found: Service, port: ServicePort, subset: str = "") -> str:
    """A cluster's name in statistics by MeshConfig's inboundClusterStatName or outboundClusterStatName; "": none."""
    words = {
        "%SERVICE%": f"{found.name}.{found.namespace}" if found.name != found.host else found.host,
        "%SERVICE_NAME%": found.name,
        "%SERVICE_FQDN%": found.host,
        "%SERVICE_PORT%": str(port.number),
        "%SERVICE_PORT_NAME%": port.name,
        "%TARGET_PORT%": str(port.target or port.number),
        "%SUBSET_NAME%": subset,
    }
    for word, value in words.items():
        pattern = pattern.replace(word, value)
    return pattern


def credential(name: str) -> str:
    """The SDS name of a Kubernetes Secret that a credentialName means."""
    return name if name.startswith(_KUBERNETES) else _KUBERNETES + name


def file_certificate(certificate: str, key: str) -> str:
    return f"file-cert:{certificate}~{key}"


def file_roots(roots: str, revoked: str = "") -> str:
    return f"file-root:{roots}~{revoked}" if revoked else f"file-root:{roots}"
