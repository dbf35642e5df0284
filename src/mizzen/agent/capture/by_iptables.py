"""The rules of capture as iptables has them, for kernels without nf_tables and for those who choose so.

Other programs' rules stay: ours are in chains of our own (`MIZZEN_...`), to which the kernel's chains jump first. Each
table of a family is replaced in one step, by `iptables-restore`.
"""

import subprocess
from collections.abc import Iterator, Sequence
from typing import Final

from mizzen.agent.capture.model import (
    HOOKS,
    Address,
    ConnectionMark,
    ConnectionState,
    Interface,
    Jump,
    Mark,
    Match,
    OwnedBy,
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
    of_family,
)
from mizzen.errors import UserError

_PREFIX: Final = "MIZZEN_"
_PROGRAMS: Final = {4: "iptables", 6: "ip6tables"}
_SECONDS: Final = 10  # another program may hold the lock
_SIMPLE: Final = {
    Simple.RETURN: ("RETURN",),
    Simple.ACCEPT: ("ACCEPT",),
    Simple.DROP: ("DROP",),
    Simple.SAVE_MARK: ("CONNMARK", "--save-mark"),
    Simple.RESTORE_MARK: ("CONNMARK", "--restore-mark"),
}


def put_in_force(tables: tuple[Table, ...], *, ipv6: bool) -> None:
    """Replace what an earlier call put in force. Raises UserError where a program is missing or refuses."""
    for version, program in _PROGRAMS.items():
        if version == 4 or ipv6:
            present = _run((f"{program}-save",))
            text = restore_text(tables, version, present)
            _run((f"{program}-restore", "--noflush", f"--wait={_SECONDS}"), text)


def restore_text(tables: tuple[Table, ...], version: int, present: str = "") -> str:
    """The input of `iptables-restore` that brings `present`, the output of `iptables-save`, to the rules of a family."""
    wanted = {table.kind: of_family(table, version) for table in tables}
    leftovers = _own(present)
    sections = (
        _section(kind, wanted.get(kind, Table(kind, {})), leftovers.get(kind, []))
        for kind in ("raw", "mangle", "nat")
    )
    return "".join(sections)


def _section(kind: str, table: Table, leftovers: Sequence[str]) -> str:
    """One table: ours that are there are emptied and removed first, in an order in which nothing refers to them."""
    lines = [f"-D {line}" for line in leftovers if not line.startswith(":")]
    old = [line[1:] for line in leftovers if line.startswith(":")]
    lines += [f"-F {chain}" for chain in old] + [f"-X {chain}" for chain in old]
    lines += [f"-N {_chain(name)}" for name in table.chains]
    for name, rules in table.chains.items():
        lines += [f"-A {_chain(name)} {' '.join(_words(rule))}" for rule in rules]
    lines += [f"-I {name.upper()} 1 -j {_chain(name)}" for name in HOOKS if name in table.chains]
    return "\n".join([f"*{kind}", *lines, "COMMIT", ""]) if lines else ""


def _own(present: str) -> dict[str, list[str]]:
    """By table: our chains (`:NAME`), and the jumps to them from the kernel's (`CHAIN -j NAME`)."""
    found: dict[str, list[str]] = {}
    kind = ""
    for line in present.splitlines():
        words = line.split()
        match words:
            case [star, *_] if star.startswith("*"):
                kind = star[1:]
            case [chain, *_] if chain.startswith(f":{_PREFIX}"):
                found.setdefault(kind, []).append(chain)
            case ["-A", chain, "-j", target] if target.startswith(_PREFIX) and not chain.startswith(_PREFIX):
                found.setdefault(kind, []).append(" ".join(words[1:]))
    return found


def _chain(name: str) -> str:
    return _PREFIX + name.upper().replace("-", "_")


def _words(rule: Rule) -> Iterator[str]:
    for match in rule.matches:
        yield from _match(match)
    yield "-j"
    yield from _verdict(rule)


def _match(match: Match) -> Iterator[str]:
    match match:
        case Transport(name):
            yield from ("-p", name)
        case Port(side, ports, negate):
            yield from _ports(side, ports, negate=negate)
        case Address(side, network, negate):
            yield from (*_not(negate=negate), "-s" if side is Side.SOURCE else "-d", str(network))
        case Interface(way, name):
            yield from ("-i" if way is Way.IN else "-o", name)
        case OwnedBy(owner, number, negate):
            yield from ("-m", "owner", *_not(negate=negate), f"--{owner.value}-owner", str(number))
        case Mark(value, negate):
            yield from ("-m", "mark", *_not(negate=negate), "--mark", str(value))
        case ConnectionMark(value):
            yield from ("-m", "connmark", "--mark", str(value))
        case ConnectionState(names):
            yield from ("-m", "conntrack", "--ctstate", ",".join(names).upper())


def _ports(side: Side, ports: Sequence[int], *, negate: bool) -> Iterator[str]:
    option = "--sport" if side is Side.SOURCE else "--dport"
    if len(ports) > 1:
        yield from ("-m", "multiport")
        option += "s"
    yield from (*_not(negate=negate), option, ",".join(map(str, ports)))


def _not(*, negate: bool) -> tuple[str, ...]:
    return ("!",) if negate else ()


def _verdict(rule: Rule) -> tuple[str, ...]:
    match rule.verdict:
        case Simple() as simple:
            return _SIMPLE[simple]
        case Jump(chain):
            return (_chain(chain),)
        case Redirect(port):
            return ("REDIRECT", "--to-ports", str(port))
        case TransparentProxy(port, mark):
            return ("TPROXY", "--tproxy-mark", f"{mark}/0xffffffff", "--on-port", str(port))
        case SetMark(value):
            return ("MARK", "--set-mark", str(value))
        case SetZone(zone):
            return ("CT", "--zone", str(zone))


def _run(argv: Sequence[str], text: str = "") -> str:
    try:
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, check=False, timeout=3 * _SECONDS
        )
    except FileNotFoundError:
        raise UserError(
            f"there is no {argv[0]} here",
            "install the package iptables, or capture by nf_tables: --capture-backend nftables",
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{argv[0]} cannot be run: {error}") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise UserError(
            f"{argv[0]} refused the rules that capture traffic: {said[0] if said else done.returncode}",
            "run as root, or without capture: --interception none",
        )
    return done.stdout
