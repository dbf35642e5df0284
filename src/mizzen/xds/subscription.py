"""What one stream wants and holds of one type.

What a proxy holds is kept as a state shared with all proxies of its view, plus the few names in which it differs
(held back, kept for now, or held since before a reconnect): thousands of proxies times thousands of names do not
fit into dictionaries.

A response changes nothing here until it is ACKed. After a NACK nothing of it is taken as held (Envoy applies the
good resources but does not record their versions), everything in it is owed again, and isolation begins.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from mizzen.xds import isolation
from mizzen.xds.difference import Differences
from mizzen.xds.names import NamePool
from mizzen.xds.resource import (
    ABSENT,
    CLUSTER,
    LISTENER,
    NOTHING,
    STAND_IN_TYPES,
    DiscoveryResource,
    stand_in,
)

# An empty first request asks for all of these; of the other types it asks for nothing.
WILDCARD_TYPES = frozenset({CLUSTER, LISTENER})
WILDCARD = "*"

State = Mapping[str, DiscoveryResource]
"""All resources of a type, by name. Never changed, and compared by identity."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What may be sent now, and in which names the proxy will differ from `state` when it has taken it."""

    state: State
    resources: tuple[DiscoveryResource, ...] = ()
    removed: tuple[str, ...] = ()
    differs: Mapping[str, str] = field(default_factory=dict)
    recovered: tuple[str, ...] = ()  # rejected names that the proxy already holds as they should be
    group: isolation.Group | None = None  # set in isolation: what was considered at all
    says_nothing: bool = False  # to be sent though it is empty: that there is nothing is an answer too

    def __bool__(self) -> bool:
        return bool(self.resources or self.removed or self.says_nothing)


@dataclass(frozen=True, slots=True)
class Response:
    """A draft that was sent, until it is answered. `sequence` numbers the snapshots of its stream."""

    type_url: str
    nonce: str
    revision: int
    sequence: int
    sent_at: float
    draft: Draft


@dataclass(frozen=True, slots=True)
class Refusal:
    """A version that the proxy would not take, and the one that it goes on using where we still have it."""

    version: str
    good: DiscoveryResource | None


