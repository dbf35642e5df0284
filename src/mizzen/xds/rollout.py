"""The order of a change, make before break, so that no request meets a route to a cluster that is not there.

1. make:  new and changed clusters, at once with their endpoints (Envoy withholds the ACK of a cluster until its
          endpoints arrive: who waits for that ACK before sending them waits for ever);
2. move:  listeners and routes, when the proxy has ACKed both;
3. break: what is gone, when the proxy has ACKed the listeners and routes that left it.

A type is *behind* while the proxy has not taken all that the snapshot in roll-out adds or changes. Pure: the waits
and their limits are Delivery's.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, PUSH_ORDER, ROUTE

_MAKE = frozenset({CLUSTER, ENDPOINT})
_MOVE = frozenset({LISTENER, ROUTE})

ORDERED = _MAKE | _MOVE
"""Types that wait for one another. A roll-out is over when none of them is behind."""

LOCKSTEP = frozenset({CLUSTER, LISTENER, ROUTE})
"""Types that come from one snapshot at a time. The others disturb nobody: of them the newest goes at once."""


def in_order(type_urls: Iterable[str]) -> list[str]:
    """In which order types are considered; those that Envoy's order does not name come last."""
    known = {type_url: place for place, type_url in enumerate(PUSH_ORDER)}
    return sorted(type_urls, key=lambda type_url: (known.get(type_url, len(known)), type_url))


def may_add(type_url: str, behind: AbstractSet[str]) -> bool:
    """Whether additions and changes of the type may be sent."""
    return type_url not in _MOVE or not behind & _MAKE


def leaves_at_once(type_url: str) -> bool:
    """Whether what is gone goes with the additions: a listener leaves as its successor comes."""
    return type_url == LISTENER


def may_remove(behind: AbstractSet[str]) -> bool:
    """Whether everything else that is gone may be removed: nothing in force uses it any more."""
    return not behind & ORDERED
