"""As whom Envoy runs, and what is said when it ends."""

import sys
from pathlib import Path

import pytest

from mizzen.agent.envoy import Envoy, envoy_uid, search_domain
from mizzen.agent.settings import parse
from mizzen.errors import UserError
from tests.support.agent_mesh import until

REQUIRED = ["--name", "w", "--address", "10.0.0.2", "--daemon", "h:1", "--root-cert", "r"]
ALL_USERS = "         0          0 4294967295\n"
ONE_USER = "         0       1000          1\n"


@pytest.mark.parametrize(
    ("arguments", "own_uid", "uid_map", "uid"),
    [
        ([], 0, ALL_USERS, 1337),
        (["--envoy-uid", "7"], 0, ALL_USERS, 7),
        (["--interception", "none"], 0, ALL_USERS, None),
        (["--interception", "none"], 1000, ALL_USERS, None),
        (["--mark", "99"], 0, ONE_USER, None),
        ([], 0, ONE_USER + "1 100000 65536\n", 1337),
    ],
)
def test_envoys_user(arguments, own_uid, uid_map, uid):
    assert envoy_uid(parse([*REQUIRED, "--state-dir", "s", *arguments]), own_uid, uid_map) == uid


@pytest.mark.parametrize(("own_uid", "uid_map"), [(1000, ALL_USERS), (0, ONE_USER)])
def test_capture_by_user_needs_a_second_user(own_uid, uid_map):
    with pytest.raises(UserError, match=r"Envoy cannot run as user 1337 here.*--mark"):
        envoy_uid(parse([*REQUIRED, "--state-dir", "s"]), own_uid, uid_map)


def test_a_missing_binary_is_named():
    settings = parse([*REQUIRED, "--state-dir", "s"])
    with pytest.raises(UserError, match="cannot read Envoy at /no/envoy: No such file or directory"):
        Envoy(settings, "{}", Path("/no/envoy"), None, on_line=print, on_exit=print)


async def test_an_end_is_told_with_envoys_last_words(tmp_path):
    """A stand-in: a Python that is given Envoy's arguments, and ends with status 2 because of them."""
    lines: list[str] = []
    ends: list[tuple[str, float]] = []
    settings = parse([*REQUIRED, "--state-dir", str(tmp_path), "--interception", "none"])
    binary = Path(sys.executable)
    envoy = Envoy(settings, "{}", binary, None, on_line=lines.append, on_exit=lambda *end: ends.append(end))
    envoy.start()
    await until(lambda: envoy.restarts == 1, "the restart")
    await envoy.stop()
    why, delay = ends[0]
    assert why.startswith("Envoy exited with status 2 (")
    assert lines[0] in lines
    assert 0.1 <= delay <= 0.12


@pytest.mark.parametrize(
    ("resolver", "environment"),
    [
        ("nameserver 10.0.0.53\n", {"LOCALDOMAIN": "shop.svc.cluster.local"}),
        ("nameserver 10.0.0.53\nsearch shop.svc.cluster.local svc.cluster.local\n", {}),
        (None, {"LOCALDOMAIN": "shop.svc.cluster.local"}),
    ],
    ids=["none", "its own", "no file"],
)
def test_envoy_searches_the_workloads_namespace_where_the_machine_searches_nothing(
    tmp_path, resolver, environment
):
    file = tmp_path / "resolv.conf"
    if resolver is not None:
        file.write_text(resolver)
    assert search_domain("shop", file) == environment
