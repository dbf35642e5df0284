"""A caller that never stops, and changes of configuration that are awaited by delivery: for tests of what changes break."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from mizzen.lab.protocol import Response
from tests.support.lab import Lab, until


class Load:
    """Requests one after the other, all the time, and what came back."""

    def __init__(self, lab: Lab, source: str, url: str) -> None:
        self._lab, self._source, self._url = lab, source, url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.responses: list[Response] = []
        self.error: Exception | None = None

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.responses += self._lab.requests(self._source, self._url, count=20)
        except Exception as error:
            self.error = error

    @contextmanager
    def running(self) -> "Iterator[Load]":
        self._thread.start()
        try:
            until(lambda: self.responses or self.error, "the load runs")
            yield self
            seen = len(self.responses)
            until(lambda: len(self.responses) > seen or self.error, "the load goes on")
        finally:
            self._stop.set()
            self._thread.join()

    @property
    def failures(self) -> dict[str, int]:
        assert self.error is None, self.error
        bad = (found for found in self.responses if found.status != 200)
        return dict(Counter(f"{found.status} {found.error or found.body[:200]!r}" for found in bad))


def write(lab: Lab, name: str, text: str) -> None:
    """Save a file of the mesh's YAML and wait until every proxy that it concerns has ACKed it."""
    before = lab.admin("/api/v1/status")["revision"]
    (lab.folder / name).write_text(text)
    until(lambda: delivered(lab, before), f"{name} is delivered")


def delivered(lab: Lab, before: int) -> bool:
    changes = [change for change in lab.admin("/api/v1/changes")["changes"] if change["revision"] > before]
    states = [state for change in changes for state in change["proxies"].values()]
    return bool(changes) and all(state in {"acked", "rejected"} for state in states)
