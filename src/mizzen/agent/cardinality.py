"""A budget of series: what a proxy's metrics may cost Prometheus, whoever calls it.

Each of the mesh's metrics has so many series at most. Those that come later are added up in one, whose labels are "other" but for
what the proxy says of itself: sums stay right, and a series that is in stays in. (Below half of the budget nobody looks; a
metric that goes from there over the whole of it between two scrapes may lose some that were in.)
"""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from mizzen.model import short_labels

OTHER: Final = b"other"

# Of a line: the metric with its suffix, the labels, the value.
_LINE: Final = re.compile(rb"^(\w+)\{(.*)\} (\S+)$")
_BOUND: Final = re.compile(rb',?le="[^"]*"')
_LABEL: Final = re.compile(rb'(\w+)="((?:[^"\\]|\\.)*)"')
_MESH: Final = (b"istio_", b"mizzen_")
_OWN: Final = {
    side: {f"{side.decode()}_{label}".encode() for label in short_labels.OF_WORKLOAD}
    for side in (b"source", b"destination")
}


class Budget:
    """At most `most` series of each metric; which they are is kept from scrape to scrape."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._admitted: dict[bytes, dict[bytes, None]] = {}  # metric -> labels of its series
        self.folded: dict[str, int] = {}
        """How many series were added up at the last scrape, by metric."""

    def applied(self, exposition: bytes) -> bytes:
        """The exposition within the budget. Families stand together, each after its `# TYPE` line."""
        self.folded = {}
        if exposition.count(b"\n") <= self._most // 2:
            self._admitted.clear()
            return exposition
        parts: list[bytes] = []
        for metric, lines in groupby(exposition.splitlines(keepends=True), _Family()):
            text = list(lines)
            is_counted = metric.startswith(_MESH) and len(text) - 1 > self._most // 2
            if not is_counted:
                self._admitted.pop(metric, None)
            parts += self._within(metric, text) if is_counted else text
        return b"".join(parts)

    def _within(self, metric: bytes, lines: list[bytes]) -> Iterator[bytes]:
        found = [(line, _LINE.match(line.rstrip(b"\n"))) for line in lines]
        series = {_BOUND.sub(b"", line[2]): None for _, line in found if line is not None}
        before = self._admitted.get(metric, {})
        admitted = {labels: None for labels in before if labels in series}
        for labels in series:
            if len(admitted) >= self._most:
                break
            admitted[labels] = None
        self._admitted[metric] = admitted
        if len(series) > len(admitted):
            self.folded[metric.decode()] = len(series) - len(admitted)
        sums: dict[bytes, float] = {}
        for text, line in found:
            if line is None or _BOUND.sub(b"", line[2]) in admitted:
                yield text
            else:
                place = b"%b{%b}" % (line[1], _of_the_rest(line[2]))
                sums[place] = sums.get(place, 0.0) + float(line[3])
        for place, value in sums.items():
            yield b"%b %b\n" % (place, repr(int(value) if value.is_integer() else value).encode())


class _Family:
    """Of a line, the metric whose `# TYPE` came last: the name of its family."""

    def __init__(self) -> None:
        self._name = b""

    def __call__(self, line: bytes) -> bytes:
        if line.startswith(b"# TYPE "):
            self._name = line.split(b" ", 3)[2]
        return self._name


def _of_the_rest(labels: bytes) -> bytes:
    side = b"source" if b'reporter="source"' in labels else b"destination"
    kept = _OWN[side] | {b"reporter", b"le"}
    return _LABEL.sub(lambda label: label[0] if label[1] in kept else b'%b="%b"' % (label[1], OTHER), labels)
