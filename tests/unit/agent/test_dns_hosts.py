"""The table of the mesh's names."""

import asyncio
import json

import pytest

from mizzen.agent.dns_hosts import HostsFile, HostTable, parse_hosts
from tests.support.agent_mesh import until

TABLE = HostTable(
    "bookinfo",
    parse_hosts(
        json.dumps(
            {
                "Reviews.bookinfo.svc.cluster.local.": ["10.0.0.1", "10.0.0.2"],
                "ratings.other.svc.cluster.local": ["10.0.0.3"],
                "api.example.com": ["10.0.0.4"],
                "*.wild.example.com": ["10.0.0.5"],
                "empty.bookinfo.svc.cluster.local": [],
            }
        )
    ),
)


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("reviews.bookinfo.svc.cluster.local", ("10.0.0.1", "10.0.0.2")),
        ("reviews", ("10.0.0.1", "10.0.0.2")),
        ("reviews.bookinfo", ("10.0.0.1", "10.0.0.2")),
        ("reviews.bookinfo.svc", ("10.0.0.1", "10.0.0.2")),
        ("ratings", None),
        ("ratings.other", ("10.0.0.3",)),
        ("api.example.com", ("10.0.0.4",)),
        ("api.example.com.bookinfo.svc.cluster.local", None),
        ("a.b.wild.example.com", ("10.0.0.5",)),
        ("wild.example.com", None),
        ("empty", ()),
    ],
)
def test_look_up(name, addresses):
    assert TABLE.find(name) == addresses


@pytest.mark.parametrize(
    ("name", "owned"),
    [
        ("x.svc.cluster.local", True),
        ("cluster.local", True),
        ("notcluster.local", False),
        ("example.com", False),
    ],
)
def test_which_names_nobody_else_can_know(name, owned):
    assert HostTable.owns(name) is owned


def replace_file(path, text: str) -> None:
    """As its writer does: a new file in its place, never a half-written one."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


async def test_the_file_is_followed_and_a_broken_one_changes_nothing(tmp_path, caplog):
    path = tmp_path / "hosts"
    hosts = HostsFile(path, "ns")
    watching = asyncio.create_task(hosts.watch())
    await asyncio.sleep(0)
    assert hosts.table.find("a.b") is None
    replace_file(path, '{"a.b": ["10.0.0.1"]}')
    await until(lambda: hosts.table.find("a.b") == ("10.0.0.1",))
    for broken in ("{", "[]", '{"a.b": "10.0.0.1"}', '{"a.b": ["nowhere"]}'):
        caplog.clear()
        replace_file(path, broken)
        await until(lambda: any("are not taken over" in message for message in caplog.messages))
        assert hosts.table.find("a.b") == ("10.0.0.1",)
    path.unlink()
    replace_file(path, '{"a.b": ["10.0.0.2"]}')
    await until(lambda: hosts.table.find("a.b") == ("10.0.0.2",))
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
