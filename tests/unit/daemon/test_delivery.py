"""The log of changes: from the database to each proxy's answer."""

import pytest
from prometheus_client import CollectorRegistry

from mizzen.config.resource import ResourceKey
from mizzen.daemon.admission import AdmittedProxy
from mizzen.daemon.catalog import Session
from mizzen.daemon.delivery import REMEMBERED_CHANGES, DeliveryLog, type_name
from mizzen.daemon.metrics import MOST_RESOURCES, OTHER_RESOURCES, DeliveryMetrics
from mizzen.daemon.refresher import Timing
from mizzen.daemon.views import View
from mizzen.derive.workloads import workload_key
from mizzen.model.identity import SpiffeId
from mizzen.model.proxy import Capture, ProxyKind
from mizzen.xds.isolation import in_short
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from tests.support.mesh import sidecar

ROUTES = ResourceKey("VirtualService", "shop", "routes")


def a_session(name: str, *, agent: bool = False) -> Session:
    identity = SpiffeId("cluster.local", "shop", name)
    key = workload_key("shop", name)
    proxy = AdmittedProxy(key, ProxyKind.SIDECAR, identity, None, Capture(), None, agent)
    return Session(None, proxy, View(sidecar("shop")))


class World:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.lines: list[str] = []
        self.now = 100.0
        self.clock = 5.0
        self.log = DeliveryLog(
            lambda: self.now, DeliveryMetrics(self.registry), self._log, lambda: self.clock
        )
        self.cart, self.search = a_session("cart"), a_session("search")

    def _log(self, words: str, about: dict) -> None:
        self.lines.append(words)
        self.about = about["fields"]

    def changed(self, revision: int, concerned: list[Session], objects=(ROUTES,)) -> None:
        self.log.changed(revision, objects, concerned, Timing(self.clock, self.clock, self.clock))

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def states(self) -> list[dict[str, str]]:
        """Of the changes, the newest first."""
        return [record.proxies for record in self.log.changes]


@pytest.fixture
def world():
    return World()


def test_a_change_is_pending_with_whom_it_concerns_until_each_has_settled(world):
    world.changed(7, [world.search, world.cart])
    (record,) = world.log.changes
    assert (record.revision, record.time, record.objects) == (7, 100.0, (ROUTES,))
    assert record.proxies == {"shop/cart": "pending", "shop/search": "pending"}
    assert list(record.proxies) == ["shop/cart", "shop/search"]
    world.log.settled(world.cart, 6)
    world.log.acked(world.cart, ROUTE, 7)
    assert record.proxies["shop/cart"] == "pending"
    world.log.settled(world.cart, 7)
    assert record.proxies == {"shop/cart": "acked", "shop/search": "pending"}


def test_who_skipped_a_revision_has_it_with_the_next(world):
    for revision in (7, 8):
        world.changed(revision, [world.cart])
    world.log.settled(world.cart, 8)
    assert world.states() == [{"shop/cart": "acked"}] * 2


def test_a_refusal_is_kept_with_envoys_words_until_it_is_well(world):
    world.changed(7, [world.cart, world.search])
    world.log.rejected(world.cart, LISTENER, "0.0.0.0_80", "c0ffee", "no such filter")
    assert world.states() == [{"shop/cart": "rejected", "shop/search": "pending"}]
    assert world.lines == ["shop/cart refused listeners 0.0.0.0_80: no such filter"]
    assert world.about == {"proxy": "shop/cart", "type": "listeners", "resource": "0.0.0.0_80"}
    (refusal,) = world.log.refusals.values()
    assert (refusal.error, refusal.version, refusal.since) == ("no such filter", "c0ffee", 100.0)
    world.log.settled(world.cart, 7)  # held back: everything else is in
    assert world.states()[0]["shop/cart"] == "rejected"
    world.log.recovered(world.cart, LISTENER, "0.0.0.0_80")
    assert not world.log.refusals
    world.log.recovered(world.cart, LISTENER, "0.0.0.0_80")


def test_a_resource_that_envoy_prints_is_no_part_of_what_is_wrong():
    dump = 'goo.gle/debugonly  \nname: "x"\nprivate_key {\n  inline_string: "abc: d"\n}\n: '
    words = "Proto constraint validation failed (ClusterValidationError.ConnectTimeout: value must be > 0s)"
    assert in_short(dump + words) == words
    assert in_short(f"Error adding x: {dump}{words}, y: {dump}bad") == f"Error adding x: {words}, y: bad"
    assert in_short("no such filter") == "no such filter"


