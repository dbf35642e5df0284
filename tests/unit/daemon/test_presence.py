"""Who is still there, as several daemons find out together over one folder."""

from pathlib import Path

import pytest

from mizzen.config.resource import ResourceKey
from mizzen.daemon.presence import (
    AWAY_SECONDS,
    RETURN_SECONDS,
    ROUND_SECONDS,
    SILENT_SECONDS,
    Presence,
    stem,
)

MEMBER = stem(ResourceKey("WorkloadEntry", "shop", "cart-10.0.0.9"))


class World:
    """A folder with one member, and daemons over it with one clock. `proxies`: where each daemon's proxies are from."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.members, self.lists = folder / "workloads", folder / "presence"
        self.members.mkdir()
        self.file = self.members / f"{MEMBER}.yaml"
        self.file.write_text("entry")
        self.daemons: dict[str, Presence] = {}
        self.proxies: dict[str, set[str]] = {}

    def start(self, name: str, *connected: str) -> None:
        self.daemons[name] = Presence(self.members, self.lists, name, monotonic=lambda: self.now)
        self.proxies[name] = set(connected)

    def move(self, to: str) -> None:
        for name, connected in self.proxies.items():
            connected.clear()
            if name == to:
                connected.add(MEMBER)

    def kill(self, name: str) -> None:
        """It has no time to remove its list."""
        del self.daemons[name], self.proxies[name]

    def round(self) -> None:
        for name, daemon in self.daemons.items():
            daemon.look(frozenset(self.proxies[name]))
        self.now += ROUND_SECONDS

    def passes(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.round()


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


@pytest.fixture
def settled(world) -> World:
    """Two daemons that have run for long. The member's proxy is connected to the first."""
    world.start("a", MEMBER)
    world.start("b")
    world.passes(RETURN_SECONDS + AWAY_SECONDS)
    assert world.file.exists()
    return world


def test_who_stays_away_is_forgotten_and_who_comes_back_in_time_is_not(world):
    world.start("a", MEMBER)
    world.passes(RETURN_SECONDS)
    world.move("")
    world.passes(AWAY_SECONDS - ROUND_SECONDS)
    world.move("a")
    world.passes(AWAY_SECONDS * 3)
    assert world.file.exists()
    world.move("")
    world.passes(AWAY_SECONDS)
    assert world.file.exists()
    world.passes(ROUND_SECONDS)
    assert not world.file.exists()


def test_after_a_restart_of_the_daemon_members_have_time_to_come_back(world):
    world.start("a", MEMBER)
    world.passes(RETURN_SECONDS * 2)
    world.kill("a")
    world.start("a2")
    world.passes(RETURN_SECONDS)
    assert world.file.exists()
    world.round()
    assert not world.file.exists()


def test_who_moves_to_another_daemon_is_there(settled):
    settled.move("b")
    settled.passes(AWAY_SECONDS * 5)
    assert settled.file.exists()
    settled.move("")
    settled.passes(AWAY_SECONDS * 2)
    assert not settled.file.exists()


def test_who_went_with_a_dead_daemon_is_forgotten_by_another(settled):
    settled.kill("a")
    settled.passes(SILENT_SECONDS + AWAY_SECONDS)
    assert settled.file.exists()
    settled.passes(ROUND_SECONDS * 2)
    assert not settled.file.exists()
    assert list(settled.lists.iterdir()) == []


def test_who_moves_when_its_daemon_dies_is_not(settled):
    settled.kill("a")
    settled.passes(ROUND_SECONDS)
    settled.move("b")
    settled.passes(AWAY_SECONDS * 5)
    assert settled.file.exists()


def test_who_was_forgotten_in_the_moment_in_which_it_came_is_taken_back(settled):
    settled.move("")
    settled.passes(AWAY_SECONDS + ROUND_SECONDS)
    assert not settled.file.exists()
    settled.move("b")
    settled.round()
    assert settled.file.read_text() == "entry"
    settled.passes(AWAY_SECONDS * 2)
    assert settled.file.exists()


def test_nothing_stays_of_who_was_forgotten(settled):
    settled.move("")
    settled.passes(AWAY_SECONDS * 3)
    assert list(settled.members.iterdir()) == []
    assert list(settled.lists.iterdir()) == []


def test_who_never_registered_stands_on_no_list(world):
    world.start("a", "shop~bought-0")
    world.round()
    assert not world.lists.exists()


def test_a_folder_that_cannot_be_written_is_told_once_by_each_and_nobody_is_forgotten(settled, caplog):
    settled.lists.rename(settled.lists.with_name("gone"))
    settled.lists.write_text("no folder")
    settled.passes(AWAY_SECONDS * 5)
    assert settled.file.exists()
    told = [line for line in caplog.messages if "which workloads are there" in line]
    assert len(told) == len(settled.daemons)
