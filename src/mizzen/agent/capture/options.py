"""What is captured, as one frozen value. Its words and their meaning are Istio's (`istio-iptables`)."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal

from mizzen.agent import ports

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
Every = Literal["*"]

EVERY: Final[Every] = "*"
HIGHEST_PORT: Final = 65535
# The agent's and the proxy's own; and whoever administers a host must not be locked out of it by a STRICT policy.
NEVER_INBOUND: Final = (22, ports.STATUS, ports.READINESS, ports.ENVOY_METRICS)
LOOPBACK: Final = IPv4Network("127.0.0.1/32")
TPROXY_MARK: Final = 1337
TPROXY_TABLE: Final = 133
# On what Envoy sends to its own workload: the way in by which it comes back. Istio's number.
RETURNING_MARK: Final = 1338


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureOptions:
    """Which of a workload's TCP connections, and which DNS questions, go to its proxy.

    The proxy's own connections are told by its users, its groups, or the mark on them (0: none). `pass_marks` are on
    connections that nothing may capture. Where ports are included by a list, the excluded ones have no effect; an
    outbound port that is included is captured whatever its address.
    """

    tproxy: bool = False  # what comes in is handed over as it is, so that the caller's address stays
    ipv6: bool = False

    outbound_port: int = ports.OUTBOUND
    inbound_port: int = ports.INBOUND
    tunnel_port: int = ports.HBONE
    dns_port: int = ports.DNS
    tproxy_mark: int = TPROXY_MARK
    tproxy_table: int = TPROXY_TABLE

    proxy_uids: tuple[int, ...] = ()
    proxy_gids: tuple[int, ...] = ()
    proxy_mark: int = 0
    pass_marks: tuple[int, ...] = ()

    include_inbound_ports: tuple[int, ...] | Every = EVERY
    exclude_inbound_ports: tuple[int, ...] = ()
    include_outbound_ports: tuple[int, ...] = ()
    exclude_outbound_ports: tuple[int, ...] = ()
    include_outbound_cidrs: tuple[Network, ...] | Every = EVERY
    exclude_outbound_cidrs: tuple[Network, ...] = ()
    exclude_interfaces: tuple[str, ...] = ()
    virtual_interfaces: tuple[str, ...] = ()  # of virtual machines: what they send is outbound
    include_owner_groups: tuple[int, ...] | Every = EVERY
    exclude_owner_groups: tuple[int, ...] = ()
    exclude_uids: tuple[int, ...] = ()
    dns_servers: tuple[Address, ...] | Every = EVERY  # whose questions the agent answers

    loopback: IPv4Network = LOOPBACK
    drop_invalid: bool = False  # packets that belong to no connection, instead of resetting it

    @property
    def returning_mark(self) -> int:
        return self.proxy_mark or RETURNING_MARK

    @property
    def includes_loopback(self) -> bool:
        """Whether the application's calls to itself by a loopback address are to be captured, too."""
        cidrs = self.include_outbound_cidrs
        return cidrs != EVERY and any(cidr.network_address.is_loopback for cidr in cidrs)


def parse_ports(text: str) -> tuple[int, ...]:
    """A list with commas. Raises ValueError in words for the user."""
    return tuple(_port(part) for part in parse_words(text))


def parse_ports_or_every(text: str) -> tuple[int, ...] | Every:
    return EVERY if text.strip() == EVERY else parse_ports(text)


def parse_cidrs(text: str) -> tuple[Network, ...]:
    """A list with commas; an address alone is a block of one. Raises ValueError in words for the user."""
    return tuple(_cidr(part) for part in parse_words(text))


def parse_cidrs_or_every(text: str) -> tuple[Network, ...] | Every:
    return EVERY if text.strip() == EVERY else parse_cidrs(text)


def parse_words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def resolv_conf_servers(text: str) -> tuple[Address, ...]:
    """The name servers of a resolv.conf that are addresses; their zones (`fe80::1%eth0`) cannot be matched and go."""
    words = (line.split() for line in text.splitlines())
    found = [parts[1].partition("%")[0] for parts in words if len(parts) > 1 and parts[0] == "nameserver"]
    return tuple(ip_address(server) for server in found if _is_address(server))


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= HIGHEST_PORT:
        raise ValueError(f"{text!r} is no port")
    return int(text)


def _cidr(text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no CIDR block, such as 10.0.0.0/8") from None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
