"""Reads rules of packet filtering from what `iptables-restore` and `nft` read, and compares them by what packets meet."""

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

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
    of_family,
)

Chains = dict[str, list[Rule]]


def number(text: str) -> int:
    """A user's or group's number; a name stands for one that nobody has by chance."""
    return int(text) if text.isdecimal() else zlib.crc32(text.encode())


def meaning(table: Table, version: int) -> dict[str, Any]:
    """What a packet of a family meets in the chains that it enters, whatever the chains are called.

    Equal if and only if the matches and the verdicts are, in order, where a jump is what it leads to. Nothing depends on:
    chains that nothing leads to, and jumps to empty ones; a chain that is but a jump to another, or but one verdict; the
    order of neighbours with one verdict that ends the chain (whoever meets either fares the same).
    """
    chains = of_family(table, version).chains
    return {hook: _steps(chains, hook) for hook in HOOKS if hook in chains}


def _steps(chains: Mapping[str, Sequence[Rule]], name: str) -> list[Any]:
    rules = chains[name]
    if len(rules) == 1 and not rules[0].matches and isinstance(rules[0].verdict, Jump):
        return _steps(chains, rules[0].verdict.chain)
    steps: list[tuple[Any, list[Any]]] = []
    for rule in rules:
        verdict = _verdict(chains, rule.verdict)
        met = sorted(map(str, set(rule.matches)))
        if steps and steps[-1][0] == verdict and verdict in _ENDS:
            steps[-1][1].append(met)
        else:
            steps.append((verdict, [met]))
    return [(verdict, sorted(met)) for verdict, met in steps]


_ENDS = ("return", "accept", "drop")


def _verdict(chains: Mapping[str, Sequence[Rule]], verdict: Verdict) -> Any:
    if not isinstance(verdict, Jump):
        return verdict.value if isinstance(verdict, Simple) else str(verdict)
    steps = _steps(chains, verdict.chain)
    match steps:
        case [("accept" | "drop" as only, [[]])]:
            return only
    return steps


def iptables_families(text: str) -> list[dict[str, Table]]:
    """The tables of IPv4, then of IPv6 where a table comes a second time. Other lines than rules are passed over."""
    families: list[dict[str, Table]] = [{}]
    kind, chains = "", Chains()
    for line in text.splitlines():
        words = line.split()
        match words:
            case ["*", name] | [name] if line.startswith("*"):
                kind, chains = name.lstrip("*"), Chains()
            case ["-N", name]:
                chains.setdefault(_hook(name), [])
            case ["-A", name, *rest]:
                chains.setdefault(_hook(name), []).append(_iptables_rule(rest))
            case ["-I", name, position, *rest]:
                chains.setdefault(_hook(name), []).insert(int(position) - 1, _iptables_rule(rest))
            case ["COMMIT"]:
                if kind in families[-1]:
                    families.append({})
                families[-1][kind] = _table(kind, chains)
    return families


def _hook(chain: str) -> str:
    """iptables' own chains are written large."""
    return chain.lower() if chain in {"PREROUTING", "OUTPUT"} else chain


def _table(kind: str, chains: Chains) -> Table:
    return Table(kind, {name: tuple(rules) for name, rules in chains.items()})


def _iptables_rule(words: list[str]) -> Rule:
    split = words.index("-j")
    return Rule(tuple(_iptables_matches(words[:split])), _iptables_verdict(words[split + 1 :]))


def _iptables_matches(words: list[str]) -> Iterator[Match]:
    waiting = list(words)
    module, negate = "", False
    while waiting:
        option = waiting.pop(0)
        if option == "!":
            negate = True
        elif option == "-m":
            module = waiting.pop(0)
        else:
            option = "--connection-mark" if (module, option) == ("connmark", "--mark") else option
            yield _iptables_match(option, waiting.pop(0), negate=negate)
            negate = False


def _iptables_match(option: str, value: str, *, negate: bool) -> Match:
    match option:
        case "-p":
            return Transport(value)
        case "--dport" | "--dports" | "--sport":
            side = Side.SOURCE if option == "--sport" else Side.DESTINATION
            return Port(side, tuple(sorted(map(int, value.split(",")))), negate)
        case "-d" | "-s":
            return Address(Side.DESTINATION if option == "-d" else Side.SOURCE, ip_network(value), negate)
        case "-i" | "-o":
            return Interface(Way.IN if option == "-i" else Way.OUT, value)
        case "--uid-owner" | "--gid-owner":
            return OwnedBy(Owner(option[2:5]), number(value), negate)
        case "--mark":
            return Mark(int(value), negate)
        case "--connection-mark":
            return ConnectionMark(int(value))
        case "--ctstate":
            return ConnectionState(tuple(sorted(value.lower().split(","))))
    raise AssertionError(f"an option that nobody knows: {option} {value}")


