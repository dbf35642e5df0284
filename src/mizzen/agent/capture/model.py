"""Rules of packet filtering as data: what nf_tables and iptables have in common, and neither's spelling.

A rule's verdict holds for the packets that all its matches match. A rule that names an address is of its family; others
are of both. The chains `prerouting` and `output` of a table are where packets enter it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import Final

PREROUTING: Final = "prerouting"
OUTPUT: Final = "output"
HOOKS: Final = (PREROUTING, OUTPUT)


class Side(Enum):
    SOURCE = "source"
    DESTINATION = "destination"


class Way(Enum):
    IN = "in"
    OUT = "out"


class Owner(Enum):
    """Of the socket that sends the packet."""

    UID = "uid"
    GID = "gid"


@dataclass(frozen=True, slots=True)
class Transport:
    name: str  # tcp or udp


@dataclass(frozen=True, slots=True)
class Port:
    """Any of the ports; with `negate` none of them. A match of the transport stands before it."""

    side: Side
    ports: tuple[int, ...]
    negate: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    side: Side
    network: IPv4Network | IPv6Network
    negate: bool = False


@dataclass(frozen=True, slots=True)
class Interface:
    way: Way
    name: str


@dataclass(frozen=True, slots=True)
class OwnedBy:
    owner: Owner
    number: int
    negate: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    value: int
    negate: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionMark:
    value: int


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """Any of: invalid, related, established."""

    names: tuple[str, ...]


Match = Transport | Port | Address | Interface | OwnedBy | Mark | ConnectionMark | ConnectionState


class Simple(Enum):
    RETURN = "return"  # to the chain that this one was jumped to from
    ACCEPT = "accept"
    DROP = "drop"
    SAVE_MARK = "save-mark"  # the packet's mark becomes its connection's
    RESTORE_MARK = "restore-mark"  # and the other way round


@dataclass(frozen=True, slots=True)
class Jump:
    chain: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """To a port of the machine itself."""

    port: int


@dataclass(frozen=True, slots=True)
class TransparentProxy:
    """To the socket that listens on a port of the machine itself, the packet left as it is but marked."""

    port: int
    mark: int


@dataclass(frozen=True, slots=True)
class SetMark:
    value: int


@dataclass(frozen=True, slots=True)
class SetZone:
    """Connections of different zones do not know each other, though their addresses and ports may be the same."""

    zone: int


Verdict = Simple | Jump | Redirect | TransparentProxy | SetMark | SetZone


@dataclass(frozen=True, slots=True)
class Rule:
    matches: tuple[Match, ...]
    verdict: Verdict

    @property
    def version(self) -> int | None:
        """4 or 6 where only packets of that family can match."""
        return next((match.network.version for match in self.matches if isinstance(match, Address)), None)


@dataclass(frozen=True, slots=True)
class Table:
    """`kind`: nat, mangle or raw."""

    kind: str
    chains: Mapping[str, tuple[Rule, ...]]


def of_family(table: Table, version: int) -> Table:
    """The rules that packets of one family can match."""
    return reachable(
        Table(
            table.kind,
            {
                name: tuple(rule for rule in rules if rule.version in {None, version})
                for name, rules in table.chains.items()
            },
        )
    )


def reachable(table: Table) -> Table:
    """Without empty chains, jumps to them, and chains that no packet gets to."""
    chains = {name: rules for name, rules in table.chains.items() if rules}
    kept = {
        name: tuple(
            rule for rule in rules if not isinstance(rule.verdict, Jump) or rule.verdict.chain in chains
        )
        for name, rules in chains.items()
    }
    if kept != table.chains:
        return reachable(Table(table.kind, kept))
    found = set(_from_hooks(kept))
    return Table(table.kind, {name: rules for name, rules in kept.items() if name in found})


def _from_hooks(chains: Mapping[str, tuple[Rule, ...]]) -> Iterator[str]:
    waiting = [name for name in HOOKS if name in chains]
    while waiting:
        name = waiting.pop()
        yield name
        waiting += [rule.verdict.chain for rule in chains[name] if isinstance(rule.verdict, Jump)]