def test_a_secret_in_envoys_words_is_shown_to_nobody(world):
    key = "-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----"
    world.log.rejected(world.cart, SECRET, "edge", "1", f"cannot load {key}")
    (refusal,) = world.log.refusals.values()
    assert refusal.error == "cannot load <redacted>"
    assert world.lines == ["shop/cart refused secrets edge: cannot load <redacted>"]


def test_who_leaves_is_gone_and_its_refusals_with_it(world):
    world.changed(7, [world.cart, world.search])
    world.log.rejected(world.search, ROUTE, "80", "1", "bad")
    world.log.rejected(world.cart, ROUTE, "80", "1", "bad")
    world.changed(8, [world.cart])
    world.log.disconnected(world.cart)
    assert world.states() == [{"shop/cart": "gone"}, {"shop/cart": "rejected", "shop/search": "rejected"}]
    assert [found.session for found in world.log.refusals.values()] == [world.search]


def test_who_comes_back_has_what_it_missed(world):
    """An agent connects anew with each certificate, perhaps in the middle of a change."""
    beside = a_session("cart", agent=True)
    world.changed(7, [world.cart, beside])
    world.log.disconnected(beside)
    world.log.settled(world.cart, 7)
    assert world.states() == [{"shop/cart": "gone"}]
    back = a_session("cart", agent=True)
    world.log.settled(back, 6)
    assert world.states() == [{"shop/cart": "gone"}]
    world.log.settled(back, 7)
    assert world.states() == [{"shop/cart": "acked"}]
    world.log.rejected(back, ROUTE, "80", "1", "bad")
    assert world.states() == [{"shop/cart": "acked"}]


def test_a_broken_connection_that_ends_late_says_nothing_of_the_proxys_new_one(world):
    back = a_session("cart")
    world.changed(7, [world.cart, back])
    world.log.rejected(back, ROUTE, "80", "1", "bad")
    world.changed(8, [world.cart, back])
    world.log.disconnected(world.cart)
    assert world.states() == [{"shop/cart": "pending"}, {"shop/cart": "rejected"}]
    assert len(world.log.refusals) == 1
    world.log.settled(back, 8)
    assert world.states()[0] == {"shop/cart": "acked"}


@pytest.mark.parametrize("first", [0, 1])
def test_a_proxy_has_a_change_when_its_agent_has_it_too(world, first):
    both = [world.cart, a_session("cart", agent=True)]
    world.changed(7, both)
    world.log.settled(both[first], 7)
    assert world.states() == [{"shop/cart": "pending"}]
    world.log.settled(both[1 - first], 7)
    assert world.states() == [{"shop/cart": "acked"}]
    assert not world.log.changes[0].awaited


def test_what_a_proxy_refused_stays_refused_whatever_its_agent_says(world):
    agent = a_session("cart", agent=True)
    world.changed(7, [world.cart, agent])
    world.log.rejected(world.cart, ROUTE, "80", "1", "bad")
    world.log.settled(agent, 7)
    assert world.states() == [{"shop/cart": "rejected"}]


def test_a_change_that_was_answered_holds_no_session(world):
    """Sessions hold views, views hold every resource: the log must not keep them."""
    world.changed(7, [world.cart, world.search])
    world.log.settled(world.cart, 7)
    world.log.disconnected(world.search)
    assert not world.log.changes[0].awaited


def test_only_the_latest_changes_are_remembered(world):
    for revision in range(REMEMBERED_CHANGES + 10):
        world.changed(revision, [])
    assert len(world.log.changes) == REMEMBERED_CHANGES
    assert world.log.changes[0].revision == REMEMBERED_CHANGES + 9


