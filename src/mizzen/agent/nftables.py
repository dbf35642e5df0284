"""A small nf_tables client: tables of rules, put into the kernel in one transaction.

pyroute2 would send every rule as a transaction of its own, which could leave half a table behind. Source of the numbers:
linux/netfilter/nf_tables.h and nfnetlink.h.
"""

import errno
import ipaddress
import socket
import struct
from dataclasses import dataclass, field
from typing import Final

from mizzen.agent.netlink import (
    ACKNOWLEDGE,
    APPEND,
    CREATE,
    NETFILTER_FAMILY,
    REQUEST,
    attribute,
    exchange,
    message,
    nested,
    number,
    string,
)
from mizzen.errors import UserError

_SUBSYS_NFTABLES: Final = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = (_SUBSYS_NFTABLES << 8 | n for n in (0, 2, 3, 6))
_FAMILIES: Final = {"inet": 1, "ip": socket.AF_INET, "ip6": socket.AF_INET6}

_META_MARK, _META_IIFNAME, _META_OIFNAME, _META_SKUID, _META_SKGID = 3, 6, 7, 10, 11
_META_NFPROTO, _META_L4PROTO = 15, 16
_CT_STATE, _CT_MARK, _CT_ZONE = 0, 3, 17
_STATES: Final = {"invalid": 1, "established": 2, "related": 4, "new": 8}
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_VERDICT_REGISTER, _REGISTER, _SECOND_REGISTER = 0, 1, 2
_DROP, _ACCEPT, _RETURN, _JUMP = 0, 1, -5, -3
_HOOKS: Final = {"prerouting": 0, "output": 3, "postrouting": 4}
_DNAT, _RANDOM = 1, 1
_INTERFACE_NAME_BYTES: Final = 16


class MissingError(UserError):
    """The kernel has no nf_tables."""


