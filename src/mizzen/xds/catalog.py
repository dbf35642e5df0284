"""What discovery asks of its owner (the daemon), and what it tells it. Nothing here knows what a mesh is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mizzen.rpc.peer import Peer
from mizzen.xds.resource import Snapshot

__all__ = ["Catalog", "Events", "Node", "Peer", "ProxySession", "Rejected"]


@dataclass(frozen=True, slots=True)
class Node:
    """What a proxy says of itself. A claim: the certificate in Peer is what was proven."""

    id: str
    cluster: str
    metadata: Mapping[str, Any]
    user_agent: str = ""  # the program: "envoy"


class Rejected(Exception):  # noqa: N818  it is the answer to a client, not an error of ours
    """The catalogue will not serve this proxy; `reason` reaches it as the status of its call, in clear words.

    `unauthenticated` says that it proved no identity at all, rather than one that may not have this.
    """

    def __init__(self, reason: str, *, unauthenticated: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.unauthenticated = unauthenticated


class ProxySession(Protocol):
    """One connected proxy, as the catalogue knows it."""

    name: str
    """For people: "namespace/name"."""

    def snapshot(self) -> Snapshot:
        """The newest. Cheap: it is asked before every push. Unchanged means the same object."""

    def on_change(self, wake: Callable[[], None]) -> None:
        """From now until `close`, call `wake` (on the event loop) when there is a newer snapshot."""

    def close(self) -> None:
        """The proxy is gone. Called once."""


class Catalog(Protocol):
    def authenticate(self, peer: Peer) -> None:
        """Asked before anything of a stream is read. Raises Rejected where the peer has proven no identity."""

    def connect(self, peer: Peer, node: Node) -> ProxySession:
        """Raises Rejected."""


class Events(Protocol):
    """What became of what was sent. Called on the event loop; implementations return at once and never raise.

    `revision` is that of the Snapshot a response was made from.
    """

    def pushed(
        self,
        session: ProxySession,
        type_url: str,
        revision: int,
        names: Sequence[str],
        size_bytes: int,
        seconds: float,
    ) -> None:
        """A response was made, which took so long, and is about to be written; `names` holds removed ones too."""

    def acked(self, session: ProxySession, type_url: str, revision: int) -> None: ...

    def rejected(self, session: ProxySession, type_url: str, resource: str, version: str, error: str) -> None:
        """A NACK was traced to this resource; the version is held back until its bytes change."""

    def recovered(self, session: ProxySession, type_url: str, resource: str) -> None:
        """A rejected resource is well again: a later version was ACKed, or nobody wants it any more."""

    def settled(self, session: ProxySession, revision: int) -> None:
        """Everything of that revision is ACKed (rejected resources apart, which are held back)."""

    def stalled(self, session: ProxySession, type_url: str, waited_seconds: float) -> None:
        """A response was not ACKed in time; whatever waited for it goes on without."""

    def disconnected(self, session: ProxySession) -> None: ...
