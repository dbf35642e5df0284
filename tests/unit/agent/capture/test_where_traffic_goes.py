"""The rules of capture in force, in namespaces of the test's own: who answers which call."""

import json
import os
import shutil
import sys

import pytest

from mizzen.agent.capture import AGENT_MARK
from mizzen.agent.capture.options import TPROXY_MARK
from mizzen.processes import Command, run
from tests.support.capture_scene import (
    CANNOT,
    ENVOY_MARK,
    ENVOY_UID,
    INNER,
    INNER2,
    INNER6,
    OUTER,
    OUTER2,
    OUTER6,
)

MARKED = ("--mark", str(ENVOY_MARK))


async def answers(mode: str, acts: list[dict]) -> list[dict[str, str]]:
    if mode == "uid" and os.getuid() != 0:
        pytest.skip("could not run here: only root has a second user for Envoy")
    argv = (sys.executable, "-m", "tests.support.capture_scene", mode, json.dumps(acts))
    finished = await run(Command(name="scene", argv=argv), timeout_seconds=120)
    if finished.exit.status == CANNOT:
        pytest.skip(f"could not run here: {finished.stderr}")
    assert finished.exit.ok, finished.stderr
    return json.loads(finished.stdout)


PLACES = {"IPv4": (OUTER, INNER, "127.0.0.6"), "IPv6": (OUTER6, INNER6, "::6")}


def all_calls(mode: str) -> tuple[dict, dict, dict]:
    """From inside, from outside, and who answers."""
    envoy = {"mark": ENVOY_MARK} if mode == "mark" else {"uid": ENVOY_UID}
    inside, outside, expected = {}, {}, {}
    for family, (outer, inner, own) in PLACES.items():
        calls = {
            "the application calls out": ("outbound", {"to": ["tcp", outer, 80]}),
            "Envoy calls out": ("outer", {"to": ["tcp", outer, 80], **envoy}),
            "the agent calls out": ("outer", {"to": ["tcp", outer, 80], "mark": AGENT_MARK}),
            "the application asks any DNS server": ("dns", {"to": ["udp", outer, 53]}),
            "the application asks by TCP": ("dns", {"to": ["tcp", outer, 53]}),
            "the agent asks a DNS server": ("outer", {"to": ["udp", OUTER, 53], "mark": AGENT_MARK}),
            "the application calls itself": ("app", {"to": ["tcp", inner, 8080]}),
            "Envoy calls its own workload": ("inbound", {"to": ["tcp", inner, 8080], **envoy}),
            "Envoy calls the application": ("app", {"to": ["tcp", inner, 8080], "source": own, **envoy}),
        }
        inside |= {f"{family}: {name}": asked for name, (_, asked) in calls.items()}
        expected |= {f"{family}: {name}": answer for name, (answer, _) in calls.items()}
        outside[f"{family}: somebody calls in"] = {"to": ["tcp", inner, 8080], "who": True}
        expected[f"{family}: somebody calls in"] = f"inbound by {outer}"
        outside[f"{family}: somebody calls the agent"] = {"to": ["tcp", inner, 15020]}
        expected[f"{family}: somebody calls the agent"] = "status"
    return inside, outside, expected


@pytest.mark.parametrize("mode", ["uid", "mark"])
@pytest.mark.parametrize("backend", ["nftables", "iptables"])
async def test_everything_is_captured_but_the_proxy_and_the_agent(backend, mode):
    """By REDIRECT, by TPROXY, and again by REDIRECT: nothing is left of the rules before."""
    if backend == "iptables" and shutil.which("iptables-restore") is None:
        pytest.skip("could not run here: there is no iptables (make ci-setup installs it)")
    inside, outside, expected = all_calls(mode)
    options = ["--capture-backend", backend, *(MARKED if mode == "mark" else ())]
    as_the_caller = {
        f"{family}: Envoy calls the application as the caller": {
            "to": ["tcp", inner, 8080], "source": outer, "mark": TPROXY_MARK, "uid": envoy, "who": True
        }
        for family, (outer, inner, _) in PLACES.items()
        for envoy in [ENVOY_UID if mode == "uid" else 0]
    }  # fmt: skip
    acts = [
        {"capture": options, "inner": inside, "outer": outside},
        {"capture": [*options, "--tproxy"], "inner": inside | as_the_caller, "outer": outside},
        {"capture": options, "inner": inside, "outer": outside},
    ]
    called_back = {name: f"app by {call['source']}" for name, call in as_the_caller.items()}
    assert await answers(mode, acts) == [expected, expected | called_back, expected]


