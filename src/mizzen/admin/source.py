"""What the admin server shows: the daemon's side of the JSON API."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mizzen.admin.schema import MeshStatus


class AdminSource(Protocol):
    """Answers from memory: each call is made for a request, on the event loop, and must not block."""

    def status(self) -> MeshStatus: ...

    def names(self) -> Mapping[str, Sequence[str]]:
        """The addresses of every service, by its host name."""
        ...

    def config_dump(self, proxy: str) -> Any | None:
        """What the proxy "namespace/name" should run, as values that JSON knows; None for an unknown proxy.

        Secrets are left out: whoever reaches the admin address may read this.
        """
        ...
