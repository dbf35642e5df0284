"""A small nf_tables client: a table of rules, put into the kernel in one transaction.

The kernel is spoken to directly. pyroute2 takes 0.4 s to import, as much as the agent has to become ready, and sends
every rule as a transaction of its own, which could leave half a table behind.
Source of the numbers: linux/netfilter/nf_tables.h and nfnetlink.h.
"""

import errno
import ipaddress
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import Final

from mizzen.errors import UserError

_NETLINK_NETFILTER: Final = 12
_SUBSYS_NFTABLES: Final = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = (_SUBSYS_NFTABLES << 8 | n for n in (0, 2, 3, 6))
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800
_ERROR: Final = 2
_NESTED: Final = 0x8000
_REPLY_SECONDS: Final = 5.0

_META_MARK, _META_OIFNAME, _META_SKUID, _META_L4PROTO = 3, 7, 10, 16
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_VERDICT_REGISTER, _REGISTER, _SECOND_REGISTER = 0, 1, 2
_RETURN, _JUMP = -5, -3
_HOOKS: Final = {"prerouting": 0, "output": 3, "postrouting": 4}
_DNAT, _RANDOM = 1, 1
_INTERFACE_NAME_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Part:
    """A match or a verdict: as nft writes it, and as the kernel reads it."""

    text: str
    expressions: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rule:
    parts: tuple[Part, ...]

    def __str__(self) -> str:
        return " ".join(part.text for part in self.parts)


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules in order. A chain with a hook is a NAT chain that packets enter there, others are jumped to."""

    name: str
    rules: tuple[Rule, ...]
    hook: str = ""
    priority: int = -100


@dataclass(frozen=True, slots=True)
class Table:
    """An IPv4 table."""

    name: str
    chains: tuple[Chain, ...]

    def __str__(self) -> str:
        lines = [f"table ip {self.name} {{"]
        for chain in self.chains:
            lines.append(f"  chain {chain.name} {{")
            if chain.hook:
                lines.append(f"    type nat hook {chain.hook} priority {chain.priority};")
            lines += [f"    {rule}" for rule in chain.rules]
            lines.append("  }")
        return "\n".join([*lines, "}"])


def rule(*parts: Part) -> Rule:
    return Rule(parts)


def transport(name: str) -> Part:
    """`name`: tcp or udp."""
    number = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}[name]
    return Part(f"meta l4proto {name}", (_load_meta(_META_L4PROTO), _compare(bytes([number]))))


def destination_port(port: int) -> Part:
    return Part(f"th dport {port}", (_load_port(), _compare(struct.pack(">H", port))))


def destination_port_not(*ports: int) -> Part:
    text = f"th dport != {{ {', '.join(map(str, ports))} }}"
    return Part(text, (_load_port(), *(_compare(struct.pack(">H", port), negate=True) for port in ports)))


def source_address(address: str) -> Part:
    return Part(f"ip saddr {address}", (_load(_NETWORK_HEADER, 12, 4), _compare(_packed(address))))


def destination_address(address: str, *, negate: bool = False) -> Part:
    text = f"ip daddr {'!= ' if negate else ''}{address}"
    return Part(text, (_load(_NETWORK_HEADER, 16, 4), _compare(_packed(address), negate=negate)))


def output_interface(name: str) -> Part:
    padded = name.encode().ljust(_INTERFACE_NAME_BYTES, b"\0")
    return Part(f"oifname {name}", (_load_meta(_META_OIFNAME), _compare(padded)))


def socket_uid(uid: int, *, negate: bool = False) -> Part:
    text = f"meta skuid {'!= ' if negate else ''}{uid}"
    return Part(text, (_load_meta(_META_SKUID), _compare(struct.pack("=I", uid), negate=negate)))


def mark(value: int, *, negate: bool = False) -> Part:
    text = f"meta mark {'!= ' if negate else ''}{value}"
    return Part(text, (_load_meta(_META_MARK), _compare(struct.pack("=I", value), negate=negate)))


def jump(chain: str) -> Part:
    return Part(f"jump {chain}", (_verdict(_JUMP, chain),))


def leave() -> Part:
    return Part("return", (_verdict(_RETURN),))


def redirect(port: int) -> Part:
    """To this port of the machine itself."""
    value = _immediate(_REGISTER, _attribute(1, struct.pack(">H", port)))
    return Part(f"redirect to :{port}", (value, _expression("redir", _number(1, _REGISTER))))


def send_to(address: str, port: int) -> Part:
    """To another address and port (destination NAT)."""
    return Part(
        f"dnat to {address}:{port}",
        (
            _immediate(_REGISTER, _attribute(1, _packed(address))),
            _immediate(_SECOND_REGISTER, _attribute(1, struct.pack(">H", port))),
            _expression(
                "nat",
                _number(1, _DNAT)
                + _number(2, socket.AF_INET)
                + _number(3, _REGISTER)
                + _number(5, _SECOND_REGISTER),
            ),
        ),
    )


def masquerade() -> Part:
    """From the address of the machine that passes it on."""
    return Part("masquerade", (_expression("masq", b""),))


def one_in(count: int) -> Part:
    """Matches one new connection in `count`, by chance."""
    generate = _expression("numgen", _number(1, _REGISTER) + _number(2, count) + _number(3, _RANDOM))
    return Part(f"numgen random mod {count} 0", (generate, _compare(struct.pack("=I", 0))))


def replace_table(table: Table) -> None:
    """Put the table in force in the current network namespace, instead of one of the same name; all of it or nothing.

    Needs CAP_NET_ADMIN there. Raises UserError where the kernel refuses.
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netlink:
            netlink.settimeout(_REPLY_SECONDS)
            netlink.bind((0, 0))
            messages = _transaction(table)
            netlink.send(b"".join(messages))
            _await_success(netlink)
    except TimeoutError:
        raise UserError("the kernel did not answer about traffic rules") from None
    except OSError as error:
        raise _explained(error) from None


