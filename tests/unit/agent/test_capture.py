"""The rules of capture: as text, and in force in namespaces of the test's own."""

import json
import os
import sys

import pytest

from mizzen.agent.capture import EnvoyTraffic, capture_table
from mizzen.processes import Command, run
from tests.support.capture_scene import CANNOT

OUTBOUND = """\
  chain outbound {
    type nat hook output priority -100;
    meta mark 28026 return
    oifname lo ip saddr 127.0.0.6 return
    oifname lo ip daddr != 127.0.0.1 meta l4proto tcp th dport != { 53, 15008 } meta skuid 1337 jump redirect-in
    oifname lo meta l4proto tcp th dport != { 53 } meta skuid != 1337 return
    meta skuid 1337 return
    meta l4proto udp th dport 53 redirect to :15053
    meta l4proto tcp th dport 53 redirect to :15053
    ip daddr 127.0.0.1 return
    jump redirect-out
  }
"""


def test_the_outbound_rules_are_istios_with_the_agents_mark_on_top():
    assert OUTBOUND in str(capture_table(EnvoyTraffic(uid=1337, mark=0)))


def test_a_mark_takes_the_place_of_the_user():
    text = str(capture_table(EnvoyTraffic(uid=1337, mark=99)))
    assert "skuid" not in text
    assert text == str(capture_table(EnvoyTraffic(uid=1337, mark=0))).replace("skuid", "mark").replace(
        "1337", "99"
    )


@pytest.mark.parametrize("mode", ["uid", "mark"])
async def test_where_traffic_goes(mode):
    if mode == "uid" and os.getuid() != 0:
        pytest.skip("could not run here: only root has a second user for Envoy")
    argv = (sys.executable, "-m", "tests.support.capture_scene", mode)
    finished = await run(Command(name="scene", argv=argv), timeout_seconds=60)
    if finished.exit.status == CANNOT:
        pytest.skip(f"could not run here: {finished.stderr}")
    assert finished.exit.ok, finished.stderr
    assert json.loads(finished.stdout) == {
        "the application calls out": "outbound",
        "Envoy calls out": "outer",
        "the agent calls out": "outer",
        "the application asks any DNS server": "dns",
        "the application asks by TCP": "dns",
        "the application asks on loopback": "dns",
        "somebody calls in": "inbound",
        "somebody calls the agent": "status",
        "the application calls itself": "app",
        "the application calls localhost": "app",
        "Envoy calls its own workload's address": "inbound",
        "Envoy passes a request to the application": "app",
    }


async def test_without_rights_the_user_is_told_what_to_do():
    """As a user without rights: nothing is changed, as nothing may be."""
    code = (
        "import os\nfrom mizzen.agent.capture import EnvoyTraffic, capture\nfrom mizzen.errors import UserError\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try: capture(EnvoyTraffic(1337, 0))\n"
        "except UserError as error: print(error)"
    )
    finished = await run(Command(name="capture", argv=(sys.executable, "-c", code)))
    assert finished.stdout.decode() == (
        "no right to capture traffic in this network namespace:"
        " run as root, or without capture: --interception none\n"
    )
