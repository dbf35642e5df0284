"""What is written on the command line, and what is meant by it."""

import argparse
from ipaddress import ip_address, ip_network

import pytest

from mizzen.agent.capture import AGENT_MARK, arguments
from mizzen.agent.capture.arguments import add_capture_arguments, take_capture_options
from mizzen.agent.capture.options import EVERY, CaptureOptions, parse_cidrs, resolv_conf_servers
from mizzen.agent.capture.routing import has_ipv6


def options(*argv: str, tproxy: bool = False, mark: int = 0) -> CaptureOptions:
    parser = argparse.ArgumentParser()
    add_capture_arguments(parser)
    values = vars(parser.parse_args(argv))
    found = take_capture_options(values, tproxy=tproxy, mark=mark, uid=1337)
    assert list(values) == ["capture_backend"]
    return found


def test_by_default_everything_is_captured_but_what_is_the_agents_and_the_administrators():
    assert options("--capture-ipv6", "off") == CaptureOptions(
        proxy_uids=(1337,), pass_marks=(AGENT_MARK,), exclude_inbound_ports=(22, 15020, 15021, 15090)
    )


def test_lists():
    found = options(
        "--include-inbound-ports", "80, 81,", "--exclude-outbound-cidrs", "10.1.2.3/8,fd00::/8,9.9.9.9",
        "--exclude-uids", "7,root", "--include-gids", "root", "--capture-dns", "9.9.9.9",
    )  # fmt: skip
    assert found.include_inbound_ports == (80, 81)
    assert found.exclude_outbound_cidrs == tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8", "9.9.9.9/32")))
    assert (found.exclude_uids, found.include_owner_groups) == ((7, 0), (0,))
    assert found.dns_servers == (ip_address("9.9.9.9"),)


@pytest.mark.parametrize("option", ["--include-inbound-ports", "--include-outbound-cidrs", "--include-gids"])
def test_a_star_is_everything_and_no_text_is_nothing(option):
    name = {"--include-gids": "include_owner_groups"}.get(option, option[2:].replace("-", "_"))
    assert getattr(options(option, "*"), name) == EVERY
    assert getattr(options(option, ""), name) == ()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--exclude-inbound-ports", "80,0"), "'0' is no port"),
        (("--exclude-inbound-ports", "*"), "'*' is no port"),
        (("--include-outbound-cidrs", "10.0.0.0/99"), "'10.0.0.0/99' is no CIDR block"),
        (("--exclude-gids", "no-such-group"), "'no-such-group' is neither a number nor a name"),
        (("--capture-dns", "dns.example"), "'dns.example' does not appear to be an IPv4 or IPv6 address"),
    ],
)
def test_a_mistake_is_named(argv, words, capsys):
    with pytest.raises(SystemExit):
        options(*argv)
    assert words in capsys.readouterr().err


def test_tproxys_mark_tells_envoys_calls_to_the_application():
    assert options(tproxy=True).pass_marks == (AGENT_MARK, 1337)
    assert options(tproxy=True, mark=99).proxy_mark == 99
    with pytest.raises(ValueError, match="--mark 1337 is TPROXY's own: take another"):
        options(tproxy=True, mark=1337)


def test_the_servers_of_resolv_conf(monkeypatch, tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text(
        "# nameserver 1.1.1.1\nsearch x\nnameserver 9.9.9.9\nnameserver fe80::1%eth0\nnameserver x\n"
    )
    monkeypatch.setattr(arguments, "RESOLV_CONF", file)
    assert options("--capture-dns", "resolv.conf").dns_servers == (
        ip_address("9.9.9.9"),
        ip_address("fe80::1"),
    )
    monkeypatch.setattr(arguments, "RESOLV_CONF", tmp_path / "none")
    assert options("--capture-dns", "resolv.conf").dns_servers == ()
    assert resolv_conf_servers("nameserver\n") == ()


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("00000000000000000000000000000001 01 80 10 80       lo", False),
        ("00000000000000000000000000000006 01 80 00 82       lo", False),
        ("fe80000000000000007e5afffe4a4bd1 02 40 20 80     eth0", False),
        ("fd770000000000000000000000000002 02 40 00 82     eth0", True),
    ],
)
def test_ipv6_is_where_others_can_reach_the_workload_by_it(line, has, tmp_path):
    file = tmp_path / "if_inet6"
    file.write_text(f"{line}\n")
    assert has_ipv6(file) is has
    assert has_ipv6(tmp_path / "none") is False


@pytest.mark.parametrize(
    ("blocks", "loopback"), [("127.1.2.3/32", True), ("::1/128", True), ("10.0.0.0/8", False)]
)
def test_loopback_addresses_may_be_included(blocks, loopback):
    assert CaptureOptions(include_outbound_cidrs=parse_cidrs(blocks)).includes_loopback is loopback
