"""The catalogue that discovery asks: which proxy is connected, and what it should hold now."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

from mizzen.ca.revocation import Revocations
from mizzen.daemon.admission import AdmittedProxy, UnregisteredError, ViewKey, admit, proven_identity
from mizzen.daemon.departures import Release
from mizzen.daemon.views import View, Views
from mizzen.derive.proxies import proxy_view
from mizzen.incremental import Database, Failure, Observed
from mizzen.model.proxy import ProxyView
from mizzen.rpc.peer import Peer
from mizzen.xds.catalog import Node, Rejected
from mizzen.xds.resource import Snapshot

_K = TypeVar("_K")

Slot = tuple[str, bool]
"""A proxy by name, or (True) the agent beside it."""


class Session:
    """One connected proxy, or the agent beside it (xds.catalog.ProxySession)."""

    def __init__(self, catalog: "MeshCatalog", proxy: AdmittedProxy, view: View) -> None:
        self.name = f"{proxy.key.namespace}/{proxy.key.name}"
        self.proxy = proxy
        self.slot: Slot = (self.name, proxy.agent)
        self.view = view
        self._catalog = catalog
        self._wake: Callable[[], None] | None = None

    def snapshot(self) -> Snapshot:
        return self.view.snapshot

    def on_change(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def wake(self) -> None:
        if self._wake is not None:
            self._wake()

    def close(self) -> None:
        self._wake = None
        self._catalog.closed(self)


def _at_once(_who: object, release: Release) -> None:
    release()


class MeshCatalog:
    """Opens sessions, and moves them along when the database has something new."""

    def __init__(
        self,
        db: Database,
        *,
        register: Callable[[UnregisteredError], None] = lambda _unknown: None,
        revoked: Callable[[], Revocations] = Revocations,
        left: Callable[[Slot, Release], None] = _at_once,
    ) -> None:
        """`register` hears of proxies whose workload is not registered. It may raise Rejected. Who is `revoked` is refused.
        `left` hears who has left, and calls what then gives up what the proxy needed (Departures.left).
        """
        self._db = db
        self._register = register
        self._revoked = revoked
        self._left = left
        self._views = Views(db)
        self._sessions: dict[Session, None] = {}
        self._by_view: defaultdict[View, dict[Session, None]] = defaultdict(dict)
        self._by_key: defaultdict[ViewKey, dict[Session, None]] = defaultdict(dict)

    @property
    def sessions(self) -> Iterator[Session]:
        """Of proxies."""
        return (session for session in tuple(self._sessions) if not session.proxy.agent)

    @property
    def agent_sessions(self) -> Iterator[Session]:
        return (session for session in tuple(self._sessions) if session.proxy.agent)

    def failures(self) -> Iterator[tuple[str, str, Failure]]:
        """What could not be made: (type_url, name, why); without a name where a whole list is concerned."""
        return self._views.failures()

    def authenticate(self, peer: Peer) -> None:
        """Raises Rejected."""
        proven_identity(self._db, peer)

    def connect(self, peer: Peer, node: Node) -> Session:
        """Raises Rejected."""
        try:
            proxy = admit(self._db, peer, node)
        except UnregisteredError as unknown:
            if self._revoked().covers(unknown.identity):
                raise Rejected(f"{unknown.identity} is revoked") from None
            self._register(unknown)
            raise
        if self._revoked().covers(proxy.identity):
            raise Rejected(f"{proxy.identity} is revoked")
        view = self._db.value(proxy_view, *proxy.view_key)
        assert view is not None, "admit() found its workload"
        session = Session(self, proxy, self._views.acquire(view))
        self._db.follow(proxy_view, *proxy.view_key)
        self._sessions[session] = None
        self._by_view[session.view][session] = None
        self._by_key[proxy.view_key][session] = None
        return session

    def closed(self, session: Session) -> None:
        key, view = session.proxy.view_key, session.view
        del self._sessions[session]
        _discard(self._by_view, view, session)
        _discard(self._by_key, key, session)

        def release() -> None:
            self._views.release(view)
            self._db.unobserve(proxy_view, *key)

        self._left(session.slot, release)

    def take_in(self, observed: Sequence[Observed]) -> list[Session]:
        """What a refresh found. Wakes the sessions that have something new to say, and returns them."""
        moved = list(self._move(key for query, key in observed if query is proxy_view))
        changed = self._views.take_in(observed)
        # Proxies that are sent the same bytes follow each other: what they have in common is compared once.
        in_order = sorted(changed, key=lambda view: view.kinship)
        concerned = {session: None for view in in_order for session in self._by_view.get(view, ())}
        concerned.update(dict.fromkeys(moved))
        for session in concerned:
            session.wake()
        return list(concerned)

    def _move(self, changed: Iterable[tuple[Any, ...]]) -> Iterator[Session]:
        """Proxies whose workload changed may have another view. One that was unregistered keeps what it has: it may be
        a mistake, and its certificate ends soon enough. So does one whose workload cannot be made out (a bug).
        """
        for key in changed:
            found = self._db.result(proxy_view, *key)
            for session in tuple(self._by_key.get(cast("ViewKey", key), ())):
                if not isinstance(found, ProxyView) or found == session.view.key:
                    continue
                view = self._views.acquire(found)
                _discard(self._by_view, session.view, session)
                self._views.release(session.view)
                session.view = view
                self._by_view[view][session] = None
                yield session


def _discard(sessions: dict[_K, dict[Session, None]], key: _K, session: Session) -> None:
    """Of the sessions by key."""
    sharing = sessions[key]
    del sharing[session]
    if not sharing:
        del sessions[key]
