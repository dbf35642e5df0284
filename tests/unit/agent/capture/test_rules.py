"""The rules as a function of the options: in the words of nft, and of iptables."""

from ipaddress import ip_address

import pytest

from mizzen.agent.capture.by_iptables import restore_text
from mizzen.agent.capture.by_nftables import as_nftables
from mizzen.agent.capture.model import Jump, Redirect, Rule, Simple, Table, Transport, of_family
from mizzen.agent.capture.options import CaptureOptions, parse_cidrs
from mizzen.agent.capture.rules import capture_tables
from tests.support.packet_rules import iptables_families, meaning, nft_rule

OUTBOUND = """\
  chain outbound {
    oifname lo ip saddr 127.0.0.6 return
    oifname lo ip daddr != 127.0.0.1 meta l4proto tcp th dport != { 53, 15008 } meta skuid 1337 jump redirect-in
    oifname lo meta l4proto tcp th dport != { 53 } meta skuid != 1337 return
    meta skuid 1337 return
    jump dns-out
    ip daddr 127.0.0.1 return
    jump redirect-out
  }
"""
TPROXY_INBOUND = """\
*mangle
-N MIZZEN_PREROUTING
-N MIZZEN_OUTPUT
-N MIZZEN_INBOUND
-N MIZZEN_DIVERT
-N MIZZEN_TPROXY
-A MIZZEN_PREROUTING -p tcp -j MIZZEN_INBOUND
-A MIZZEN_PREROUTING -p tcp -m mark --mark 1337 -j CONNMARK --save-mark
-A MIZZEN_OUTPUT -o lo -p tcp -m mark --mark 1337 -j RETURN
-A MIZZEN_OUTPUT -o lo -p tcp ! -d ::1/128 -m owner --uid-owner 7 -j MARK --set-mark 1338
-A MIZZEN_OUTPUT -p tcp -m connmark --mark 1337 -j CONNMARK --restore-mark
-A MIZZEN_INBOUND -p tcp -m mark --mark 1337 -j RETURN
-A MIZZEN_INBOUND -i lo -p tcp -s ::6/128 -j RETURN
-A MIZZEN_INBOUND -i lo -p tcp -m mark ! --mark 1338 -j RETURN
-A MIZZEN_INBOUND -p tcp --dport 8080 -m conntrack --ctstate ESTABLISHED,RELATED -j MIZZEN_DIVERT
-A MIZZEN_INBOUND -p tcp --dport 8080 -j MIZZEN_TPROXY
-A MIZZEN_DIVERT -j MARK --set-mark 1337
-A MIZZEN_DIVERT -j ACCEPT
-A MIZZEN_TPROXY -p tcp ! -d ::1/128 -j TPROXY --tproxy-mark 1337/0xffffffff --on-port 15006
-I PREROUTING 1 -j MIZZEN_PREROUTING
-I OUTPUT 1 -j MIZZEN_OUTPUT
COMMIT
"""


def nft(options: CaptureOptions) -> str:
    return "\n".join(map(str, as_nftables(capture_tables(options), ipv6=options.ipv6)))


def test_the_outbound_rules_are_istios():
    assert OUTBOUND in nft(CaptureOptions(proxy_uids=(1337,)))


def test_a_mark_takes_the_place_of_the_user():
    by_user = nft(CaptureOptions(proxy_uids=(1337,)))
    assert nft(CaptureOptions(proxy_mark=99)) == by_user.replace("skuid", "mark").replace("1337", "99")


def test_by_tproxy_a_mark_of_the_proxys_own_is_the_one_by_which_it_is_told_on_its_way_back():
    text = nft(CaptureOptions(tproxy=True, proxy_mark=99))
    assert "iifname lo meta l4proto tcp meta mark != 99 return" in text
    assert "meta mark set 1338" not in text


def test_tproxys_rules_by_iptables_for_one_family():
    options = CaptureOptions(
        tproxy=True, ipv6=True, proxy_uids=(7,), include_inbound_ports=(8080,), dns_servers=()
    )
    text = restore_text(capture_tables(options), 6)
    assert text.startswith(TPROXY_INBOUND)
    assert "*raw" not in text
    assert "127.0.0" not in text


def test_without_ipv6_none_of_its_packets_is_looked_at():
    blocks = parse_cidrs("10.0.0.0/8,2001:db8::/32")
    servers = (ip_address("9.9.9.9"), ip_address("2620:fe::fe"))
    for options in (
        CaptureOptions(proxy_uids=(7,), tproxy=True),
        CaptureOptions(include_outbound_cidrs=blocks, exclude_outbound_cidrs=blocks, dns_servers=servers),
    ):
        text = nft(options)
        assert "ip6" not in text
        assert "table inet" not in text


def test_what_is_included_twice_over_is_excluded_first():
    text = nft(
        CaptureOptions(exclude_outbound_cidrs=parse_cidrs("10.1.0.0/16"), include_outbound_ports=(80,))
    )
    order = ["ip daddr 10.1.0.0/16 return", "th dport 80 jump redirect-out", "    jump redirect-out"]
    assert sorted(order, key=text.index) == order


def test_nothing_is_made_that_no_packet_gets_to():
    options = CaptureOptions(include_inbound_ports=(), dns_servers=())
    (nat,) = capture_tables(options)
    assert set(nat.chains) == {"output", "outbound", "redirect-out"}
    assert restore_text((), 4) == ""