def _iptables_verdict(words: list[str]) -> Verdict:
    match words:
        case ["RETURN" | "ACCEPT" | "DROP" as name]:
            return Simple(name.lower())
        case ["CONNMARK", "--save-mark" | "--restore-mark" as option]:
            return Simple(option[2:])
        case ["REDIRECT", "--to-ports" | "--to-port", port]:
            return Redirect(int(port))
        case ["TPROXY", "--tproxy-mark", mark, "--on-port", port]:
            return TransparentProxy(int(port), int(mark.removesuffix("/0xffffffff")))
        case ["MARK", "--set-mark", mark]:
            return SetMark(int(mark))
        case ["CT", "--zone", zone]:
            return SetZone(int(zone))
        case [chain]:
            return Jump(chain)
    raise AssertionError(f"a target that nobody knows: {words}")


def nft_tables(text: str) -> dict[str, Table]:
    """From the commands of a transaction. Tables are called `<something>-<kind>`."""
    tables: dict[str, Chains] = {}
    for line in text.splitlines():
        match line.split():
            case ["add", "table", _, table]:
                tables[_kind(table)] = {}
            case ["add", "chain", _, table, chain, *_]:
                tables[_kind(table)][chain] = []
            case ["add", "rule", _, table, chain, *words]:
                tables[_kind(table)][chain].append(nft_rule(words))
            case ["insert", "rule", _, table, chain, "index", position, *words]:
                tables[_kind(table)][chain].insert(int(position), nft_rule(words))
    return {kind: _table(kind, chains) for kind, chains in tables.items()}


def _kind(table: str) -> str:
    return table.rpartition("-")[2]


def nft_rule(words: Sequence[str]) -> Rule:
    text = " ".join(word for word in words if word != "counter")
    matches: list[Match] = []
    while text:
        for pattern, build in _NFT_MATCHES:
            if found := re.match(pattern, text):
                matches += build(*found.groups())
                text = text[found.end() :].lstrip()
                break
        else:
            return Rule(tuple(matches), _nft_verdict(text))
    raise AssertionError(f"a rule without a verdict: {' '.join(words)}")


_NOT = r"(!= )?"
_NFT_MATCHES: tuple[tuple[str, Any], ...] = (
    (r"meta l4proto (\w+)", lambda name: [Transport(name)]),
    (
        rf"(tcp|udp|th) (d|s)port {_NOT}(?:\{{ )?([\d, ]+\d)(?: \}})?(?= |$)",
        lambda name, side, no, ports: [
            *([Transport(name)] if name != "th" else []),
            Port(
                Side.DESTINATION if side == "d" else Side.SOURCE,
                tuple(sorted(map(int, ports.split(",")))),
                bool(no),
            ),
        ],
    ),
    (
        rf"ip6? (d|s)addr {_NOT}(\S+)",
        lambda side, no, block: [
            Address(Side.DESTINATION if side == "d" else Side.SOURCE, ip_network(block), bool(no))
        ],
    ),
    (r"(i|o)ifname (\S+)", lambda way, name: [Interface(Way.IN if way == "i" else Way.OUT, name)]),
    (
        rf"(?:meta )?sk(uid|gid) {_NOT}(\w+)",
        lambda owner, no, name: [OwnedBy(Owner(owner), number(name), bool(no))],
    ),
    (rf"(?:meta )?mark {_NOT}(\d+)", lambda no, value: [Mark(int(value), bool(no))]),
    (r"ct mark (\d+)", lambda value: [ConnectionMark(int(value))]),
    (r"ct state (\S+)", lambda names: [ConnectionState(tuple(sorted(names.split(","))))]),
)


def _nft_verdict(text: str) -> Verdict:
    match text.split():
        case ["return" | "accept" | "drop" as name]:
            return Simple(name)
        case ["jump", chain]:
            return Jump(chain)
        case ["redirect", "to", port]:
            return Redirect(int(port[1:]))
        case ["tproxy", "ip" | "ip6", "to", port, "meta", "mark", "set", mark, "accept"]:
            return TransparentProxy(int(port[1:]), int(mark))
        case ["ct", "mark", "set", *_]:
            return Simple.SAVE_MARK
        case ["meta", "mark", "set", "ct", "mark"]:
            return Simple.RESTORE_MARK
        case ["meta", "mark", "set", mark]:
            return SetMark(int(mark))
        case ["ct", "zone", "set", zone]:
            return SetZone(int(zone))
    raise AssertionError(f"a verdict that nobody knows: {text}")
