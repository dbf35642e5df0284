"""Which backend puts the rules in force, and what the user is told where none can."""

import os

import pytest

from mizzen.agent import capture as package
from mizzen.agent.capture import Backend, by_iptables, by_nftables, capture
from mizzen.agent.capture.options import CaptureOptions
from mizzen.agent.nftables import MissingError
from mizzen.errors import UserError


@pytest.fixture
def forced(monkeypatch) -> list[str]:
    """Who was asked to put the rules in force; nothing is."""
    asked: list[str] = []
    monkeypatch.setattr(by_nftables, "put_in_force", lambda *_, **__: asked.append("nftables"))
    monkeypatch.setattr(by_iptables, "put_in_force", lambda *_, **__: asked.append("iptables"))
    for name in ("route_marked_to_this_machine", "add_loopback_address"):
        monkeypatch.setattr(package, name, lambda *_, name=name, **__: asked.append(name))
    return asked


def refuse(error: UserError):
    def put_in_force(*_, **__) -> None:
        raise error

    return put_in_force


def test_nf_tables_comes_first(forced):
    capture(CaptureOptions())
    capture(CaptureOptions(), Backend.IPTABLES)
    assert forced == ["nftables", "iptables"]


def test_tproxy_needs_a_route_and_ipv6_an_address(forced):
    capture(CaptureOptions(tproxy=True, ipv6=True))
    assert forced == ["nftables", "route_marked_to_this_machine", "add_loopback_address"]


def test_a_kernel_without_nf_tables_gets_iptables_unless_the_user_said_otherwise(forced, monkeypatch):
    monkeypatch.setattr(by_nftables, "put_in_force", refuse(MissingError("there is no nf_tables")))
    capture(CaptureOptions())
    assert forced == ["iptables"]
    with pytest.raises(MissingError):
        capture(CaptureOptions(), Backend.NFTABLES)
    monkeypatch.setattr(by_iptables, "put_in_force", refuse(UserError("there is no iptables-save here")))
    with pytest.raises(
        UserError, match="there is no nf_tables; nor by iptables: there is no iptables-save here"
    ):
        capture(CaptureOptions())


def test_another_refusal_is_told_at_once(forced, monkeypatch):
    monkeypatch.setattr(by_nftables, "put_in_force", refuse(UserError("no right")))
    with pytest.raises(UserError, match="no right"):
        capture(CaptureOptions())
    assert forced == []


def test_missing_iptables_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match=r"there is no iptables-save here: install the package iptables, or"):
        by_iptables.put_in_force((), ipv6=False)


def test_what_iptables_says_is_passed_on(monkeypatch, tmp_path):
    for name, script in (
        ("iptables-save", "exit 0"),
        ("iptables-restore", "echo 'Permission denied' >&2; exit 4"),
    ):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(
        UserError, match="iptables-restore refused the rules that capture traffic: Permission denied"
    ):
        by_iptables.put_in_force((), ipv6=False)
