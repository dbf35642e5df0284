"""A proxy that behaves as Envoy 1.40 was seen to, without I/O: for properties of the protocol.

It warms clusters and withholds its answer meanwhile, subscribes to the endpoints of its clusters and the routes of
its listeners, refuses bad resources while applying the good ones, and records versions of ACKed responses only.
"""

from collections import deque

from mizzen.proto.api import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE

_NAMED_BY = {CLUSTER: ENDPOINT, LISTENER: ROUTE}


class ModelEnvoy:
    def __init__(self, strict: bool) -> None:
        self.applied = {type_url: {} for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE)}  # name -> content
        self.inbox: deque[DeltaDiscoveryResponse] = deque()
        self.outbox: deque[DeltaDiscoveryRequest] = deque()
        self._recorded = {type_url: {} for type_url in self.applied}  # name -> version
        self._warming: set[str] = set()
        self._withheld: DeltaDiscoveryRequest | None = None
        self._unanswered: set[str] = set()
        self._strict = strict  # assert make before break
        # Applied out of a response that was refused as a whole, and never told to the next stream: a server cannot
        # know of them, and they stay in force if they are gone by then.
        self.ghosts: set[tuple[str, str]] = set()

    def connect(self):
        """Begin a stream: what was in flight is lost, what is in force stays."""
        self.inbox.clear()
        self.outbox.clear()
        self._withheld = None
        self._warming.clear()
        self._unanswered.clear()
        self.ghosts = {
            (t, name) for t in _NAMED_BY for name in self.applied[t] if name not in self._recorded[t]
        }
        for wildcard, named in _NAMED_BY.items():
            self._ask(wildcard, held=self._recorded[wildcard])
            names = list(self.applied[wildcard])
            self._ask(named, *names, held={n: v for n, v in self._recorded[named].items() if n in names})

    def take(self):
        """Process the next response."""
        response = self.inbox.popleft()
        type_url = response.type_url
        contents = {each.name: each.resource.value.decode().partition("=")[2] for each in response.resources}
        bad = [name for name, content in contents.items() if content.startswith("bad")]
        for name, content in contents.items():
            if name not in bad:
                self._apply(type_url, name, content)
            elif type_url == ENDPOINT:
                self._warmed(name)  # a cluster does not wait for ever for endpoints that it will not have
        for name in response.removed_resources:
            self._remove(type_url, name)
        answer = DeltaDiscoveryRequest(type_url=type_url, response_nonce=response.nonce)
        if bad:
            answer.error_detail.message = f"{bad[0]}: no good"
        else:
            self._recorded[type_url].update((each.name, each.version) for each in response.resources)
        if type_url == CLUSTER and self._warming:
            self._withheld = answer
        else:
            self._answer(answer)

    def offer(self, response: DeltaDiscoveryResponse):
        assert response.type_url not in self._unanswered, (
            "a second response of a type while one is outstanding"
        )
        self._unanswered.add(response.type_url)
        self.inbox.append(response)

    @property
    def waits_for_endpoints(self) -> bool:
        return self._withheld is not None

    def _answer(self, answer):
        self.outbox.append(answer)

    def answered(self, type_url):
        self._unanswered.discard(type_url)

    def _apply(self, type_url, name, content):
        applied = self.applied[type_url]
        if type_url == CLUSTER and applied.get(name) != content:
            self._warming.add(name)
        if type_url == ENDPOINT:
            self._warmed(name)
        if type_url == ROUTE and self._strict:
            missing = set(content.split()) - self.applied[CLUSTER].keys() - {"absent"}
            assert not missing, f"routes {name} name clusters that are not there: {missing}"
            assert not set(content.split()) & self._warming, (
                f"routes {name} name clusters that are still warming"
            )
        if type_url in _NAMED_BY and name not in applied:
            self._ask(_NAMED_BY[type_url], name)
        if type_url in _NAMED_BY or name in self._users(type_url):
            applied[name] = content

    def _remove(self, type_url, name):
        if type_url == CLUSTER and self._strict:
            users = [route for route, content in self.applied[ROUTE].items() if name in content.split()]
            assert not users, f"cluster {name} was removed while routes {users} name it"
        if self.applied[type_url].pop(name, None) is not None:
            named = _NAMED_BY[type_url]
            self.applied[named].pop(name, None)
            self._recorded[named].pop(name, None)
            self._warmed(name)
            self.outbox.append(DeltaDiscoveryRequest(type_url=named, resource_names_unsubscribe=[name]))
        self._recorded[type_url].pop(name, None)

    def _users(self, named):
        return self.applied[CLUSTER if named == ENDPOINT else LISTENER]

    def _warmed(self, cluster):
        self._warming.discard(cluster)
        if not self._warming and self._withheld is not None:
            self._answer(self._withheld)
            self._withheld = None

    def _ask(self, type_url, *names, held=None):
        self.outbox.append(
            DeltaDiscoveryRequest(
                type_url=type_url, resource_names_subscribe=names, initial_resource_versions=held or {}
            )
        )
