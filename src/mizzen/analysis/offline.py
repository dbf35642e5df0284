"""Analysis of files, without a daemon: everything is read once, and broken objects count as far as they can be read."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mizzen.analysis.defaults import default_resources
from mizzen.analysis.inputs import STATUSES, TODAY
from mizzen.config.decode import Decoded, decode
from mizzen.config.diagnostics import Diagnostic
from mizzen.config.resource import Located, Location, ResourceKey
from mizzen.derive.inputs import RESOURCES
from mizzen.incremental import Database
from mizzen.sources.files import MAX_FILE_BYTES
from mizzen.sources.tree import look

STDIN = "-"
_STDIN_NAME = "<stdin>"
_IGNORED = frozenset({"lab.yaml"})  # in folders: it describes a lab, not the mesh


@dataclass(slots=True)
class Reading:
    """What some files hold: the objects (also broken ones), and what is wrong with each file by itself."""

    located: dict[ResourceKey, Located] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    files: int = 0

    def add(self, decoded: Decoded) -> None:
        """Of several objects with one key the first counts."""
        self.files += 1
        self.diagnostics += decoded.diagnostics
        for each in (*decoded.located, *decoded.salvaged):
            key = each.resource.key
            if (first := self.located.setdefault(key, each)) is not each:
                here = each.locate(())
                message = f"it is defined at {first.locate(())} and at {here}; the first counts"
                self.diagnostics.append(Diagnostic("MZ0007", message, key, (), here))


def read(paths: Iterable[str]) -> Reading:
    """Read files, folders with what is below them, and standard input ("-")."""
    reading = Reading()
    names = list(paths)
    tree = look([Path(name) for name in names if name != STDIN], _IGNORED)
    reading.diagnostics += tree.problems
    for decoded in _decoded(sorted(map(os.path.normpath, tree.files)), stdin=STDIN in names):
        reading.add(decoded)
    return reading


def _decoded(files: Iterable[str], *, stdin: bool) -> Iterator[Decoded]:
    if stdin:
        yield _bounded(sys.stdin.buffer.read(MAX_FILE_BYTES + 1), _STDIN_NAME)
    for name in files:
        try:
            with Path(name).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            yield _unreadable("MZ0005", f"the file cannot be read: {error.strerror or error}", name)
        else:
            yield _bounded(data, name)


def _bounded(data: bytes, name: str) -> Decoded:
    if len(data) > MAX_FILE_BYTES:
        return _unreadable("MZ0003", f"the file is larger than {MAX_FILE_BYTES:,} bytes", name)
    return decode(data, name)


def _unreadable(code: str, message: str, name: str) -> Decoded:
    return Decoded(diagnostics=(Diagnostic(code, message, None, (), Location(name, 1, 1)),), complete=False)


def database(located: Mapping[ResourceKey, Located], today: datetime | None) -> Database:
    """A database with these objects and Istio's defaults. Without `today` no certificate is ever too old."""
    db = Database()
    with db.batch():
        for each in (*default_resources(set(located)), *located.values()):
            db.set(RESOURCES, each.resource.key, each.resource)
            if each.status is not None:
                db.set(STATUSES, each.resource.key, each.status)
        if today is not None:
            db.set(TODAY, "today", today)
    return db
