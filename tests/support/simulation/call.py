"""A simulated connection, and what became of it."""

from dataclasses import dataclass
from enum import Enum

from mizzen.frozen import EMPTY, FrozenMap


class Application(Enum):
    """What the caller speaks inside of the connection."""

    HTTP = "http"
    HTTP2 = "http2"
    TCP = "tcp"


class Security(Enum):
    """What the connection is wrapped in. MTLS is the mesh's own: a client certificate from its CA."""

    PLAINTEXT = "plaintext"
    TLS = "tls"
    MTLS = "mtls"


class Direction(Enum):
    """Who takes the connection first: the sidecar of the caller, that of the callee, or a socket of its own."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"
    GATEWAY = "gateway"


@dataclass(frozen=True)
class Call:
    """One connection, with one request on it where it speaks HTTP."""

    address: str
    port: int
    direction: Direction
    application: Application = Application.TCP
    security: Security = Security.PLAINTEXT
    alpn: tuple[str, ...] = ()  # offered in the TLS handshake
    sni: str = ""
    host: str = ""  # the Host header, or :authority
    path: str = "/"
    method: str = "GET"
    headers: FrozenMap[str, str] = EMPTY
    secret: str = "default"  # the name of the certificate that the callee must ask for in MTLS

    @property
    def is_http(self) -> bool:
        return self.application is not Application.TCP

    @property
    def is_plaintext(self) -> bool:
        return self.security is Security.PLAINTEXT


class Refusal(Enum):
    """Why a connection or request ends before a cluster, by the names of Istio's simulation."""

    NO_LISTENER = "ErrNoListener"
    NO_FILTER_CHAIN = "ErrNoFilterChain"
    MULTIPLE_FILTER_CHAINS = "ErrMultipleFilterChain"
    TLS = "ErrTLSError"  # plaintext where TLS is terminated
    MTLS = "ErrMTLSError"  # TLS without a certificate of the mesh where one is asked for, or the reverse
    PROTOCOL = "ErrProtocolError"  # bytes that the HTTP codec cannot read
    NO_VIRTUAL_HOST = "ErrNoVirtualHost"
    TLS_REDIRECT = "ErrTLSRedirect"
    NO_ROUTE = "ErrNoRoute"


@dataclass(frozen=True)
class Verdict:
    """What Envoy chose at each step, by name; "" from the step on that was not reached."""

    refusal: Refusal | None = None
    listener: str = ""
    filter_chain: str = ""
    route_config: str = ""  # of discovery; "" where the routes stand in the listener
    virtual_host: str = ""
    route: str = ""
    cluster: str = ""  # "" where the route answers by itself, or splits
