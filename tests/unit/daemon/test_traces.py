"""A change as a tree of spans, from its arrival to the last answer; what it costs is bounded."""

import itertools

import pytest
from prometheus_client import CollectorRegistry

from mizzen.daemon.delivery import REMEMBERED_CHANGES, DeliveryLog
from mizzen.daemon.metrics import DeliveryMetrics
from mizzen.daemon.refresher import Timing
from mizzen.daemon.traces import MOST_PUSHES, Tracer
from mizzen.xds.resource import CLUSTER, LISTENER, ROUTE
from tests.unit.daemon.test_delivery import ROUTES, a_session

EPOCH = 1000.0


class World:
    """A clock, and the spans that were made."""

    def __init__(self) -> None:
        self.now = 10.0
        self.spans = []
        self.ids = itertools.count(1)
        tracer = Tracer(
            self.spans.append,
            lambda size: next(self.ids).to_bytes(size),
            lambda: EPOCH + self.now,
            lambda: self.now,
        )
        self.log = DeliveryLog(
            lambda: EPOCH + self.now,
            DeliveryMetrics(CollectorRegistry()),
            lambda *_: None,
            lambda: self.now,
            tracer,
        )

    def changed(self, revision, *concerned):
        """It came a second ago and took half a second to compute."""
        self.log.changed(revision, [ROUTES], concerned, Timing(self.now - 1, self.now - 0.5, self.now))

    def named(self, name):
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def world():
    return World()


def test_a_change_is_a_tree_from_its_arrival_to_the_last_answer(world):
    cart, search = a_session("cart"), a_session("search")
    world.changed(7, cart, search)
    world.now += 0.1
    world.log.pushed(cart, CLUSTER, 7, ["a"], 120, 0.001)
    world.now += 0.1
    world.log.settled(cart, 7)
    assert world.named("change") == []
    world.now += 2
    world.log.rejected(search, LISTENER, "0.0.0.0_80", "1", "no such filter")
    (root,) = world.named("change")
    assert (root.parent_id, root.start, root.end) == ("", EPOCH + 9, pytest.approx(EPOCH + 12.2))
    assert root.attributes == {
        "mizzen.revision": 7,
        "mizzen.objects": (str(ROUTES),),
        "mizzen.object_count": 1,
        "mizzen.concerned": 2,
        "mizzen.acked": 1,
        "mizzen.rejected": 1,
    }
    below = [span for span in world.spans if span is not root]
    assert {(span.trace_id, span.parent_id) for span in below} == {(root.trace_id, root.span_id)}
    assert len({span.span_id for span in world.spans}) == 5
    (wait,), (compute,) = world.named("wait"), world.named("compute")
    assert (wait.start, wait.end, compute.start, compute.end) == (
        *(EPOCH + 9, EPOCH + 9.5),
        *(EPOCH + 9.5, EPOCH + 10),
    )
    first, second = world.named("push")
    assert first.attributes == {"mizzen.proxy": "shop/cart", "mizzen.agent": False, "mizzen.outcome": "acked"}
    assert (first.start, first.end, first.error) == (EPOCH + 10, pytest.approx(EPOCH + 10.2), "")
    assert [(event.name, event.at, dict(event.attributes)) for event in first.events] == [
        ("sent", pytest.approx(EPOCH + 10.1), {"mizzen.type": "clusters", "mizzen.bytes": 120}),
        ("acked", pytest.approx(EPOCH + 10.2), {}),
    ]
    assert (second.attributes["mizzen.outcome"], second.error) == (
        "rejected",
        "listeners 0.0.0.0_80: no such filter",
    )


def test_a_change_that_concerns_nobody_ends_at_once(world):
    world.changed(7)
    assert [span.name for span in world.spans] == ["wait", "compute", "change"]


def test_who_leaves_ends_the_trace_and_does_not_come_back_into_it(world):
    world.changed(7, a_session("cart"))
    world.log.disconnected(next(iter(world.log.changes[0].awaited.values())))
    assert world.named("push")[0].attributes["mizzen.outcome"] == "gone"
    assert len(world.named("change")) == 1
    world.log.settled(a_session("cart"), 7)
    assert [len(world.named(name)) for name in ("push", "change")] == [1, 1]


def test_a_response_is_told_of_in_the_trace_of_the_newest_change_that_is_in_it(world):
    cart = a_session("cart")
    world.changed(7, cart)
    world.changed(8, cart)
    world.log.pushed(cart, ROUTE, 8, ["80"], 10, 0.001)
    world.log.settled(cart, 8)
    assert [[event.name for event in span.events] for span in world.named("push")] == [
        *(["acked"], ["sent", "acked"])
    ]


def test_a_change_of_a_large_mesh_makes_a_bounded_number_of_spans(world):
    proxies = [a_session(f"p{number}") for number in range(3 * MOST_PUSHES)]
    world.changed(7, *proxies)
    for proxy in proxies:
        for _ in range(50):
            world.log.pushed(proxy, ROUTE, 7, ["80"], 10, 0.001)
        world.log.settled(proxy, 7)
    pushes = world.named("push")
    assert len(pushes) == MOST_PUSHES + 1
    assert pushes[-1].attributes["mizzen.proxy"] == f"shop/p{3 * MOST_PUSHES - 1}"
    assert max(len(span.events) for span in pushes) <= 17
    assert world.named("change")[0].attributes["mizzen.acked"] == 3 * MOST_PUSHES


def test_a_change_that_is_forgotten_ends(world):
    silent, cart = a_session("silent"), a_session("cart")
    world.changed(1, silent)
    for revision in range(2, REMEMBERED_CHANGES + 2):
        world.changed(revision, cart)
        world.log.settled(cart, revision)
    (root,) = [span for span in world.named("change") if span.attributes["mizzen.revision"] == 1]
    assert "mizzen.acked" not in root.attributes


def test_where_nobody_asks_there_is_no_trace(world):
    log = DeliveryLog(lambda: 0.0, DeliveryMetrics(CollectorRegistry()), lambda *_: None)
    log.changed(7, [ROUTES], [a_session("cart")], Timing(0, 0, 0))
    assert log.changes[0].trace is None
