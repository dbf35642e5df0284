"""Which filter chains an inbound port has: by its mutual TLS mode, and by what is known of its protocol.

Source: Istio's inbound filter chains, as tables. What no chain takes is closed.
"""

from dataclasses import dataclass
from enum import Enum

from mizzen.config.types.security import MutualTLSMode
from mizzen.model.service import Protocol
from mizzen.translate.tls import MESH_HTTP_ALPN, MESH_TCP_ALPN

CLEAR_TEXT_ALPN = ("http/1.1", "h2c")
"""What the HTTP inspector reports. HTTP/1.0 is not among it: Envoy would answer that an upgrade is required."""

_MESH_ALPN = (*MESH_HTTP_ALPN, MESH_TCP_ALPN)


class Content(Enum):
    """What a port's connections carry, as far as it was declared."""

    HTTP = "http"
    STREAM = "stream"
    SNIFFED = "sniffed"  # the proxy looks

    @classmethod
    def of(cls, protocol: Protocol) -> "Content":
        if protocol is Protocol.AUTO:
            return cls.SNIFFED
        return cls.HTTP if protocol.is_http else cls.STREAM


@dataclass(frozen=True, slots=True)
class Chain:
    """A filter chain: what it matches ("" and () are anything), and what it does."""

    transport: str = ""
    alpn: tuple[str, ...] = ()
    mutual: bool = False  # ends mTLS, with the workload's identity, from callers of the mesh
    http: bool = False


def _mesh(*alpn: str, http: bool = False) -> Chain:
    return Chain("tls", alpn, mutual=True, http=http)


_CLEAR_HTTP = Chain("raw_buffer", CLEAR_TEXT_ALPN, http=True)
_TLS_OF_THE_APPLICATION = Chain("tls")

_CHAINS = {
    # A stranger's TLS could not be HTTP to the application, which declared it in the clear.
    (MutualTLSMode.PERMISSIVE, Content.HTTP): (_mesh(*_MESH_ALPN, http=True), Chain("raw_buffer", http=True)),
    (MutualTLSMode.PERMISSIVE, Content.STREAM): (
        _mesh(*_MESH_ALPN),
        _TLS_OF_THE_APPLICATION,
        Chain("raw_buffer"),
    ),
    (MutualTLSMode.PERMISSIVE, Content.SNIFFED): (
        _mesh(*MESH_HTTP_ALPN, http=True),
        _mesh(MESH_TCP_ALPN),
        _TLS_OF_THE_APPLICATION,
        _CLEAR_HTTP,
        Chain("raw_buffer"),
    ),
    # TLS with whatever ALPN must show a certificate of the mesh.
    (MutualTLSMode.STRICT, Content.HTTP): (_mesh(http=True),),
    (MutualTLSMode.STRICT, Content.STREAM): (_mesh(),),
    (MutualTLSMode.STRICT, Content.SNIFFED): (_mesh(*MESH_HTTP_ALPN, http=True), _mesh()),
    (MutualTLSMode.DISABLE, Content.HTTP): (Chain(http=True),),
    (MutualTLSMode.DISABLE, Content.STREAM): (Chain(),),
    # No chain asks for TLS, so nothing looks for it: to the HTTP inspector it is a stream.
    (MutualTLSMode.DISABLE, Content.SNIFFED): (Chain(alpn=CLEAR_TEXT_ALPN, http=True), Chain()),
}


def chains_for(mode: MutualTLSMode, content: Content) -> tuple[Chain, ...]:
    """The chains of a port. No two match the same connection, whatever Envoy's order."""
    return _CHAINS[mode, content]