def test_a_jump_to_a_chain_that_is_empty_for_a_family_is_left_out():
    options = CaptureOptions(ipv6=True, dns_servers=(ip_address("9.9.9.9"),))
    nat = next(table for table in capture_tables(options) if table.kind == "nat")
    jumps = {
        version: [rule.verdict for rule in of_family(nat, version).chains["outbound"]] for version in (4, 6)
    }
    assert Jump("dns-out") in jumps[4]
    assert Jump("dns-out") not in jumps[6]


def test_what_is_there_is_replaced_and_what_others_made_stays():
    present = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n:MIZZEN_OUTPUT - [0:0]\n"
        ":MIZZEN_OLD - [0:0]\n-A PREROUTING -j DOCKER\n-A OUTPUT -j MIZZEN_OUTPUT\n-A MIZZEN_OUTPUT -j MIZZEN_OLD\n"
        "COMMIT\n*mangle\n:OUTPUT ACCEPT [0:0]\n:MIZZEN_OUTPUT - [0:0]\n-A OUTPUT -j MIZZEN_OUTPUT\nCOMMIT\n"
    )
    rules = {"output": (Rule((Transport("tcp"),), Redirect(15001)),)}
    assert restore_text((Table("nat", rules),), 4, present).splitlines() == [
        "*mangle",
        "-D OUTPUT -j MIZZEN_OUTPUT",
        "-F MIZZEN_OUTPUT",
        "-X MIZZEN_OUTPUT",
        "COMMIT",
        "*nat",
        "-D OUTPUT -j MIZZEN_OUTPUT",
        "-F MIZZEN_OUTPUT",
        "-F MIZZEN_OLD",
        "-X MIZZEN_OUTPUT",
        "-X MIZZEN_OLD",
        "-N MIZZEN_OUTPUT",
        "-A MIZZEN_OUTPUT -p tcp -j REDIRECT --to-ports 15001",
        "-I OUTPUT 1 -j MIZZEN_OUTPUT",
        "COMMIT",
    ]


EVERYTHING = CaptureOptions(
    tproxy=True,
    ipv6=True,
    proxy_uids=(1, 2),
    proxy_gids=(3,),
    proxy_mark=9,
    pass_marks=(8,),
    exclude_inbound_ports=(22,),
    include_outbound_ports=(80,),
    exclude_outbound_ports=(25,),
    include_outbound_cidrs=parse_cidrs("10.0.0.0/8,2001:db8::/32"),
    exclude_outbound_cidrs=parse_cidrs("10.9.0.0/16"),
    exclude_interfaces=("eth1",),
    virtual_interfaces=("tap0",),
    exclude_owner_groups=(5,),
    exclude_uids=(6,),
    drop_invalid=True,
)


@pytest.mark.parametrize("version", [4, 6])
def test_both_renderings_say_what_the_rules_say(version):
    tables = {table.kind: table for table in capture_tables(EVERYTHING)}
    assert set(tables) == {"nat", "mangle", "raw"}
    by_iptables = iptables_families(restore_text(tuple(tables.values()), version))[0]
    by_nftables = {
        table.name.removeprefix("mizzen-"): {
            chain.name: tuple(nft_rule(str(rule).split()) for rule in chain.rules) for chain in table.chains
        }
        for table in as_nftables(tuple(tables.values()), ipv6=True)
    }
    for kind, table in tables.items():
        expected = meaning(table, version)
        assert meaning(by_iptables[kind], version) == expected
        assert meaning(Table(kind, by_nftables[kind]), version) == expected


TO_PROXY = Rule((Transport("tcp"),), Jump("proxy"))
LEAVE_TCP, LEAVE_UDP = (Rule((Transport(name),), Simple.RETURN) for name in ("tcp", "udp"))
DROP_UDP = Rule((Transport("udp"),), Simple.DROP)


def met(*output: Rule, port: int = 1, **chains: tuple[Rule, ...]) -> object:
    return meaning(Table("nat", {"output": output, "proxy": (Rule((), Redirect(port)),), **chains}), 4)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (met(TO_PROXY), met(Rule((), Jump("all")), all=(TO_PROXY,))),
        (met(LEAVE_TCP, LEAVE_UDP, TO_PROXY), met(LEAVE_UDP, LEAVE_TCP, TO_PROXY)),
        (met(DROP_UDP), met(Rule(DROP_UDP.matches, Jump("no")), no=(Rule((), Simple.DROP),))),
        (met(TO_PROXY), met(TO_PROXY, nobody=(LEAVE_TCP,))),
    ],
)
def test_what_packets_meet_is_the_same_however_it_is_written(one, other):
    assert one == other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (met(LEAVE_TCP, TO_PROXY), met(TO_PROXY, LEAVE_TCP)),
        (met(LEAVE_TCP, DROP_UDP), met(DROP_UDP, LEAVE_TCP)),
        (met(TO_PROXY), met(TO_PROXY, port=2)),
        (met(TO_PROXY), met(Rule((Transport("udp"),), Jump("proxy")))),
        (met(TO_PROXY), met(TO_PROXY, LEAVE_UDP)),
        (met(TO_PROXY), met(Rule((), Jump("all")), LEAVE_UDP, all=(TO_PROXY,))),
    ],
)
def test_what_packets_meet_differs_by_order_verdict_and_match(one, other):
    assert one != other
