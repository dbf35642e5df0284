"""Whether agents and proxies should come to this daemon: what is missing, in words (`/healthz/ready` of its admin address)."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from mizzen.ca.files import StateError


class Step(StrEnum):
    """Of a start, in words for while it is to come."""

    CONFIGURATION = "the configuration has not been read yet"
    CERTIFICATE = "the daemon has no certificate of its own yet"
    LISTENING = "agents and proxies cannot connect yet"


class Readiness:
    """`ca_ends` is when the CA's certificate ends; it may raise StateError."""

    def __init__(self, ca_ends: Callable[[], datetime], clock: Callable[[], datetime]) -> None:
        self._ca_ends = ca_ends
        self._clock = clock
        self._missing = list(Step)

    def done(self, step: Step) -> None:
        if step in self._missing:
            self._missing.remove(step)

    def missing(self) -> tuple[str, ...]:
        """Why it is not ready; nothing where it is."""
        return (*self._missing, *self._of_the_ca())

    def _of_the_ca(self) -> tuple[str, ...]:
        try:
            ends = self._ca_ends()
        except StateError as error:
            return (str(error),)
        if self._clock() < ends:
            return ()
        return (f"the CA's certificate ended at {ends:%Y-%m-%d %H:%M} UTC: nobody gets a certificate",)
