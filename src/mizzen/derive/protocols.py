"""Which protocol a port speaks. Source: Istio's protocol selection (appProtocol first, then the port's name)."""

from mizzen.model.service import Protocol

BY_NAME = {
    "http": Protocol.HTTP,
    "http1": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "grpc": Protocol.GRPC,
    "grpc-web": Protocol.GRPC_WEB,
    "tcp": Protocol.TCP,
    "mongo": Protocol.MONGO,
    "mysql": Protocol.MYSQL,
    "redis": Protocol.REDIS,
    "tls": Protocol.TLS,
    "https": Protocol.HTTPS,
    "udp": Protocol.UDP,
}
BY_APP_PROTOCOL = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}


def port_protocol(name: str, app_protocol: str = "", transport: str = "") -> Protocol:
    """The protocol of a port of a service or a Sidecar; AUTO where nothing says it: the proxies look."""
    if transport.upper() == "UDP":
        return Protocol.UDP
    if app_protocol:
        declared = BY_APP_PROTOCOL.get(app_protocol.lower()) or _named(app_protocol)
        if declared is not None:
            return declared
    return _named(name) or Protocol.AUTO


def _named(name: str) -> Protocol | None:
    """The whole name, or what stands before its first dash: "http", "http-admin"."""
    lowered = name.lower()
    if lowered == "grpc-web" or lowered.startswith("grpc-web-"):
        return BY_NAME["grpc-web"]
    return BY_NAME.get(lowered.partition("-")[0])
