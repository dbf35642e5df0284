"""What proxies needed that have left is kept for a minute."""

import pytest

from mizzen.daemon.departures import KEPT_SECONDS, Departures
from mizzen.xds.resource import ENDPOINT
from tests.unit.daemon import test_catalog
from tests.unit.daemon.test_catalog import WORKLOAD


class World(test_catalog.World):
    """The same, where departures are kept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.departures = Departures(lambda: self.now)
        super().__init__(left=self.departures.left)

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds
        self.departures.release_due()
        self.refresh()

    @property
    def runs(self) -> int:
        return self.mesh.db.runs.total()

    @property
    def observed(self) -> int:
        return len(self.mesh.db._reported)


@pytest.fixture
def world():
    return World()


def test_who_comes_back_within_a_minute_costs_no_query(world):
    session = world.connect("cart-0")
    before = session.snapshot()
    session.close()
    assert list(world.catalog.sessions) == []
    world.pass_seconds(KEPT_SECONDS - 1)
    runs = world.runs
    assert world.connect("cart-0").snapshot() is before
    assert world.runs == runs


def test_what_changes_meanwhile_is_there_on_return(world):
    world.connect("cart-0").close()
    world.refresh()
    world.apply(WORKLOAD.format(name="cart-0", address="10.7.7.7", app="cart"))
    runs = world.runs
    endpoints = world.connect("cart-0").snapshot().of(ENDPOINT)
    assert b"10.7.7.7" in endpoints["outbound|80||cart.shop.svc.cluster.local"].body
    assert world.runs == runs


def test_who_stays_away_is_forgotten_with_all_that_was_kept(world):
    world.connect("cart-0").close()
    assert world.observed
    world.pass_seconds(KEPT_SECONDS)
    assert not world.observed
    runs = world.runs
    world.connect("cart-0")
    assert world.runs > runs


def test_who_came_back_keeps_what_an_old_departure_releases(world):
    world.connect("cart-0").close()
    session = world.connect("cart-0")
    observed = world.observed
    world.pass_seconds(KEPT_SECONDS)
    assert world.observed == observed
    session.close()
    world.pass_seconds(KEPT_SECONDS)
    assert not world.observed


def test_who_comes_and_goes_is_kept_once(world):
    for _ in range(10):
        world.connect("cart-0").close()
    assert len(world.departures._kept) == 1
    world.pass_seconds(KEPT_SECONDS)
    assert not world.observed


def test_the_oldest_go_first_and_alone():
    now, gone = 0.0, []
    departures = Departures(lambda: now)
    for who in ("a", "b", "a"):  # a came back and left again
        departures.left(who, lambda who=who: gone.append(who))
        now += 10
    assert gone == ["a"]  # the first of its two departures
    now = KEPT_SECONDS + 10
    departures.release_due()
    assert gone == ["a", "b"]
    now = KEPT_SECONDS + 20
    departures.release_due()
    assert gone == ["a", "b", "a"]