def _transaction(table: Table) -> list[bytes]:
    name = _string(1, table.name)
    # Created first, so that deleting it cannot fail.
    bodies = [(_NEW_TABLE, name), (_DELETE_TABLE, name), (_NEW_TABLE, name)]
    bodies += [(_NEW_CHAIN, name + _chain(chain)) for chain in table.chains]
    bodies += [
        (_NEW_RULE, name + _string(2, chain.name) + _rule(rule))
        for chain in table.chains
        for rule in chain.rules
    ]
    messages = [_message(kind, _REQUEST | _CREATE | _APPEND, body) for kind, body in bodies[:-1]]
    # Errors are reported in any case; one acknowledgement, of the last, tells that there were none. As many as there are
    # rules would not fit into the socket's buffer.
    messages += [_message(kind, _REQUEST | _ACK | _CREATE | _APPEND, body) for kind, body in bodies[-1:]]
    return [_batch(_BATCH_BEGIN), *messages, _batch(_BATCH_END)]


def _await_success(netlink: socket.socket) -> None:
    """Read up to the acknowledgement of the whole; the first error is raised as OSError."""
    while True:
        replies = netlink.recv(1 << 16)
        while replies:
            length, kind = struct.unpack_from("=IH", replies)
            if kind == _ERROR:
                (code,) = struct.unpack_from("=i", replies, 16)
                if code:
                    raise OSError(-code, os.strerror(-code))
                return
            replies = replies[_aligned(length) :]


def _explained(error: OSError) -> UserError:
    if error.errno in {errno.EPERM, errno.EACCES}:
        return UserError(
            "no right to capture traffic in this network namespace",
            "run as root, or without capture: --interception none",
        )
    if error.errno in {errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EINVAL}:
        return UserError(
            "this kernel has no nf_tables, traffic cannot be captured",
            "load it (modprobe nf_tables), or go without capture: --interception none",
        )
    if error.errno in {errno.ENOENT, errno.EOPNOTSUPP}:
        return UserError(
            "this kernel has no NAT for nf_tables, traffic cannot be captured",
            "load it (modprobe -a nft_chain_nat nft_redir), or go without capture: --interception none",
        )
    return UserError(f"the kernel refused the rules that capture traffic: {error.strerror}")


def _chain(chain: Chain) -> bytes:
    body = _string(3, chain.name)
    if chain.hook:
        body += _nested(4, _number(1, _HOOKS[chain.hook]) + _number(2, chain.priority)) + _string(7, "nat")
    return body


def _rule(rule: Rule) -> bytes:
    *matches, verdict = (part.expressions for part in rule.parts)
    counter = _expression("counter", b"")
    expressions = [*(expression for match in matches for expression in match), counter, *verdict]
    return _nested(4, b"".join(_nested(1, expression) for expression in expressions))


def _load_meta(key: int) -> bytes:
    return _expression("meta", _number(1, _REGISTER) + _number(2, key))


def _load(base: int, offset: int, length: int) -> bytes:
    return _expression(
        "payload", _number(1, _REGISTER) + _number(2, base) + _number(3, offset) + _number(4, length)
    )


def _load_port() -> bytes:
    return _load(_TRANSPORT_HEADER, 2, 2)


def _compare(value: bytes, *, negate: bool = False) -> bytes:
    return _expression(
        "cmp", _number(1, _REGISTER) + _number(2, int(negate)) + _nested(3, _attribute(1, value))
    )


def _verdict(code: int, chain: str = "") -> bytes:
    return _immediate(_VERDICT_REGISTER, _nested(2, _number(1, code) + (_string(2, chain) if chain else b"")))


def _immediate(register: int, data: bytes) -> bytes:
    return _expression("immediate", _number(1, register) + _nested(2, data))


def _expression(name: str, data: bytes) -> bytes:
    return _string(1, name) + _nested(2, data)


def _packed(address: str) -> bytes:
    return ipaddress.IPv4Address(address).packed


def _batch(kind: int) -> bytes:
    return _header(kind, _REQUEST, struct.pack(">BBH", socket.AF_UNSPEC, 0, _SUBSYS_NFTABLES))


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _header(kind, flags, struct.pack(">BBH", socket.AF_INET, 0, 0) + body)


def _header(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def _string(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack(">i", value))


def _nested(kind: int, body: bytes) -> bytes:
    return _attribute(kind | _NESTED, body)


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + b"\0" * (_aligned(length) - length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
