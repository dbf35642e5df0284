"""How far each proxy is, for display."""

from dataclasses import dataclass
from enum import StrEnum

from mizzen.xds.catalog import ProxySession


class SyncState(StrEnum):
    SYNCED = "synced"
    PENDING = "pending"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class TypeStatus:
    type_url: str
    state: SyncState
    resources: int
    acked_revision: int | None
    """Of the snapshot that the last ACKed response was made from; None before the first ACK."""


@dataclass(frozen=True, slots=True)
class SessionStatus:
    session: ProxySession
    types: tuple[TypeStatus, ...]