def test_what_is_counted_has_istios_names(world):
    world.log.pushed(world.cart, CLUSTER, 7, ["a"], 120, 0.002)
    world.log.pushed(world.cart, CLUSTER, 7, ["a"], 30, 0.001)
    world.log.rejected(world.cart, ENDPOINT, "a", "1", "bad")
    world.log.stalled(world.cart, ROUTE, 15.2)
    assert world.sample("pilot_xds_pushes_total", type="clusters") == 2
    assert world.sample("mizzen_xds_sent_bytes_total", type="clusters") == 150
    assert world.sample("pilot_xds_push_time_count", type="clusters") == 2
    assert world.sample("pilot_xds_push_time_sum", type="clusters") == pytest.approx(0.003)
    assert world.sample("pilot_total_xds_rejects_total", type="endpoints") == 1
    assert world.sample("mizzen_xds_resource_rejects_total", type="endpoints", resource="a") == 1
    assert world.sample("mizzen_xds_stalls_total", type="routes") == 1
    assert world.lines[-1] == "shop/cart did not answer for 15 s about its routes"


def test_convergence_is_from_the_event_to_each_proxys_ack_and_to_the_last(world):
    world.changed(7, [world.cart, world.search])
    world.clock += 0.2
    world.log.settled(world.cart, 7)
    assert world.sample("pilot_proxy_convergence_time_sum") == pytest.approx(0.2)
    assert world.sample("mizzen_change_convergence_time_count") == 0
    world.clock += 2.0
    world.log.settled(world.search, 7)
    assert world.sample("pilot_proxy_convergence_time_count") == 2
    assert world.sample("pilot_proxy_convergence_time_bucket", le="0.25") == 1
    assert world.sample("mizzen_change_convergence_time_sum") == pytest.approx(2.2)
    assert world.sample("mizzen_change_convergence_time_count") == 1


def test_a_proxy_converges_once_with_its_agent_and_not_by_a_refusal(world):
    agent = a_session("cart", agent=True)
    world.changed(7, [world.cart, agent, world.search])
    world.log.settled(world.cart, 7)
    assert world.sample("pilot_proxy_convergence_time_count") == 0
    world.log.settled(agent, 7)
    world.log.rejected(world.search, ROUTE, "80", "1", "bad")
    world.log.settled(world.search, 7)
    assert world.sample("pilot_proxy_convergence_time_count") == 1
    assert world.sample("mizzen_change_convergence_time_count") == 1


def test_who_comes_back_later_does_not_make_a_change_look_slow(world):
    world.changed(7, [world.cart])
    world.log.disconnected(world.cart)
    world.clock += 1000
    world.log.settled(a_session("cart"), 7)
    assert world.states() == [{"shop/cart": "acked"}]
    assert world.sample("pilot_proxy_convergence_time_count") == 0
    assert world.sample("mizzen_change_convergence_time_sum") == 0


def test_pushes_are_counted_by_what_triggered_them(world):
    endpoint, service = ResourceKey("EndpointSlice", "shop", "cart"), ResourceKey("Service", "shop", "cart")
    world.log.pushed(world.cart, CLUSTER, 7, ["a"], 1, 0.0)  # it has just come
    world.changed(7, [world.cart, world.search], [endpoint])
    world.log.pushed(world.cart, ENDPOINT, 7, ["a"], 1, 0.0)
    world.changed(8, [world.cart], [endpoint, service, ROUTES])
    world.changed(9, [world.cart], [])
    triggered = {
        reason: world.sample("pilot_push_triggers_total", type=reason)
        for reason in ("endpoint", "service", "config", "keyset", "proxyrequest", "secret")
    }
    assert triggered == {
        "endpoint": 3,
        "service": 1,
        "config": 1,
        "keyset": 1,
        "proxyrequest": 1,
        "secret": None,
    }
    assert len(world.log.changes) == 2  # a key set is nobody's configuration


def test_refused_resources_are_counted_by_name_up_to_a_bound(world):
    for number in range(MOST_RESOURCES + 5):
        world.log.rejected(world.cart, LISTENER, f"l{number}", "1", "bad")
    world.log.rejected(world.cart, LISTENER, "l0", "2", "bad")
    name = "mizzen_xds_resource_rejects_total"
    assert world.sample(name, type="listeners", resource="l0") == 2
    assert world.sample(name, type="listeners", resource=OTHER_RESOURCES) == 5
    assert world.sample(name, type="listeners", resource=f"l{MOST_RESOURCES}") is None
    assert world.sample("pilot_total_xds_rejects_total", type="listeners") == MOST_RESOURCES + 6


def test_types_have_the_names_that_people_use():
    assert [type_name(url) for url in (CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET)] == [
        *("clusters", "endpoints", "listeners", "routes", "secrets")
    ]
    assert type_name("type.googleapis.com/envoy.other.v3.Thing") == "Thing"
