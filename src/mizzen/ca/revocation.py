"""Who gets no certificate any more: join tokens by their ID, workloads by their identity.

A revocation keeps its owner from discovery and from new certificates at once. What was issued before stays good between
sidecars until it ends: that is why certificates are short-lived. (A list that every proxy checks would have to reach every proxy.)
"""

import json
from dataclasses import dataclass
from pathlib import Path

from mizzen.ca.files import StateError, read_private, write_private
from mizzen.model.identity import SpiffeId

FILE = "revoked.json"
"""In the CA's folder."""


@dataclass(frozen=True, slots=True)
class Revocations:
    tokens: frozenset[str] = frozenset()  # IDs of join tokens
    identities: frozenset[str] = frozenset()  # SPIFFE URIs

    def covers(self, identity: SpiffeId) -> bool:
        return str(identity) in self.identities


def read_revocations(folder: Path) -> Revocations:
    """Raises StateError: a list that cannot be read must not count as empty."""
    file = folder / FILE
    if not file.exists():
        return Revocations()
    try:
        document = json.loads(read_private(file))
        return Revocations(frozenset(document["tokens"]), frozenset(document["identities"]))
    except (ValueError, KeyError, TypeError):
        raise StateError(f"{file} cannot be read", "restore it from a backup (mizzen ca restore)") from None


def write_revocations(folder: Path, revoked: Revocations) -> None:
    """Raises StateError."""
    document = {"tokens": sorted(revoked.tokens), "identities": sorted(revoked.identities)}
    write_private(folder / FILE, json.dumps(document, indent=1).encode() + b"\n")
