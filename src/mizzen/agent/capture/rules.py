"""The rules of capture: a pure function of the options.

They are Istio's (`istio-iptables`, `istio-nftables`), for both families at once, with two of our own: what has certain
marks passes, and so does what certain users send. The order within a chain matters.

By REDIRECT (and for outbound traffic always) a connection is addressed anew to the proxy's port, which then asks the
kernel where it was meant to go. By TPROXY the packets stay as they are: they are marked, routed to this machine by the
mark (`routing.py`), and handed to the proxy's socket; so the proxy sees the caller's address without asking, and calls the
application from that very address.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from mizzen.agent.capture.model import (
    OUTPUT,
    PREROUTING,
    Address,
    ConnectionMark,
    ConnectionState,
    Interface,
    Jump,
    Mark,
    Match,
    OwnedBy,
    Owner,
    Port,
    Redirect,
    Rule,
    SetMark,
    SetZone,
    Side,
    Simple,
    Table,
    TransparentProxy,
    Transport,
    Verdict,
    Way,
    reachable,
)
from mizzen.agent.capture.options import EVERY, CaptureOptions, Network

# From here Envoy calls the application behind it, where it does not do so from the caller's address.
INBOUND_SOURCES: Final = (IPv4Network("127.0.0.6/32"), IPv6Network("::6/128"))
_LOOPBACK_IPV6: Final = IPv6Network("::1/128")
_DNS: Final = 53
# Zones of connection tracking: what the agent asks on, and what the application asks. Both may have the same addresses
# and ports, and then the agent's question would be taken for the application's and redirected to the agent.
_ASKED_ON, _ASKED = 1, 2

_INBOUND, _OUTBOUND, _DNS_OUT, _DNS_IN = "inbound", "outbound", "dns-out", "dns-in"
_REDIRECT_IN, _REDIRECT_OUT = "redirect-in", "redirect-out"
_DIVERT, _TPROXY = "divert", "tproxy"

_TCP: Final = Transport("tcp")
_UDP: Final = Transport("udp")
_TO_LO: Final = Interface(Way.OUT, "lo")
_FROM_LO: Final = Interface(Way.IN, "lo")


def capture_tables(options: CaptureOptions) -> tuple[Table, ...]:
    """The tables nat, mangle and raw, as far as they have rules."""
    tables = (_nat(options), _mangle(options), _raw(options))
    return tuple(table for table in map(reachable, tables) if table.chains)


def _nat(options: CaptureOptions) -> Table:
    return Table(
        "nat",
        {
            PREROUTING: (
                *_virtual_machines(options),
                *_not_from_interfaces(options),
                *_enter_inbound(options),
            ),
            OUTPUT: (*_passing(options), *_not_to_interfaces(options), _rule(Jump(_OUTBOUND))),
            _INBOUND: tuple(_inbound(options)),
            _REDIRECT_OUT: (_rule(Redirect(options.outbound_port), _TCP),),
            _REDIRECT_IN: (_rule(Redirect(options.inbound_port), _TCP),),
            _OUTBOUND: tuple(_outbound(options)),
            _DNS_OUT: tuple(_dns(options)),
        },
    )


def _rule(verdict: Verdict, *matches: Match) -> Rule:
    return Rule(matches, verdict)


def _leave(*matches: Match) -> Rule:
    return Rule(matches, Simple.RETURN)


def _to_port(*ports: int, negate: bool = False) -> Port:
    return Port(Side.DESTINATION, ports, negate)


def _to(network: Network, *, negate: bool = False) -> Address:
    return Address(Side.DESTINATION, network, negate)


def _loopbacks(options: CaptureOptions) -> Sequence[Network]:
    return (options.loopback, *((_LOOPBACK_IPV6,) if options.ipv6 else ()))


def _inbound_sources(options: CaptureOptions) -> Sequence[Network]:
    return INBOUND_SOURCES if options.ipv6 else INBOUND_SOURCES[:1]


def _of_families(options: CaptureOptions, networks: Sequence[Network]) -> list[Network]:
    """IPv4 first."""
    allowed = [network for network in networks if options.ipv6 or network.version == 4]
    return sorted(allowed, key=lambda network: network.version)


def _virtual_machines(options: CaptureOptions) -> Iterator[Rule]:
    """What comes from the interface of a virtual machine goes out, if at all."""
    interfaces = [Interface(Way.IN, name) for name in reversed(options.virtual_interfaces)]
    if options.include_outbound_cidrs == EVERY:
        yield from (_rule(Jump(_REDIRECT_OUT), interface) for interface in interfaces)
    else:
        for cidr in reversed(_of_families(options, options.include_outbound_cidrs)):
            yield from (_rule(Jump(_REDIRECT_OUT), interface, _to(cidr)) for interface in interfaces)
    yield from (_leave(interface) for interface in interfaces)


def _not_from_interfaces(options: CaptureOptions) -> list[Rule]:
    return [_leave(Interface(Way.IN, name)) for name in options.exclude_interfaces]


def _not_to_interfaces(options: CaptureOptions) -> list[Rule]:
    return [_leave(Interface(Way.OUT, name)) for name in options.exclude_interfaces]


def _passing(options: CaptureOptions) -> list[Rule]:
    return [_leave(Mark(mark)) for mark in options.pass_marks]


def _enter_inbound(options: CaptureOptions) -> list[Rule]:
    redirects = options.include_inbound_ports and not options.tproxy
    return [_rule(Jump(_INBOUND), _TCP)] if redirects else []


def _inbound(options: CaptureOptions) -> Iterator[Rule]:
    yield _leave(_TCP, _to_port(options.tunnel_port))  # there Envoy listens itself
    yield from _not_to_inbound_ports(options)
    yield from (_rule(Jump(_REDIRECT_IN), *matches) for matches in _included_inbound(options))


def _not_to_inbound_ports(options: CaptureOptions) -> Iterator[Rule]:
    if options.include_inbound_ports == EVERY:
        yield from (_leave(_TCP, _to_port(port)) for port in options.exclude_inbound_ports)


def _included_inbound(options: CaptureOptions) -> Sequence[Sequence[Match]]:
    if options.include_inbound_ports == EVERY:
        return [(_TCP,)]
    return [(_TCP, _to_port(port)) for port in options.include_inbound_ports]


def _outbound(options: CaptureOptions) -> Iterator[Rule]:
    for port in options.exclude_outbound_ports:
        yield from (_leave(transport, _to_port(port)) for transport in (_TCP, _UDP))
    for source in _inbound_sources(options):
        yield _leave(_TO_LO, Address(Side.SOURCE, source))
    for uid in options.proxy_uids:
        yield from _of_the_proxy(options, OwnedBy(Owner.UID, uid), OwnedBy(Owner.UID, uid, negate=True))
    for gid in options.proxy_gids:
        yield from _of_the_proxy(options, OwnedBy(Owner.GID, gid), OwnedBy(Owner.GID, gid, negate=True))
    if options.proxy_mark:
        yield from _of_the_proxy(options, Mark(options.proxy_mark), Mark(options.proxy_mark, negate=True))
    yield from (_leave(OwnedBy(Owner.UID, uid)) for uid in options.exclude_uids)
    yield from _owner_groups(options)
    yield _rule(Jump(_DNS_OUT))
    yield from (_leave(_to(loopback)) for loopback in _loopbacks(options))
    yield from (_leave(_to(cidr)) for cidr in _of_families(options, options.exclude_outbound_cidrs))
    for port in options.include_outbound_ports:
        yield _rule(Jump(_REDIRECT_OUT), _TCP, _to_port(port))
    if options.include_outbound_cidrs == EVERY:
        yield _rule(Jump(_REDIRECT_OUT))
    else:
        for cidr in _of_families(options, options.include_outbound_cidrs):
            yield _rule(Jump(_REDIRECT_OUT), _to(cidr))


def _of_the_proxy(options: CaptureOptions, own: Match, of_others: Match) -> Iterator[Rule]:
    asks_agent = options.dns_servers != ()
    by_group = isinstance(own, OwnedBy) and own.owner is Owner.GID
    # DNS: the agent asks a server in this workload, not the proxy's front door. (By group Istio knows no such case.)
    own_ports = (_DNS, options.tunnel_port) if asks_agent and not by_group else (options.tunnel_port,)
    # Envoy calls a service whose endpoint is this very workload: in by the front door.
    for loopback in _loopbacks(options):
        ports = _to_port(*own_ports, negate=True)
        yield _rule(Jump(_REDIRECT_IN), _TO_LO, _to(loopback, negate=True), _TCP, ports, own)
    # The application calls itself.
    if not options.includes_loopback:
        but_dns = (_TCP, _to_port(_DNS, negate=True)) if asks_agent else ()
        yield _leave(_TO_LO, *but_dns, of_others)
    yield _leave(own)


def _owner_groups(options: CaptureOptions) -> Iterator[Rule]:
    if options.include_owner_groups == EVERY:
        yield from (_leave(OwnedBy(Owner.GID, gid)) for gid in options.exclude_owner_groups)
    else:
        yield _leave(*(OwnedBy(Owner.GID, gid, negate=True) for gid in options.include_owner_groups))


def _dns(options: CaptureOptions) -> Iterator[Rule]:
    for transport in (_TCP, _UDP):
        for server in _servers(options, Side.DESTINATION):
            yield _rule(Redirect(options.dns_port), *server, transport, _to_port(_DNS))


def _servers(options: CaptureOptions, side: Side) -> list[tuple[Match, ...]]:
    """What matches each of the DNS servers whose questions are captured."""
    if options.dns_servers == EVERY:
        return [()]
    networks = [ip_network(server) for server in options.dns_servers]
    return [(Address(side, network),) for network in _of_families(options, networks)]


def _raw(options: CaptureOptions) -> Table:
    """DNS over UDP has no connection that could be told apart by more than addresses and ports."""
    asks_agent = options.dns_servers != ()
    return Table(
        "raw",
        {
            PREROUTING: (_rule(Jump(_DNS_IN)),) if asks_agent else (),
            OUTPUT: (_rule(Jump(_DNS_OUT)),) if asks_agent else (),
            _DNS_OUT: tuple(_zones_out(options)),
            _DNS_IN: tuple(
                _rule(SetZone(_ASKED_ON), _UDP, Port(Side.SOURCE, (_DNS,)), *server)
                for server in _servers(options, Side.SOURCE)
            ),
        },
    )


def _zones_out(options: CaptureOptions) -> Iterator[Rule]:
    answers = Port(Side.SOURCE, (options.dns_port,))
    for own in _owners(options):
        yield _rule(SetZone(_ASKED_ON), _UDP, _to_port(_DNS), own)
        yield _rule(SetZone(_ASKED), _UDP, answers, own)
    for mark in options.pass_marks:
        yield _rule(SetZone(_ASKED_ON), _UDP, _to_port(_DNS), Mark(mark))
    if options.pass_marks:  # the agent is none of the proxy's users
        yield _rule(SetZone(_ASKED), _UDP, answers)
    for server in _servers(options, Side.DESTINATION):
        yield _rule(SetZone(_ASKED), _UDP, _to_port(_DNS), *server)


def _owners(options: CaptureOptions) -> list[Match]:
    by_uid: list[Match] = [OwnedBy(Owner.UID, uid) for uid in options.proxy_uids]
    by_gid: list[Match] = [OwnedBy(Owner.GID, gid) for gid in options.proxy_gids]
    return [*by_uid, *by_gid, *([Mark(options.proxy_mark)] if options.proxy_mark else [])]


def _mangle(options: CaptureOptions) -> Table:
    invalid = [_rule(Simple.DROP, _TCP, ConnectionState(("invalid",)))] if options.drop_invalid else []
    if not options.tproxy:
        return Table("mangle", {PREROUTING: tuple(invalid)})
    enter = [_rule(Jump(_INBOUND), _TCP)] if options.include_inbound_ports else []
    marked = Mark(options.tproxy_mark)
    return Table(
        "mangle",
        {
            PREROUTING: (
                *_not_from_interfaces(options),
                *invalid,
                *enter,
                # Envoy's connections to the application carry the mark; the application's answers shall, too.
                _rule(Simple.SAVE_MARK, _TCP, marked),
            ),
            OUTPUT: (
                *_not_to_interfaces(options),
                _leave(_TO_LO, _TCP, marked),
                *_mark_returning(options),
                _rule(Simple.RESTORE_MARK, _TCP, ConnectionMark(options.tproxy_mark)),
            ),
            _INBOUND: tuple(_inbound_by_tproxy(options)),
            _DIVERT: (_rule(SetMark(options.tproxy_mark)), _rule(Simple.ACCEPT)),
            _TPROXY: tuple(
                _rule(
                    TransparentProxy(options.inbound_port, options.tproxy_mark),
                    _TCP,
                    _to(loopback, negate=True),
                )
                for loopback in _loopbacks(options)
            ),
        },
    )


def _mark_returning(options: CaptureOptions) -> Iterator[Rule]:
    """Envoy calls a service whose endpoint is this very workload. (A mark of its own it has already.)"""
    for own in _owners(options):
        if isinstance(own, OwnedBy):
            for loopback in _loopbacks(options):
                yield _rule(SetMark(options.returning_mark), _TO_LO, _TCP, _to(loopback, negate=True), own)


def _inbound_by_tproxy(options: CaptureOptions) -> Iterator[Rule]:
    yield _leave(_TCP, Mark(options.tproxy_mark))
    for source in _inbound_sources(options):
        yield _leave(_FROM_LO, _TCP, Address(Side.SOURCE, source))
    # The application calls itself.
    yield _leave(_FROM_LO, _TCP, Mark(options.returning_mark, negate=True))
    yield from _not_to_inbound_ports(options)
    for matches in _included_inbound(options):
        known = ConnectionState(("established", "related"))
        yield _rule(Jump(_DIVERT), *matches, known)
        yield _rule(Jump(_TPROXY), *matches)
