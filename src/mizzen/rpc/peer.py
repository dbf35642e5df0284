"""Who is at the other end of a connection, as TLS proved it."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grpclib.server import Stream


@dataclass(frozen=True, slots=True)
class Peer:
    """A client. Everything but `address` is empty where it showed no certificate (or spoke plaintext).

    `identity` is the URI of its certificate: SPIFFE wants exactly one, so a certificate with none or several
    identifies nobody. `not_after` is in seconds since the epoch, `serial` is hexadecimal.
    """

    identity: str | None
    address: str
    not_after: float | None = None
    serial: str = ""


def peer_of(stream: Stream[Any, Any]) -> Peer:
    """The peer of a call, for its handler."""
    address = _address(stream.peer.addr())
    certificate = stream.peer.cert()
    return Peer(None, address) if not certificate else _certified(certificate, address)


def _address(name: Any) -> str:
    if not isinstance(name, tuple):
        return "unix"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _certified(certificate: Mapping[str, Any], address: str) -> Peer:
    uris = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]
    return Peer(
        identity=uris[0] if len(uris) == 1 else None,
        address=address,
        not_after=ssl.cert_time_to_seconds(certificate["notAfter"]),
        serial=certificate["serialNumber"].lower(),
    )
