"""Whatever changes, is refused, is slow or breaks off: the proxy ends with the last snapshot, minus what it refused.

Delivery is driven without I/O against a model of Envoy that checks, at every step, that there is one response
outstanding per type, and (where nothing is refused) that no route in force ever names a cluster that is not.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from mizzen.proto.api import DeltaDiscoveryResponse
from mizzen.xds.delivery import Delivery, Shared, Waits, encoded
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from mizzen.xds.status import SyncState
from tests.support.discovery import FakeSession, RecordedEvents, resource, snapshot
from tests.support.model_envoy import ModelEnvoy

NAMES = ("red", "green", "blue", "grey")
WAITS = Waits(ack=1e9, after_reconnect=1.0)


class Convergence(RuleBasedStateMachine):
    contents = st.sampled_from(("1", "2", "3"))

    @initialize()
    def start(self):
        self.world = {CLUSTER: {}, ENDPOINT: {}, LISTENER: {}}
        self.revision = 0
        self.now = 0.0
        self.events = RecordedEvents()
        self.session = FakeSession("proxy", snapshot(0))
        self.envoy = ModelEnvoy(strict=self.contents is Convergence.contents)
        self.shared = Shared()
        self.connect()

    # --- the mesh changes

    @rule(name=st.sampled_from(NAMES), data=st.data())
    def set_cluster(self, name, data):
        self.world[CLUSTER][name] = data.draw(self.contents)
        self.world[ENDPOINT].setdefault(name, "1")
        self.publish()

    @rule(name=st.sampled_from(NAMES), with_endpoints=st.booleans())
    def remove_cluster(self, name, with_endpoints):
        self.world[CLUSTER].pop(name, None)
        if with_endpoints:
            self.world[ENDPOINT].pop(name, None)
        self.publish()

    @rule(name=st.sampled_from(NAMES), data=st.data())
    def set_endpoints(self, name, data):
        self.world[ENDPOINT][name] = data.draw(self.contents)
        self.publish()

    @rule(name=st.sampled_from(NAMES), data=st.data())
    def set_listener(self, name, data):
        self.world[LISTENER][name] = data.draw(self.contents)
        self.publish()

    @rule(name=st.sampled_from(NAMES))
    def remove_listener(self, name):
        self.world[LISTENER].pop(name, None)
        self.publish()

    def publish(self):
        self.revision += 1
        routes = " ".join(sorted(self.world[CLUSTER]))
        everything = [
            resource(t, name, content) for t, held in self.world.items() for name, content in held.items()
        ]
        everything += [resource(ROUTE, name, routes) for name in self.world[LISTENER]]
        self.session.set(snapshot(self.revision, *everything, like=self.session.snapshot()))

    # --- the wire moves, one thing at a time

    @rule()
    def server_sends(self):
        self.send_next()

    def send_next(self) -> bool:
        response = self.delivery.next(self.session.snapshot(), self.now)
        if response is not None:
            self.envoy.offer(DeltaDiscoveryResponse.FromString(encoded(response)))
        return response is not None

    @precondition(lambda self: self.envoy.inbox)
    @rule()
    def proxy_takes(self):
        self.envoy.take()

    @precondition(lambda self: self.envoy.outbox)
    @rule()
    def server_receives(self):
        request = self.envoy.outbox.popleft()
        if request.response_nonce:
            self.envoy.answered(request.type_url)
        self.delivery.receive(request, self.now)

    @precondition(lambda self: not self.envoy.outbox)
    @rule()
    def time_passes(self):
        self.now += 2.0

    @rule()
    def connect(self):
        self.events.log.clear()
        self.delivery = Delivery(self.session, self.events, self.shared, WAITS)
        self.envoy.connect()

    # --- and comes to rest

    def teardown(self):
        if not hasattr(self, "delivery"):
            return
        for _ in range(2000):
            if self.envoy.outbox:
                self.server_receives()
            elif self.envoy.inbox:
                self.proxy_takes()
            elif not self.send_next():
                if self.delivery.deadline() is None or self.delivery.deadline() > self.now + 1e6:
                    break
                self.time_passes()
        else:
            raise AssertionError("it never comes to rest")
        assert not self.envoy.waits_for_endpoints, "deadlock: the proxy waits for endpoints that nobody sends"
        self.check_end()

    def check_end(self):
        final = self.session.snapshot()
        rejected = set()
        for event, *details in self.events.log:
            if event == "rejected":
                rejected.add(tuple(details[:2]))
            elif event == "recovered":
                rejected.remove(tuple(details))
        bad = {
            (t, name)
            for t in (CLUSTER, LISTENER, ENDPOINT)
            for name, content in self.world[t].items()
            if content.startswith("bad") and (t != ENDPOINT or name in self.envoy.applied[CLUSTER])
        }
        assert rejected == bad
        for t in (CLUSTER, LISTENER):
            good = {name: content for name, content in self.world[t].items() if (t, name) not in bad}
            applied = {
                name: content for name, content in self.envoy.applied[t].items() if (t, name) not in bad
            }
            gone = {name for name in applied if (t, name) in self.envoy.ghosts and name not in self.world[t]}
            assert {name: content for name, content in applied.items() if name not in gone} == good
        for t, users in ((ENDPOINT, CLUSTER), (ROUTE, LISTENER)):
            for name in self.envoy.applied[users]:
                if (t, name) not in bad:
                    held = final.of(t).get(name)
                    expected = held.body.decode().partition("=")[2] if held else ""
                    assert self.envoy.applied[t].get(name) == expected, (t, name)
        assert self.events.of("settled")[-1:] == [(final.revision,)]
        states = {status.type_url: status.state for status in self.delivery.status()}
        assert {t for t, state in states.items() if state is SyncState.REJECTED} == {t for t, _ in bad}
        assert SyncState.PENDING not in states.values()


class ConvergenceWithRefusals(Convergence):
    contents = st.sampled_from(("1", "2", "bad 1", "bad 2"))


TestConvergence = Convergence.TestCase
TestConvergence.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestConvergenceWithRefusals = ConvergenceWithRefusals.TestCase
TestConvergenceWithRefusals.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
