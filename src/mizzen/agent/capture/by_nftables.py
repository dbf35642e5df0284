"""The rules of capture as nf_tables has them: tables of our own beside those of others, replaced whole."""

from typing import Final

from mizzen.agent import nftables
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
    Way,
)

# Kinds and priorities of the chains that packets enter: those of iptables' tables of the same names.
_HOOKS: Final = {
    ("nat", PREROUTING): ("nat", -100),
    ("nat", OUTPUT): ("nat", -100),
    ("mangle", PREROUTING): ("filter", -150),
    ("mangle", OUTPUT): ("route", -150),
    ("raw", PREROUTING): ("filter", -300),
    ("raw", OUTPUT): ("filter", -300),
}
_SIMPLE: Final = {
    Simple.RETURN: nftables.leave(),
    Simple.ACCEPT: nftables.accept(),
    Simple.DROP: nftables.drop(),
    Simple.SAVE_MARK: nftables.save_mark(),
    Simple.RESTORE_MARK: nftables.restore_mark(),
}
_EVERY_TABLE: Final = tuple(
    (family, f"mizzen-{kind}") for family in ("inet", "ip") for kind in ("nat", "mangle", "raw")
)


def put_in_force(tables: tuple[Table, ...], *, ipv6: bool) -> None:
    """Replace what an earlier call put in force; all of it or nothing. Raises UserError, MissingError among them."""
    nftables.replace_tables(_EVERY_TABLE, as_nftables(tables, ipv6=ipv6))


def as_nftables(tables: tuple[Table, ...], *, ipv6: bool) -> tuple[nftables.Table, ...]:
    return tuple(_table(table, "inet" if ipv6 else "ip") for table in tables)


def _table(table: Table, family: str) -> nftables.Table:
    chains = []
    for name, rules in table.chains.items():
        kind, priority = _HOOKS.get((table.kind, name), ("nat", 0))
        hook = name if (table.kind, name) in _HOOKS else ""
        chains.append(nftables.Chain(name, tuple(map(_rule, rules)), hook, priority, kind))
    return nftables.Table(f"mizzen-{table.kind}", tuple(chains), family)


def _rule(rule: Rule) -> nftables.Rule:
    return nftables.rule(*map(_match, rule.matches), _verdict(rule))


def _match(match: Match) -> nftables.Part:
    match match:
        case Transport(name):
            return nftables.transport(name)
        case Port():
            return _port(match)
        case Address(side, network, negate):
            build = nftables.source_address if side is Side.SOURCE else nftables.destination_address
            return build(str(network), negate=negate)
        case Interface(way, name):
            return nftables.input_interface(name) if way is Way.IN else nftables.output_interface(name)
        case OwnedBy(owner, number, negate):
            build_owner = nftables.socket_uid if owner is Owner.UID else nftables.socket_gid
            return build_owner(number, negate=negate)
        case Mark(value, negate):
            return nftables.mark(value, negate=negate)
        case ConnectionMark(value):
            return nftables.connection_mark(value)
        case ConnectionState(names):
            return nftables.connection_state(*names)


def _port(match: Port) -> nftables.Part:
    if match.negate:
        return nftables.destination_port_not(*match.ports)
    (port,) = match.ports
    return nftables.source_port(port) if match.side is Side.SOURCE else nftables.destination_port(port)


def _verdict(rule: Rule) -> nftables.Part:
    match rule.verdict:
        case Simple() as simple:
            return _SIMPLE[simple]
        case Jump(chain):
            return nftables.jump(chain)
        case Redirect(port):
            return nftables.redirect(port)
        case TransparentProxy(port, mark):
            return nftables.transparent_proxy(rule.version or 4, port, mark)
        case SetMark(value):
            return nftables.set_mark(value)
        case SetZone(zone):
            return nftables.set_zone(zone)