class Subscription:
    __slots__ = (
        "_differences",
        "_differs",
        "_good",
        "_groups",
        "_owed",
        "_pool",
        "_state",
        "_unanswered",
        "acked_revision",
        "names",
        "outstanding",
        "reached",
        "refused",
        "stalled",
        "type_url",
        "wildcard",
    )

    def __init__(self, type_url: str, differences: Differences, pool: NamePool) -> None:
        self.type_url = type_url
        self.wildcard = False
        self.names = pool.shared(())
        self.outstanding: Response | None = None
        # The outstanding response was not answered in time: nobody waits for it any more.
        self.stalled = False
        # The sequence of the newest snapshot of which the proxy has taken all that can be had.
        self.reached = -1
        self.acked_revision: int | None = None
        self.refused: dict[str, Refusal] = {}
        self._state = NOTHING
        # Name -> the version that the proxy holds, "" for none, where it is not that of `_state`.
        self._differs: Mapping[str, str] = {}
        # To be answered, whatever the proxy holds.
        self._owed: set[str] = set()
        # Nothing was sent yet on this stream.
        self._unanswered = True
        # To be sent before anything else, to find the culprit of a NACK.
        self._groups: list[isolation.Group] = []
        # What the proxy holds of the names under suspicion.
        self._good: dict[str, DiscoveryResource] = {}
        self._differences = differences
        self._pool = pool

    # --- what the proxy asks for

    def begin(self, subscribe: Collection[str], held: Mapping[str, str], warming: Collection[str]) -> None:
        """The first request of the type on a stream. `held` is what the proxy brought from an earlier stream,
        `warming` names what must be sent even if it holds it.
        """
        self.wildcard = WILDCARD in subscribe or (not subscribe and self.type_url in WILDCARD_TYPES)
        self.names = self._pool.shared(name for name in subscribe if name != WILDCARD)
        self._differs = {name: version for name, version in held.items() if self.covers(name)}
        self._owe(name for name in self.names if name not in held or name in warming)

    def change(self, subscribe: Collection[str], unsubscribe: Collection[str]) -> list[str]:
        """A later request. Returns the rejected names that it no longer asks for."""
        if WILDCARD in subscribe and not self.wildcard:
            self.wildcard = True
            sent_too = self.outstanding.draft.state if self.outstanding else NOTHING
            self._owe(name for state in (self._state, sent_too) for name in state if name not in self.names)
        self.wildcard = self.wildcard and WILDCARD not in unsubscribe
        added = [name for name in subscribe if name != WILDCARD]
        if added or unsubscribe:
            self.names = self._pool.shared(self.names.union(added).difference(unsubscribe))
        self._owe(added)
        if self.wildcard:  # the proxy dropped the name but still gets it with all the others
            self._owe(unsubscribe)
        dropped = [name for name in unsubscribe if not self.covers(name)]
        self._owed.difference_update(dropped)
        return self.forget_refusals(dropped)

    def covers(self, name: str) -> bool:
        return self.wildcard or name in self.names

    def warm(self, name: str) -> None:
        """Something was sent that waits for this resource: it must follow, though the proxy may hold it."""
        if self.covers(name):
            self._owe((name,))

    def _owe(self, names: Iterable[str]) -> None:
        before = len(self._owed)
        self._owed.update(names)
        if len(self._owed) > before:
            self.reached = -1

    # --- what it is sent

    def has_taken(self, state: State) -> bool:
        """Whether a draft of this state would be empty, seen at a glance: that is so of most types at most turns."""
        return (
            state is self._state
            and not self._differs
            and not self._owed
            and not self._groups
            and not (self.wildcard and self._unanswered)
        )

    def draft(self, state: State, in_use: State = NOTHING, *, removals: bool) -> Draft:
        """What to send so that the proxy comes to hold `state`.

        What it holds beyond that is kept for now if it is `in_use` or if no `removals` are allowed. Who asks for everything
        is told even that there is nothing: Envoy starts no listener until it has heard of all of them.
        """
        assert self.outstanding is None
        draft = self._difference(state, in_use, removals=removals)
        if self.wildcard and self._unanswered and not state and not draft:
            return replace(draft, says_nothing=True)
        return draft

    def _difference(self, state: State, in_use: State, *, removals: bool) -> Draft:
        if not self._differs and not self._owed:
            if state is self._state:
                return Draft(state)
            change = self._differences.between(self._state, state)
            if self.wildcard and not change.removed and not self.refused:  # most pushes to most proxies
                return Draft(state, change.upserts)
        while True:
            group = self._groups.pop(0) if self._groups else None
            draft = self._drafted(state, in_use, group, removals=removals)
            if draft or group is None:
                return draft

    def _drafted(
        self, state: State, in_use: State, group: isolation.Group | None, *, removals: bool
    ) -> Draft:
        resources: list[DiscoveryResource] = []
        removed: list[str] = []
        recovered: list[str] = []
        differs: dict[str, str] = {}
        for name in self._candidates(state):
            wanted, held = self._version(state, name), self._held(name)
            if wanted == held and name not in self._owed:
                if name in self.refused and not self._is_refused(name, wanted):
                    recovered.append(name)
                continue
            gone = name not in state and held not in ("", ABSENT)
            instead = in_use.get(name) if gone else self._last_good(name, wanted)
            kept = self._is_refused(name, wanted) or (gone and (instead is not None or not removals))
            if (group is not None and name not in group) or (kept and name not in self._owed):
                differs[name] = held
            elif instead is not None:  # it asks again for what it is to keep
                resources.append(instead)
                differs[name] = instead.version
            elif wanted:
                resources.append(state.get(name) or stand_in(self.type_url, name))
            else:
                removed.append(name)
        return Draft(state, tuple(resources), tuple(removed), differs, tuple(recovered), group)

    def _candidates(self, state: State) -> Iterator[str]:
        """Every name that may have to be sent, once."""
        change = self._differences.between(self._state, state)
        names = dict.fromkeys(resource.name for resource in change.upserts)
        for more in (change.removed, self._differs, self._owed):
            names.update(dict.fromkeys(more))
        return (name for name in names if self.covers(name))

    def _version(self, state: State, name: str) -> str:
        """The version under which a state answers for the name, "" for not at all."""
        found = state.get(name)
        if found is not None:
            return found.version
        return ABSENT if self.type_url in STAND_IN_TYPES and name in self.names else ""

    def _held(self, name: str) -> str:
        held = self._differs.get(name)
        return self._version(self._state, name) if held is None else held

    def _is_refused(self, name: str, version: str) -> bool:
        refusal = self.refused.get(name)
        return refusal is not None and refusal.version == version

    def _last_good(self, name: str, version: str) -> DiscoveryResource | None:
        """What the proxy goes on using instead of a version that it refused, where we still have it."""
        return self.refused[name].good if self._is_refused(name, version) else None

    def sent(self, response: Response) -> None:
        self.outstanding, self.stalled, self._unanswered = response, False, False
        self._owed.difference_update(resource.name for resource in response.draft.resources)
        self._owed.difference_update(response.draft.removed)

    def nothing_to_send(self, draft: Draft, sequence: int) -> None:
        """The draft was empty: the proxy has all that can be had of that snapshot."""
        self._take(draft)
        self._owed.clear()  # names that it no longer asks for
        self.reached = sequence

    def _take(self, draft: Draft) -> None:
        self._state, self._differs = draft.state, draft.differs

    def forget_refusals(self, names: Collection[str]) -> list[str]:
        """These are no longer rejected. Returns those that were."""
        for name in names:
            self._good.pop(name, None)
        return [name for name in names if self.refused.pop(name, None) is not None]

    # --- how it answers

    def acked(self) -> list[str]:
        """The outstanding response is in force. Returns the names that were rejected before and are well now."""
        response = self._answered()
        draft = response.draft
        self._take(draft)
        self.acked_revision = response.revision
        if draft.group is None and not self._owed:
            self.reached = response.sequence
        if not self.refused and not self._good:
            return []
        accepted = [resource.name for resource in draft.resources if not self._is_last_good(resource)]
        return self.forget_refusals([*accepted, *draft.removed])

    def nacked(self, error: str) -> DiscoveryResource | None:
        """The outstanding response was refused. Returns the culprit where it is certain and new."""
        draft = self._answered().draft
        suspects = {resource.name: resource for resource in draft.resources if self.covers(resource.name)}
        if not suspects:  # nothing that could be held back
            self._take(draft)
            return None
        for name in suspects:
            if name not in self._differs and name in self._state:
                self._good.setdefault(name, self._state[name])
        if len(suspects) > 1:
            self._owe(suspects)
            self._groups[:0] = isolation.split(tuple(suspects), error)
            return None
        ((name, culprit),) = suspects.items()
        return culprit if self._refuse(name, culprit.version) else None

    def _answered(self) -> Response:
        response = self.outstanding
        assert response is not None
        self.outstanding, self.stalled = None, False
        return response

    def _refuse(self, name: str, version: str) -> bool:
        before = self.refused.get(name)
        good = self._good.pop(name, before.good if before else None)
        self.refused[name] = Refusal(version, good)
        return before is None or before.version != version

    def _is_last_good(self, resource: DiscoveryResource) -> bool:
        refusal = self.refused.get(resource.name)
        return refusal is not None and refusal.good is resource

    # --- for display

    @property
    def count(self) -> int:
        """How many resources the proxy should hold."""
        return len(self._state) if self.wildcard else len(self.names)

    @property
    def keeps_removed(self) -> bool:
        """Whether the proxy differs by more than what it rejected."""
        return len(self._differs) > len(self.refused)
