"""Ends the streams of those who may not have them any more: their certificate has ended, or their identity was revoked.

TLS looks at a certificate when a connection begins, which for discovery may be long ago.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from mizzen.ca.revocation import Revocations
from mizzen.daemon.catalog import MeshCatalog, Session

_EVERY_SECONDS = 5.0
_GRACE_SECONDS = 60.0  # for clocks that differ: an agent renews long before


@dataclass(frozen=True, slots=True)
class Standing:
    """`end` disconnects a session, with the reason for its log. `now` is in seconds since the epoch."""

    catalog: MeshCatalog
    revoked: Callable[[], Revocations]
    end: Callable[[Session, str], None]
    now: Callable[[], float]

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_EVERY_SECONDS)

    def look(self) -> None:
        revoked, now = self.revoked(), self.now()
        for session in (*self.catalog.sessions, *self.catalog.agent_sessions):
            expires = session.proxy.certificate_expires
            if revoked.covers(session.proxy.identity):
                self.end(session, f"{session.proxy.identity} is revoked")
            elif expires is not None and now > expires + _GRACE_SECONDS:
                self.end(session, "the certificate of this connection has expired: connect with a new one")
