"""What the daemon would not do, because it was too much: counted, and said in the log now and then."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter

_LOG_EVERY_SECONDS: Final = 10.0

WORK: Final = {
    "connections": "connections",
    "streams": "new discovery streams",
    "requests": "discovery requests",
    "certificates": "certificates",
    "reports": "health reports",
    "debug": "debug data",
}
"""By label: what is shed, in words."""

REASONS: Final = {
    "crowd": "too many at once",
    "caller": "one identity or workload asks too often",
    "proxy": "one proxy has too many",
    "slowed": "a client sends them too fast, and is read more slowly",
    "unread": "the client does not read what it is sent",
}


class Overload:
    """`shed` is told by every service (rpc.admission.Shed). A storm of refusals must not become a storm of log lines."""

    def __init__(
        self, registry: CollectorRegistry, clock: Callable[[], float], log: Callable[[str], None]
    ) -> None:
        self._counter = Counter(
            "mizzen_shed", "What was refused, dropped or slowed down.", ["work", "reason"], registry=registry
        )
        self._clock = clock
        self._log = log
        self._said: dict[tuple[str, str], float] = {}

    def shed(self, work: str, reason: str) -> None:
        self._counter.labels(work, reason).inc()
        now = self._clock()
        said = self._said.get((work, reason))
        if said is None or now >= said + _LOG_EVERY_SECONDS:
            self._said[work, reason] = now
            self._log(f"shedding {WORK[work]}: {REASONS[reason]} (see mizzen_shed_total)")
