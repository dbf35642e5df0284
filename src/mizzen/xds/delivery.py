"""One stream's protocol, without I/O or a clock: requests go in, responses come out, the time is an argument.

At most one response per type is outstanding, and each is made from the newest state when it may be sent: a slow
proxy skips what happened meanwhile, and nothing is ever queued for it.
"""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from mizzen.logs import fields
from mizzen.proto.api import DeltaDiscoveryRequest
from mizzen.xds import encoding, isolation, rollout
from mizzen.xds.catalog import Events, ProxySession
from mizzen.xds.difference import Differences
from mizzen.xds.names import NamePool
from mizzen.xds.resource import NOTHING, Snapshot
from mizzen.xds.status import SyncState, TypeStatus
from mizzen.xds.subscription import WILDCARD_TYPES, Draft, Response, Subscription

_log = logging.getLogger(__name__)
_MOST_TYPES = 32
_MOST_NAMES = 100_000


class ProtocolError(Exception):
    """The client does not keep to the protocol; the message says how."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all streams of a server share so that equal work and equal state exist once."""

    differences: Differences = field(default_factory=Differences)
    names: NamePool = field(default_factory=NamePool)


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a proxy is waited for, in seconds."""

    ack: float = 15.0  # then whatever waits for this ACK goes on without
    after_reconnect: float = 1.0  # before removals: a proxy names its types one after the other, users first


class Delivery:
    """What one proxy has asked for, has been sent and has answered."""

    def __init__(self, session: ProxySession, events: Events, shared: Shared, waits: Waits) -> None:
        self._session = session
        self._events = events
        self._shared = shared
        self._waits = waits
        self._subscriptions: dict[str, Subscription] = {}
        self._nonces = itertools.count(1)
        # The snapshot in roll-out, and the newest. A roll-out is finished before the next begins.
        self._target = self._newest = session.snapshot()
        self._target_sequence = self._newest_sequence = 0
        self._complete = False  # nothing of the roll-out was left to send when last looked at
        self._settled: Snapshot | None = None
        self._removals_from: float | None = None
        self._warming: dict[str, set[str]] = {}  # after a reconnect, of types that were not named yet

    # --- requests

    def receive(self, request: DeltaDiscoveryRequest, now: float) -> int:
        """Take in a subscription, an ACK or a NACK. Returns how many names it cost to go through. Raises ProtocolError."""
        subscription = self._subscriptions.get(request.type_url)
        if subscription is None:
            subscription = self._begin(request, now)
        else:
            self._answer(subscription, request)
            recovered = subscription.change(
                request.resource_names_subscribe, request.resource_names_unsubscribe
            )
            self._tell_recovered(subscription, recovered)
        if len(subscription.names) > _MOST_NAMES:
            raise ProtocolError(f"at most {_MOST_NAMES} names of {request.type_url} can be subscribed to")
        changes = request.resource_names_subscribe or request.resource_names_unsubscribe
        return len(subscription.names) if changes else 0

    def _begin(self, request: DeltaDiscoveryRequest, now: float) -> Subscription:
        if not request.type_url:
            raise ProtocolError("the request names no type_url")
        if len(self._subscriptions) == _MOST_TYPES:
            raise ProtocolError(f"at most {_MOST_TYPES} types can be subscribed to")
        held = dict(request.initial_resource_versions)
        if held and self._removals_from is None:
            self._removals_from = now + self._waits.after_reconnect
        subscription = Subscription(request.type_url, self._shared.differences, self._shared.names)
        subscription.begin(request.resource_names_subscribe, held, self._warming.pop(request.type_url, ()))
        self._subscriptions = {
            type_url: self._subscriptions.get(type_url, subscription)
            for type_url in rollout.in_order([*self._subscriptions, request.type_url])
        }
        return subscription

    def _answer(self, subscription: Subscription, request: DeltaDiscoveryRequest) -> None:
        response = subscription.outstanding
        if response is None or request.response_nonce != response.nonce:
            return
        type_url = subscription.type_url
        if request.HasField("error_detail"):
            error = request.error_detail.message
            culprit = subscription.nacked(error)
            about = fields(proxy=self._session.name, type=type_url)
            _log.info(
                "%s refused %s: %s", self._session.name, type_url, isolation.in_short(error), extra=about
            )
            if culprit is not None:
                self._events.rejected(self._session, type_url, culprit.name, culprit.version, error)
        else:
            recovered = subscription.acked()
            if _log.isEnabledFor(logging.DEBUG):
                about = fields(proxy=self._session.name, type=type_url, nonce=response.nonce)
                _log.debug("%s has taken %s", self._session.name, type_url, extra=about)
            self._events.acked(self._session, type_url, response.revision)
            self._tell_recovered(subscription, recovered)

    def _tell_recovered(self, subscription: Subscription, names: Sequence[str]) -> None:
        for name in names:
            self._events.recovered(self._session, subscription.type_url, name)

    # --- responses

    def next(self, newest: Snapshot, now: float) -> Response | None:
        """The next response, which counts as sent; None while there is nothing that may be sent."""
        if newest is not self._newest:
            self._newest, self._newest_sequence = newest, self._newest_sequence + 1
        if self._complete and self._finished():
            self._adopt_newest()
        if self._removals_from is not None and now >= self._removals_from:
            self._removals_from = None
        self._notice_stalls(now)
        while True:
            response = self._next_of(now, removals=False) or self._next_of(now, removals=True)
            if response is not None or not self._finished():
                return response
            self._complete = True
            self._settle()
            if self._target is self._newest:
                return None
            self._adopt_newest()

    def _next_of(self, now: float, *, removals: bool) -> Response | None:
        """The next response with additions, or with removals as well."""
        behind = self._behind()
        for subscription in self._subscriptions.values():
            if subscription.outstanding is not None:
                continue
            response = self._respond(subscription, behind, now, removals=removals)
            if response is not None:
                return response
            if subscription.reached >= self._target_sequence:
                behind.discard(subscription.type_url)
        return None

    def _adopt_newest(self) -> None:
        """Begin the next roll-out, if there is one."""
        if self._target is not self._newest:
            self._target, self._target_sequence = self._newest, self._newest_sequence
            self._complete = False

    def _respond(
        self, subscription: Subscription, behind: set[str], now: float, *, removals: bool
    ) -> Response | None:
        type_url = subscription.type_url
        allowed = rollout.may_remove(behind) if removals else rollout.may_add(type_url, behind)
        if not allowed:
            return None
        newest = type_url not in rollout.LOCKSTEP
        snapshot = self._newest if newest else self._target
        sequence = self._newest_sequence if newest else self._target_sequence
        if subscription.has_taken(snapshot.of(type_url)):
            subscription.reached = sequence
            return None
        draft = self._draft(subscription, snapshot, removals=removals)
        self._tell_recovered(subscription, subscription.forget_refusals(draft.recovered))
        if not draft:
            subscription.nothing_to_send(draft, sequence)
            return None
        response = Response(type_url, str(next(self._nonces)), snapshot.revision, sequence, now, draft)
        subscription.sent(response)
        self._warm(draft)
        return response

    def _draft(self, subscription: Subscription, snapshot: Snapshot, *, removals: bool) -> Draft:
        type_url = subscription.type_url
        in_use = self._target.of(type_url) if snapshot is not self._target else NOTHING
        allowed = self._removals_from is None and (removals or rollout.leaves_at_once(type_url))
        return subscription.draft(snapshot.of(type_url), in_use, removals=allowed)

    def _warm(self, draft: Draft) -> None:
        """What waits for other resources to come (again) has just been sent: those are owed now."""
        for resource in draft.resources:
            for type_url, name in resource.warms:
                subscription = self._subscriptions.get(type_url)
                if subscription is not None:
                    subscription.warm(name)
                elif self._removals_from is not None:
                    self._warming.setdefault(type_url, set()).add(name)

    # --- progress

    def _behind(self) -> set[str]:
        return {
            type_url
            for type_url, subscription in self._subscriptions.items()
            if subscription.reached < self._target_sequence and not subscription.stalled
        }

    def _finished(self) -> bool:
        """Whether nothing of the roll-out is under way any more."""
        under_way = any(
            subscription.outstanding is not None and not subscription.stalled
            for type_url, subscription in self._subscriptions.items()
            if type_url in rollout.LOCKSTEP
        )
        return not under_way and not self._behind() & rollout.ORDERED

    def _settle(self) -> None:
        unanswered = any(
            subscription.outstanding is not None
            and subscription.outstanding.sequence <= self._target_sequence
            for subscription in self._subscriptions.values()
        )
        if self._settled is self._target or unanswered or self._behind():
            return
        unasked = (t for t in WILDCARD_TYPES - self._subscriptions.keys() if self._target.of(t))
        if any(unasked) or (
            self._removals_from and any(s.keeps_removed for s in self._subscriptions.values())
        ):
            return
        self._settled = self._target
        self._events.settled(self._session, self._target.revision)

    def _notice_stalls(self, now: float) -> None:
        for subscription in self._subscriptions.values():
            response = subscription.outstanding
            if response is None or subscription.stalled or now < response.sent_at + self._waits.ack:
                continue
            subscription.stalled = True
            waited, type_url = now - response.sent_at, subscription.type_url
            _log.warning(
                "%s has not answered %s for %.1f s: going on without", self._session.name, type_url, waited
            )
            self._events.stalled(self._session, type_url, waited)

    def deadline(self) -> float | None:
        """When `next` must be called again though nothing happened."""
        deadlines = [
            subscription.outstanding.sent_at + self._waits.ack
            for subscription in self._subscriptions.values()
            if subscription.outstanding is not None and not subscription.stalled
        ]
        if self._removals_from is not None:
            deadlines.append(self._removals_from)
        return min(deadlines, default=None)

    def status(self) -> tuple[TypeStatus, ...]:
        return tuple(
            TypeStatus(s.type_url, self._state_of(s), s.count, s.acked_revision)
            for s in self._subscriptions.values()
        )

    def _state_of(self, subscription: Subscription) -> SyncState:
        if subscription.refused:
            return SyncState.REJECTED
        behind = subscription.reached < self._newest_sequence
        return SyncState.PENDING if behind or subscription.outstanding is not None else SyncState.SYNCED


def encoded(response: Response) -> bytes:
    draft = response.draft
    return encoding.delta_response(
        response.type_url, draft.resources, draft.removed, response.nonce, str(response.revision)
    )
