"""Analysis beside a daemon, object by object as they change.

It has a database of its own: however long it takes, and whatever goes wrong in it, no proxy waits for it.
"""

from collections.abc import Iterable, Mapping

from mizzen.analysis.findings import Found, diagnose, findings
from mizzen.analysis.inputs import STATUSES
from mizzen.config.diagnostics import Diagnostic
from mizzen.config.resource import Located, ResourceKey
from mizzen.derive.inputs import RESOURCES
from mizzen.incremental import Database, Observed
from mizzen.sources.change import Change


class LiveAnalysis:
    """The findings in what is in force. `apply` changes, refresh `db` in slices, then `take_in` what the refresh gave."""

    def __init__(self) -> None:
        self.db = Database()
        self.db.observe(findings)
        self._found: tuple[Found, ...] = ()

    def apply(self, change: Change) -> None:
        """Take over what a source tells. Costs little: nothing is analysed before the refresh."""
        with self.db.batch():
            for located in change.upserts:
                key = located.resource.key
                self.db.set(RESOURCES, key, located.resource)
                if located.status is None:
                    self.db.remove(STATUSES, key)
                else:
                    self.db.set(STATUSES, key, located.status)
            for key in change.removals:
                self.db.remove(RESOURCES, key)
                self.db.remove(STATUSES, key)

    def commit(self) -> tuple[ResourceKey, ...]:
        """Nothing waits to be committed: `apply` sets the inputs at once. Nobody asks which objects a finding is owed to."""
        return ()

    def take_in(self, observed: Iterable[Observed]) -> None:
        """Keep what the last refresh found, so that to look at it computes nothing."""
        if any(True for _ in observed):
            self._found = self.db.value(findings)

    def diagnostics(self, located: Mapping[ResourceKey, Located]) -> tuple[Diagnostic, ...]:
        """What was found, at the places where the objects stand now."""
        return tuple(diagnose(self._found, located.get))