@dataclass(frozen=True, slots=True)
class Part:
    """A match or a verdict: as nft writes it, and as the kernel reads it. `version`: 4 or 6 where only such packets have
    what is looked at.
    """

    text: str
    expressions: tuple[bytes, ...] = field(repr=False)
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    parts: tuple[Part, ...]

    def __str__(self) -> str:
        return " ".join(part.text for part in self.parts)


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules in order. Packets enter a chain with a hook there; others are jumped to. `kind`: nat, filter, or route (which
    finds the route anew where a rule has changed the mark).
    """

    name: str
    rules: tuple[Rule, ...]
    hook: str = ""
    priority: int = -100
    kind: str = "nat"


@dataclass(frozen=True, slots=True)
class Table:
    """`family`: ip, ip6, or inet for both."""

    name: str
    chains: tuple[Chain, ...]
    family: str = "ip"

    def __str__(self) -> str:
        lines = [f"table {self.family} {self.name} {{"]
        for chain in self.chains:
            lines.append(f"  chain {chain.name} {{")
            if chain.hook:
                lines.append(f"    type {chain.kind} hook {chain.hook} priority {chain.priority};")
            lines += [f"    {rule}" for rule in chain.rules]
            lines.append("  }")
        return "\n".join([*lines, "}"])


def rule(*parts: Part) -> Rule:
    return Rule(parts)


def transport(name: str) -> Part:
    """`name`: tcp or udp."""
    protocol = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}[name]
    return Part(f"meta l4proto {name}", (_load_meta(_META_L4PROTO), _compare(bytes([protocol]))))


def source_port(port: int) -> Part:
    return Part(f"th sport {port}", (_load(_TRANSPORT_HEADER, 0, 2), _compare(struct.pack(">H", port))))


def destination_port(port: int) -> Part:
    return Part(f"th dport {port}", (_load_port(), _compare(struct.pack(">H", port))))


def destination_port_not(*ports: int) -> Part:
    text = f"th dport != {{ {', '.join(map(str, ports))} }}"
    return Part(text, (_load_port(), *(_compare(struct.pack(">H", port), negate=True) for port in ports)))


def source_address(block: str, *, negate: bool = False) -> Part:
    """`block`: an address or a CIDR block, of IPv4 or IPv6."""
    return _address("saddr", block, {4: 12, 6: 8}, negate=negate)


def destination_address(block: str, *, negate: bool = False) -> Part:
    """`block`: an address or a CIDR block, of IPv4 or IPv6."""
    return _address("daddr", block, {4: 16, 6: 24}, negate=negate)


def _address(side: str, block: str, offsets: dict[int, int], *, negate: bool) -> Part:
    network = ipaddress.ip_network(block)
    length = network.max_prefixlen // 8
    single = network.prefixlen == network.max_prefixlen
    text = str(network.network_address if single else network)
    family = "ip" if network.version == 4 else "ip6"
    masked = () if single else (_bitwise_and(network.netmask.packed),)
    return Part(
        f"{family} {side} {'!= ' if negate else ''}{text}",
        (
            _load(_NETWORK_HEADER, offsets[network.version], length),
            *masked,
            _compare(network.network_address.packed, negate=negate),
        ),
        network.version,
    )


def input_interface(name: str) -> Part:
    return Part(f"iifname {name}", (_load_meta(_META_IIFNAME), _compare(_interface(name))))


def output_interface(name: str) -> Part:
    return Part(f"oifname {name}", (_load_meta(_META_OIFNAME), _compare(_interface(name))))


def _interface(name: str) -> bytes:
    return name.encode().ljust(_INTERFACE_NAME_BYTES, b"\0")


def socket_uid(uid: int, *, negate: bool = False) -> Part:
    return _meta("meta skuid", _META_SKUID, uid, negate=negate)


def socket_gid(gid: int, *, negate: bool = False) -> Part:
    return _meta("meta skgid", _META_SKGID, gid, negate=negate)


def mark(value: int, *, negate: bool = False) -> Part:
    return _meta("meta mark", _META_MARK, value, negate=negate)


def _meta(text: str, key: int, value: int, *, negate: bool) -> Part:
    comparison = _compare(struct.pack("=I", value), negate=negate)
    return Part(f"{text} {'!= ' if negate else ''}{value}", (_load_meta(key), comparison))


def connection_mark(value: int) -> Part:
    return Part(f"ct mark {value}", (_load_connection(_CT_MARK), _compare(struct.pack("=I", value))))


def connection_state(*names: str) -> Part:
    """Any of: invalid, established, related, new."""
    mask = struct.pack("=I", sum(_STATES[name] for name in names))
    some = (_bitwise_and(mask), _compare(bytes(4), negate=True))
    return Part(f"ct state {','.join(names)}", (_load_connection(_CT_STATE), *some))


def jump(chain: str) -> Part:
    return Part(f"jump {chain}", (_verdict(_JUMP, chain),))


def leave() -> Part:
    return Part("return", (_verdict(_RETURN),))


def accept() -> Part:
    return Part("accept", (_verdict(_ACCEPT),))


def drop() -> Part:
    return Part("drop", (_verdict(_DROP),))


def redirect(port: int) -> Part:
    """To this port of the machine itself."""
    value = _immediate(_REGISTER, attribute(1, struct.pack(">H", port)))
    return Part(f"redirect to :{port}", (value, _expression("redir", number(1, _REGISTER))))


def transparent_proxy(version: int, port: int, value: int) -> Part:
    """To the socket that listens on this port of the machine itself, the packet left as it is and marked.

    `version`: 4 or 6. Without such a socket the rule does not hold.
    """
    family, protocol = ("ip", socket.AF_INET) if version == 4 else ("ip6", socket.AF_INET6)
    proxy = _expression("tproxy", number(1, protocol) + number(3, _REGISTER))
    return Part(
        f"tproxy {family} to :{port} meta mark set {value} accept",
        (
            _immediate(_REGISTER, attribute(1, struct.pack(">H", port))),
            proxy,
            *set_mark(value).expressions,
            _verdict(_ACCEPT),
        ),
    )


def set_mark(value: int) -> Part:
    return Part(f"meta mark set {value}", (_immediate_word(value), _store_meta(_META_MARK)))


def save_mark() -> Part:
    """The packet's mark becomes its connection's."""
    return Part("ct mark set meta mark", (_load_meta(_META_MARK), _store_connection(_CT_MARK)))


def restore_mark() -> Part:
    """The connection's mark becomes the packet's."""
    return Part("meta mark set ct mark", (_load_connection(_CT_MARK), _store_meta(_META_MARK)))


def set_zone(zone: int) -> Part:
    """Connections of different zones do not know each other, though their addresses and ports may be the same."""
    value = _immediate(_REGISTER, attribute(1, struct.pack("=H", zone)))
    return Part(f"ct zone set {zone}", (value, _store_connection(_CT_ZONE)))


def send_to(address: str, port: int) -> Part:
    """To another address and port (destination NAT)."""
    return Part(
        f"dnat to {address}:{port}",
        (
            _immediate(_REGISTER, attribute(1, ipaddress.IPv4Address(address).packed)),
            _immediate(_SECOND_REGISTER, attribute(1, struct.pack(">H", port))),
            _expression(
                "nat",
                number(1, _DNAT)
                + number(2, socket.AF_INET)
                + number(3, _REGISTER)
                + number(5, _SECOND_REGISTER),
            ),
        ),
    )


def masquerade() -> Part:
    """From the address of the machine that passes it on."""
    return Part("masquerade", (_expression("masq", b""),))


def one_in(count: int) -> Part:
    """Matches one new connection in `count`, by chance."""
    generate = _expression("numgen", number(1, _REGISTER) + number(2, count) + number(3, _RANDOM))
    return Part(f"numgen random mod {count} 0", (generate, _compare(struct.pack("=I", 0))))


def replace_table(table: Table) -> None:
    """Put the table in force in the current network namespace, instead of one of the same name; all of it or nothing.

    Needs CAP_NET_ADMIN there. Raises UserError where the kernel refuses.
    """
    replace_tables((), (table,))


def replace_tables(old: tuple[tuple[str, str], ...], new: tuple[Table, ...]) -> None:
    """Put tables in force, instead of those of the same names and of the `old` ones (family and name), as `replace_table`
    does; all of it or nothing.
    """
    try:
        exchange(NETFILTER_FAMILY, _transaction(old, new))
    except TimeoutError:
        raise UserError("the kernel did not answer about traffic rules") from None
    except OSError as error:
        raise _explained(error) from None


def _transaction(old: tuple[tuple[str, str], ...], new: tuple[Table, ...]) -> list[bytes]:
    messages: list[tuple[int, str, bytes]] = []
    for family, name in dict.fromkeys((*old, *((table.family, table.name) for table in new))):
        # Created first, so that deleting it cannot fail.
        messages += [(kind, family, string(1, name)) for kind in (_NEW_TABLE, _DELETE_TABLE)]
    for table in new:
        here = string(1, table.name)
        messages.append((_NEW_TABLE, table.family, here))
        messages += [(_NEW_CHAIN, table.family, here + _chain(chain)) for chain in table.chains]
        messages += [
            (_NEW_RULE, table.family, here + string(2, chain.name) + _rule(rule, table.family))
            for chain in table.chains
            for rule in chain.rules
        ]
    last = len(messages) - 1
    made = [
        _message(kind, family, body, acknowledge=index == last)
        for index, (kind, family, body) in enumerate(messages)
    ]
    return [_batch(_BATCH_BEGIN), *made, _batch(_BATCH_END)]


def _explained(error: OSError) -> UserError:
    if error.errno in {errno.EPERM, errno.EACCES}:
        return UserError(
            "no right to capture traffic in this network namespace",
            "run as root, or without capture: --interception none",
        )
    if error.errno in {errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EINVAL}:
        return MissingError(
            "this kernel has no nf_tables, traffic cannot be captured",
            "load it (modprobe nf_tables), or go without capture: --interception none",
        )
    if error.errno in {errno.ENOENT, errno.EOPNOTSUPP}:
        return UserError(
            "this kernel has no NAT or no TPROXY for nf_tables, traffic cannot be captured",
            "load it (modprobe -a nft_chain_nat nft_redir nft_tproxy), or go without capture: --interception none",
        )
    return UserError(f"the kernel refused the rules that capture traffic: {error.strerror}")


def _chain(chain: Chain) -> bytes:
    body = string(3, chain.name)
    if chain.hook:
        hook = number(1, _HOOKS[chain.hook]) + number(2, chain.priority)
        body += nested(4, hook) + string(7, chain.kind)
    return body


def _rule(rule: Rule, family: str) -> bytes:
    *matches, verdict = rule.parts
    expressions = []
    for match in matches:
        if family == "inet" and match.version is not None:
            protocol = socket.AF_INET if match.version == 4 else socket.AF_INET6
            expressions += [_load_meta(_META_NFPROTO), _compare(bytes([protocol]))]
        expressions += match.expressions
    expressions += [_expression("counter", b""), *verdict.expressions]
    return nested(4, b"".join(nested(1, expression) for expression in expressions))


def _load_meta(key: int) -> bytes:
    return _expression("meta", number(1, _REGISTER) + number(2, key))


def _store_meta(key: int) -> bytes:
    return _expression("meta", number(2, key) + number(3, _REGISTER))


def _load_connection(key: int) -> bytes:
    return _expression("ct", number(1, _REGISTER) + number(2, key))


def _store_connection(key: int) -> bytes:
    return _expression("ct", number(2, key) + number(4, _REGISTER))


def _load(base: int, offset: int, length: int) -> bytes:
    return _expression(
        "payload", number(1, _REGISTER) + number(2, base) + number(3, offset) + number(4, length)
    )


def _load_port() -> bytes:
    return _load(_TRANSPORT_HEADER, 2, 2)


def _bitwise_and(mask: bytes) -> bytes:
    registers = number(1, _REGISTER) + number(2, _REGISTER) + number(3, len(mask))
    xor = nested(5, attribute(1, bytes(len(mask))))
    return _expression("bitwise", registers + nested(4, attribute(1, mask)) + xor)


def _compare(value: bytes, *, negate: bool = False) -> bytes:
    return _expression("cmp", number(1, _REGISTER) + number(2, int(negate)) + nested(3, attribute(1, value)))


def _verdict(code: int, chain: str = "") -> bytes:
    return _immediate(_VERDICT_REGISTER, nested(2, number(1, code) + (string(2, chain) if chain else b"")))


def _immediate(register: int, data: bytes) -> bytes:
    return _expression("immediate", number(1, register) + nested(2, data))


def _immediate_word(value: int) -> bytes:
    return _immediate(_REGISTER, attribute(1, struct.pack("=I", value)))


def _expression(name: str, data: bytes) -> bytes:
    return string(1, name) + nested(2, data)


def _batch(kind: int) -> bytes:
    return message(kind, REQUEST, struct.pack(">BBH", socket.AF_UNSPEC, 0, _SUBSYS_NFTABLES))


def _message(kind: int, family: str, body: bytes, *, acknowledge: bool) -> bytes:
    flags = REQUEST | CREATE | APPEND | (ACKNOWLEDGE if acknowledge else 0)
    return message(kind, flags, struct.pack(">BBH", _FAMILIES[family], 0, 0) + body)
