"""The set `iptables`: options of traffic capture, and the rules that Istio makes of them by iptables and by nf_tables.

Rules are compared by what packets meet in each table and chain (`tests.support.packet_rules.meaning`), as our renderings
for `iptables-restore` and for nf_tables say it. The commands by which Istio probes what is there are passed over.
"""

import json
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from mizzen.agent.capture.by_iptables import restore_text
from mizzen.agent.capture.by_nftables import as_nftables
from mizzen.agent.capture.model import Table
from mizzen.agent.capture.options import (
    EVERY,
    CaptureOptions,
    parse_cidrs,
    parse_cidrs_or_every,
    parse_ports,
    parse_ports_or_every,
    parse_words,
)
from mizzen.agent.capture.rules import capture_tables
from tests.conformance.authz import difference
from tests.conformance.outcome import Outcome, SetResult, Status
from tests.support.packet_rules import iptables_families, meaning, nft_rule, nft_tables, number

FAILING: Mapping[str, str] = {
    "iptables/drop-invalid": "Istio drops invalid packets of TCP by nf_tables, of all protocols by iptables; we have one "
    "model of rules, and it is about TCP",
}
"""Case -> why it is known to fail."""

Meanings = dict[str, dict[str, Any]]


def run(folder: Path) -> SetResult:
    return SetResult("iptables", list(_outcomes(folder)), FAILING, minimum_together=0.95)


def _outcomes(folder: Path) -> Iterator[Outcome]:
    for tool, made_by in (("iptables", _by_iptables), ("nftables", _by_nftables)):
        for case in json.loads((folder / f"{tool}-cases.json").read_text())["cases"]:
            name = f"{tool}/{case['id']}"
            golden = (folder / case["golden"]).read_text()
            try:
                options = _options(case["options"])
                expected = (_iptables_golden if tool == "iptables" else _nftables_golden)(golden, options)
                made = made_by(options)
            except Exception as error:
                yield Outcome(name, tool, Status.FAILED, f"{type(error).__name__}: {error}")
                continue
            if made == expected:
                yield Outcome(name, tool, Status.PASSED)
            else:
                yield Outcome(name, tool, Status.FAILED, difference(expected, made))


def _options(case: Mapping[str, Any]) -> CaptureOptions:
    servers = tuple(map(ip_address, (*case["DNS_SERVERS_V4"], *case["DNS_SERVERS_V6"])))
    asked = EVERY if case["CAPTURE_ALL_DNS"] else servers
    groups = case["OUTBOUND_OWNER_GROUPS_INCLUDE"]
    loopback = ip_network(case["HOST_IPV4_LOOPBACK_CIDR"])
    return CaptureOptions(
        tproxy=case["INBOUND_INTERCEPTION_MODE"] == "TPROXY",
        ipv6=case["ENABLE_INBOUND_IPV6"],
        outbound_port=int(case["PROXY_PORT"]),
        inbound_port=int(case["INBOUND_CAPTURE_PORT"]),
        tunnel_port=int(case["INBOUND_TUNNEL_PORT"]),
        tproxy_mark=int(case["INBOUND_TPROXY_MARK"]),
        tproxy_table=int(case["INBOUND_TPROXY_ROUTE_TABLE"]),
        proxy_uids=_numbers(case["PROXY_UID"]),
        proxy_gids=_numbers(case["PROXY_GID"]),
        include_inbound_ports=parse_ports_or_every(case["INBOUND_PORTS_INCLUDE"]),
        exclude_inbound_ports=parse_ports(case["INBOUND_PORTS_EXCLUDE"]),
        include_outbound_ports=parse_ports(case["OUTBOUND_PORTS_INCLUDE"]),
        exclude_outbound_ports=parse_ports(case["OUTBOUND_PORTS_EXCLUDE"]),
        include_outbound_cidrs=parse_cidrs_or_every(case["OUTBOUND_IPRANGES_INCLUDE"]),
        exclude_outbound_cidrs=parse_cidrs(case["OUTBOUND_IPRANGES_EXCLUDE"]),
        exclude_interfaces=parse_words(case["EXCLUDE_INTERFACES"]),
        virtual_interfaces=parse_words(case["KUBE_VIRT_INTERFACES"]),
        include_owner_groups=EVERY if groups == EVERY else _numbers(groups),
        exclude_owner_groups=_numbers(case["OUTBOUND_OWNER_GROUPS_EXCLUDE"]),
        dns_servers=asked if case["REDIRECT_DNS"] else (),
        loopback=loopback,  # type: ignore[arg-type]  # the corpus has IPv4 there
        drop_invalid=case["DROP_INVALID"],
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(number, parse_words(text)))


def _iptables_golden(text: str, options: CaptureOptions) -> Meanings:
    return dict(zip(_families(options), map(_meanings, iptables_families(text), (4, 6)), strict=False))


def _by_iptables(options: CaptureOptions) -> Meanings:
    tables = capture_tables(options)
    return {
        family: _meanings(iptables_families(restore_text(tables, version))[0], version)
        for family, version in _families(options).items()
    }


def _meanings(tables: Mapping[str, Table], version: int) -> dict[str, Any]:
    found = {kind: meaning(table, version) for kind, table in tables.items()}
    return {kind: hooks for kind, hooks in found.items() if hooks}


def _nftables_golden(text: str, options: CaptureOptions) -> Meanings:
    return _of_families(nft_tables(text), options)


def _by_nftables(options: CaptureOptions) -> Meanings:
    tables = {}
    for table in as_nftables(capture_tables(options), ipv6=options.ipv6):
        kind = table.name.rpartition("-")[2]
        chains = {
            chain.name: tuple(nft_rule(str(rule).split()) for rule in chain.rules) for chain in table.chains
        }
        tables[kind] = Table(kind, chains)
    return _of_families(tables, options)


def _of_families(tables: Mapping[str, Table], options: CaptureOptions) -> Meanings:
    return {family: _meanings(tables, version) for family, version in _families(options).items()}


def _families(options: CaptureOptions) -> dict[str, int]:
    """Where IPv6 is off, nothing is asked of what its packets meet: our table has none of them."""
    return {"IPv4": 4, "IPv6": 6} if options.ipv6 else {"IPv4": 4}
