"""What DNS says about a name of the mesh."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

# Istio's pools of addresses for services that declare none. Neither is ever routed: class E, and a block of the
# benchmarking range (RFC 5180).
IPV4_POOL: Final = IPv4Network("240.240.0.0/16")
IPV6_POOL: Final = IPv6Network("2001:2::/48")


@dataclass(frozen=True, slots=True)
class Name:
    """The addresses of a name, of both families, or the name to ask for in its place (an ExternalName Service)."""

    addresses: tuple[str, ...] = ()
    external_name: str = ""
