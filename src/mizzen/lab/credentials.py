"""The lab is its own certificate officer: it makes the daemon's CA and a join token for every workload."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mizzen.ca.files import write_private
from mizzen.ca.plugged import open_authority
from mizzen.ca.tokens import KEY_FILE, JoinToken, JoinTokenKey, new_token_id
from mizzen.lab.definition import Workload
from mizzen.model.identity import SpiffeId

# The token is needed again whenever an agent starts anew, for as long as the lab runs.
_TOKEN_LIFETIME = timedelta(days=365)


class Credentials:
    """Made before the daemon starts, which then finds the CA and the key in its state folder."""

    def __init__(self, daemon_state: Path, trust_domain: str) -> None:
        """Raises StateError."""
        open_authority(daemon_state / "ca", trust_domain, now=datetime.now(UTC), random_bytes=os.urandom)
        self._key = JoinTokenKey.open(daemon_state / KEY_FILE, os.urandom)
        self._trust_domain = trust_domain

    def write_token(self, path: Path, instance: str, workload: Workload) -> None:
        """Raises StateError."""
        identity = SpiffeId(self._trust_domain, workload.namespace, workload.service_account)
        expires = datetime.now(UTC) + _TOKEN_LIFETIME
        token = JoinToken(identity, instance, expires, new_token_id(os.urandom))
        write_private(path, self._key.issue(token).encode() + b"\n")
