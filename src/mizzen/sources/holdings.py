"""What a set of files holds, and what a new reading of some of them changes. No I/O.

A mistake disturbs only itself: an object that has become broken, and every object of a file that cannot be read as a
whole, stays in force in its last good version.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from mizzen.config.decode import Decoded
from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.resource import Located, ResourceKey
from mizzen.sources.change import Change

_MOST_NAMED = 5  # objects that one diagnostic names


@dataclass(frozen=True, slots=True)
class _File:
    """One file: the objects that are in force from it, those of them that an earlier reading gave, and its diagnostics."""

    located: Mapping[ResourceKey, Located] = field(default_factory=dict)
    kept: frozenset[ResourceKey] = frozenset()
    diagnostics: tuple[Diagnostic, ...] = ()


class Holdings:
    """Objects by key, over many files."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._holders: dict[ResourceKey, set[str]] = {}
        self._located: dict[ResourceKey, Located] = {}
        self._conflicts: dict[ResourceKey, tuple[Diagnostic, ...]] = {}

    @property
    def located(self) -> Mapping[ResourceKey, Located]:
        """What is in force now."""
        return MappingProxyType(self._located)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """By file, in the order of the text; then what is wrong between files."""
        of_files = (
            diagnostic for name in sorted(self._files) for diagnostic in self._files[name].diagnostics
        )
        between = (diagnostic for key in sorted(self._conflicts) for diagnostic in self._conflicts[key])
        return (*of_files, *between)

    @property
    def files(self) -> frozenset[str]:
        return frozenset(self._files)

    def holds_any(self, file: str) -> bool:
        """Whether an object is in force from this file."""
        return file in self._files and bool(self._files[file].located)

    def update(self, readings: Mapping[str, Decoded | None]) -> Change:
        """Take in new readings of some files; None: the file is gone."""
        touched: set[ResourceKey] = set()
        for name, reading in readings.items():
            before = self._files.pop(name, _File())
            after = _merge(before, reading) if reading is not None else _File()
            if reading is not None:
                self._files[name] = after
            for key in before.located.keys() - after.located.keys():
                self._holders[key].discard(name)
            for key in after.located:
                self._holders.setdefault(key, set()).add(name)
            touched |= before.located.keys() | after.located.keys()
        return self._settle(sorted(touched))

    def _settle(self, keys: Iterable[ResourceKey]) -> Change:
        """Decide anew which file's version of each key is in force."""
        upserts, removals = [], []
        for key in keys:
            before = self._located.pop(key, None)
            now = self._choose(key)
            if now is None:
                del self._holders[key]
                removals.append(key)
                continue
            self._located[key] = now
            if before is None or before.resource != now.resource:
                upserts.append(now)
        return Change(tuple(upserts), tuple(removals))

    def _choose(self, key: ResourceKey) -> Located | None:
        """The first file by path counts; what is only kept from an earlier reading gives way to what is written."""
        self._conflicts.pop(key, None)
        names = sorted(self._holders[key], key=lambda name: (key in self._files[name].kept, name))
        if not names:
            return None
        first, *others = (self._files[name].located[key] for name in names)
        clashes = [
            other for name, other in zip(names[1:], others, strict=True) if key not in self._files[name].kept
        ]
        if clashes:
            self._conflicts[key] = tuple(_clash(key, first, other) for other in clashes)
        return first


def _clash(key: ResourceKey, first: Located, other: Located) -> Diagnostic:
    here = other.locate(())
    message = f"it is defined at {first.locate(())} and at {here}; the first counts"
    return Diagnostic("MZ0007", message, key, (), here)


def _merge(before: _File, reading: Decoded) -> _File:
    """The file after a new reading: last good versions stay where the reading has nothing good to offer."""
    located = {each.resource.key: each for each in reading.located}
    kept = {
        key: old
        for key, old in before.located.items()
        if key not in located and (key in reading.broken or not reading.complete)
    }
    notes = {
        key: f"the version from {old.locate(())} as it was before stays in force" for key, old in kept.items()
    }
    notes = dict.fromkeys(reading.broken, "the object is not in force") | notes
    of_unknown = f"stays in force as it was before: {', '.join(_names(kept))}" if kept else ""
    diagnostics = tuple(
        _with_note(diagnostic, notes.get(diagnostic.resource, "") if diagnostic.resource else of_unknown)
        for diagnostic in reading.diagnostics
    )
    return _File({**located, **kept}, frozenset(kept), diagnostics)


def _with_note(diagnostic: Diagnostic, note: str) -> Diagnostic:
    """Say what is in force instead of what has an error."""
    if not note or diagnostic.severity is not Severity.ERROR:
        return diagnostic
    return replace(diagnostic, message=f"{diagnostic.message} ({note})")


def _names(keys: Iterable[ResourceKey]) -> Iterator[str]:
    for index, key in enumerate(sorted(keys)):
        if index == _MOST_NAMED:
            yield "..."
            return
        yield str(key)