OUT, OUT_81, OUT_2 = ["tcp", OUTER, 80], ["tcp", OUTER, 81], ["tcp", OUTER2, 80]
IN, IN_8081, IN_2 = ["tcp", INNER, 8080], ["tcp", INNER, 8081], ["tcp", INNER2, 8080]
BY_MARK = {
    "ports excluded": (
        ["--exclude-outbound-ports", "81", "--exclude-inbound-ports", "8081"],
        {"out 80": ("outbound", OUT), "out 81": ("outer", OUT_81)},
        {"in 8080": ("inbound", IN), "in 8081": ("app2", IN_8081)},
    ),
    "ports included": (
        ["--include-outbound-cidrs", "", "--include-outbound-ports", "81", "--include-inbound-ports", "8081"],
        {"out 80": ("outer", OUT), "out 81": ("outbound", OUT_81)},
        {"in 8080": ("app", IN), "in 8081": ("inbound", IN_8081)},
    ),
    "ports included by TPROXY": (
        ["--tproxy", "--include-inbound-ports", "8081"],
        {},
        {"in 8080": ("app", IN), "in 8081": ("inbound", IN_8081)},
    ),
    "nothing inbound": (
        ["--include-inbound-ports", ""],
        {"out": ("outbound", OUT)},
        {"in": ("app", IN)},
    ),
    "blocks excluded": (
        ["--exclude-outbound-cidrs", "10.78.0.0/24,fd77::/64"],
        {
            "10.77.0.1": ("outbound", OUT),
            "10.78.0.1": ("outer", OUT_2),
            "fd77::1": ("outer", ["tcp", OUTER6, 80]),
        },
        {},
    ),
    "blocks included": (
        ["--include-outbound-cidrs", "10.78.0.0/24"],
        {
            "10.77.0.1": ("outer", OUT),
            "10.78.0.1": ("outbound", OUT_2),
            "fd77::1": ("outer", ["tcp", OUTER6, 80]),
        },
        {},
    ),
    "an interface excluded": (
        ["--exclude-interfaces", "inner2"],
        {"out": ("outbound", OUT), "out by inner2": ("outer", OUT_2)},
        {"in": ("inbound", IN), "in by inner2": ("app", IN_2)},
    ),
    "an interface excluded under TPROXY": (
        ["--tproxy", "--exclude-interfaces", "inner2"],
        {"out": ("outbound", OUT), "out by inner2": ("outer", OUT_2)},
        {"in": ("inbound", IN), "in by inner2": ("app", IN_2)},
    ),
    "a virtual machine's interface": (
        ["--virtual-interfaces", "inner2"],
        {},
        {"in": ("inbound", IN), "from the machine": ("outbound", IN_2)},
    ),
    "DNS servers chosen": (
        ["--capture-dns", OUTER2],
        {"another": ("outer", ["udp", OUTER, 53]), "the chosen": ("dns", ["udp", OUTER2, 53])},
        {},
    ),
    "IPv4 alone": (
        ["--capture-ipv6", "off"],
        {"IPv4": ("outbound", OUT), "IPv6": ("outer", ["tcp", OUTER6, 80])},
        {"IPv4 in": ("inbound", IN), "IPv6 in": ("app", ["tcp", INNER6, 8080])},
    ),
}
BY_USER = {
    "a user excluded": (
        ["--exclude-uids", "1001"],
        {"1001": ("outer", OUT, {"uid": 1001}), "1002": ("outbound", OUT, {"uid": 1002})},
        {},
    ),
    "a group excluded": (
        ["--exclude-gids", "1001"],
        {"1001": ("outer", OUT, {"gid": 1001}), "1002": ("outbound", OUT, {"gid": 1002})},
        {},
    ),
    "groups included": (
        ["--include-gids", "1001,1002"],
        {
            "1001": ("outbound", OUT, {"gid": 1001}),
            "1002": ("outbound", OUT, {"gid": 1002}),
            "1003": ("outer", OUT, {"gid": 1003}),
        },
        {},
    ),
}


@pytest.mark.parametrize(("mode", "choices"), [("mark", BY_MARK), ("uid", BY_USER)], ids=["mark", "uid"])
async def test_what_is_excluded_is_not_captured_and_what_is_included_is(mode, choices):
    acts, expected = [], {}
    for choice, (options, inside, outside) in choices.items():
        calls = [
            {name: {"to": to, **dict(*given)} for name, (_, to, *given) in side.items()}
            for side in (inside, outside)
        ]
        capture = [*(MARKED if mode == "mark" else ()), *options]
        acts.append({"capture": capture, "inner": calls[0], "outer": calls[1]})
        expected[choice] = {name: who for name, (who, *_) in (inside | outside).items()}
    assert dict(zip(choices, await answers(mode, acts), strict=True)) == expected


async def test_without_rights_the_user_is_told_what_to_do():
    """As a user without rights: nothing is changed, as nothing may be."""
    code = (
        "import os\nfrom mizzen.agent.capture import capture\nfrom mizzen.errors import UserError\n"
        "from mizzen.agent.capture.options import CaptureOptions\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try: capture(CaptureOptions(proxy_uids=(1337,)))\n"
        "except UserError as error: print(error)"
    )
    finished = await run(Command(name="capture", argv=(sys.executable, "-c", code)))
    assert finished.stdout.decode() == (
        "no right to capture traffic in this network namespace:"
        " run as root, or without capture: --interception none\n"
    )
