"""Text -> resources and diagnostics. Never raises on bad input: bad configuration is data."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mizzen.config.conform import conform
from mizzen.config.diagnostics import CATALOGUE, Diagnostic, Finding, Severity
from mizzen.config.documents import Document, DocumentError, split
from mizzen.config.kinds import COMPLETE_GROUPS, KINDS, Kind, Scope
from mizzen.config.resource import Located, Location, Path, Resource, ResourceKey
from mizzen.config.salvage import salvage
from mizzen.config.status import read_status
from mizzen.config.support import unsupported
from mizzen.config.types.message import Message
from mizzen.config.types.metadata import ObjectMeta
from mizzen.config.validation import validate
from mizzen.frozen import FrozenMap

DEFAULT_NAMESPACE = "default"
"""Of objects that name none, as in kubectl."""

_MAX_TEXT = 600  # characters of a message or a hint
MAX_TOLD = 100
"""Findings of one object that are told. Each costs a look-up in its text, and nobody reads more."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a text holds.

    `located`: the objects without errors, in the text's order. `broken`: objects that are there but have errors.
    `complete`: whether every object that the text holds is in one of the two; not so where a document could not be
    parsed or does not say what object it is. `salvaged`: the broken objects as far as they can be read, for analysis.
    """

    located: tuple[Located, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    broken: tuple[ResourceKey, ...] = ()
    complete: bool = True
    salvaged: tuple[Located, ...] = ()


def decode(text: str | bytes, file: str) -> Decoded:
    """Read all objects of a YAML text. `file` is the name that positions carry."""
    readable = text if isinstance(text, str) else _to_text(text, file)
    if isinstance(readable, Diagnostic):
        return Decoded(diagnostics=(readable,), complete=False)
    reading = _Reading()
    for document in split(readable, file):
        reading.document(document)
    return Decoded(
        tuple(reading.located.values()),
        tuple(reading.diagnostics),
        tuple(reading.broken),
        reading.complete,
        tuple(reading.salvaged),
    )


_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _to_text(data: bytes, file: str) -> str | Diagnostic:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        location = Location(file, before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1)
        if b"\0" in data:
            return Diagnostic(
                "MZ0004", "this is a binary file", None, (), location, "keep it out of this folder"
            )
        message = f"the byte 0x{data[error.start]:02x} is not {encoding.removesuffix('-sig').upper()}"
        return Diagnostic("MZ0004", message, None, (), location)


@dataclass(slots=True)
class _Reading:
    """What was read so far of one text."""

    located: dict[ResourceKey, Located] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    broken: list[ResourceKey] = field(default_factory=list)
    complete: bool = True
    salvaged: list[Located] = field(default_factory=list)

    def document(self, document: Document) -> None:
        try:
            value = document.value()
        except DocumentError as error:
            location = document.location(error.line, error.column)
            message, hint = _bounded(error.message), _bounded(error.hint)
            self.diagnostics.append(Diagnostic(error.code, message, None, (), location, hint))
            self.complete = False
            return
        if not _is_list(value):
            self._object(value, document)
            return
        places = document.places()
        for item, path in _items(value):
            self._object(item, places.part(path))

    def _object(self, item: Any, document: Document) -> None:
        if item is None:
            return
        kind = _kind_of(item)
        if isinstance(kind, Finding):
            self._unidentified(document, kind)
            return
        meta = conform(item.get("metadata") or {}, ObjectMeta, ("metadata",))
        key = _key(kind, item)
        if key is None:
            missing = Finding("MZ0011", ("metadata",), "the object has no name", "add metadata.name")
            self._unidentified(document, *(meta if isinstance(meta, tuple) else (missing,)))
            return
        spec = _spec(kind, item)
        findings = [*(() if kind.is_whole else _extra_members(item)), *unsupported(kind.key_kind, item)]
        for part in (meta, spec):
            findings += part if isinstance(part, tuple) else ()
        status = read_status(item.get("status"))
        if isinstance(meta, tuple) or isinstance(spec, tuple):
            self._report(document, key, findings)
            self.broken.append(key)
            self.salvaged.append(Located(_salvaged(kind, key, item), document.file, document, status))
            return
        observed = _observed(kind, item)
        resource = Resource(key, spec, meta.labels, _annotations(meta), meta.creation_timestamp, observed)
        located = Located(resource, document.file, document, status)
        self._take(located, document, [*findings, *validate(resource)])

    def _take(self, located: Located, document: Document, findings: list[Finding]) -> None:
        """Take an object in, unless it has an error or was there before."""
        key = located.resource.key
        if self._report(document, key, findings):
            self.broken.append(key)
            self.salvaged.append(located)
        elif (first := self.located.get(key)) is not None:
            message = f"{key} is defined twice; the first, at {first.locate(())}, counts"
            self._report(document, key, [Finding("MZ0007", (), message)])
        else:
            self.located[key] = located

    def _unidentified(self, document: Document, *findings: Finding) -> None:
        if self._report(document, None, list(findings)):
            self.complete = False

    def _report(self, document: Document, key: ResourceKey | None, findings: list[Finding]) -> bool:
        """Note findings as diagnostics, with their places. Returns whether one is an error."""
        if not findings:
            return False
        places = document.places()
        for found in _most_telling(findings):
            location = places.locate(found.path, value=found.at_value)
            message, hint = _bounded(found.message), _bounded(found.hint)
            self.diagnostics.append(Diagnostic(found.code, message, key, found.path, location, hint))
        return any(map(_is_error, findings))


def _is_error(found: Finding) -> bool:
    return CATALOGUE[found.code].severity is Severity.ERROR


def _most_telling(findings: list[Finding]) -> list[Finding]:
    """All findings; of too many the first ones, errors before warnings, and how many are left out."""
    if len(findings) <= MAX_TOLD:
        return findings
    told = sorted(findings, key=_is_error, reverse=True)[:MAX_TOLD]
    message = f"there are {len(findings) - MAX_TOLD} more problems with this object"
    return [*told, Finding("MZ0008", (), message)]


def _bounded(text: str) -> str:
    """Messages quote what users wrote, and that can have any length."""
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 3] + "..."


def _is_list(value: Any) -> bool:
    """A List, or a VirtualServiceList and its kin."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("items"), list)
        and str(value.get("kind")).endswith("List")
    )


def _items(value: Any) -> Iterator[tuple[Any, Path]]:
    """The objects of a list with their paths, those of lists inside it, too."""
    for index, item in enumerate(value["items"]):
        if _is_list(item):
            for each, path in _items(item):
                yield each, ("items", index, *path)
        else:
            yield item, ("items", index)


def _kind_of(item: Any) -> Kind | Finding:
    if type(item) is not dict:
        return Finding("MZ0010", (), "this is not an object")
    version, name = item.get("apiVersion"), item.get("kind")
    for field_name, given in (("apiVersion", version), ("kind", name)):
        if not isinstance(given, str) or not given:
            return Finding("MZ0011", (), f"the object has no {field_name}", f"add {field_name}")
    group, _, version = str(version).rpartition("/")
    kind = KINDS.get((group, str(name)))
    if kind is None:
        return _unread(group, str(name))
    if version not in kind.versions:
        prefix = f"{group}/" if group else ""
        message = f"{kind.name} has no version {prefix}{version}"
        hint = f"use {prefix}{kind.versions[0]}"
        return Finding("MZ0013", ("apiVersion",), message, hint, at_value=True)
    return kind


def _unread(group: str, name: str) -> Finding:
    if group in COMPLETE_GROUPS:
        known = sorted(kind for owner, kind in KINDS if owner == group)
        hint = f"kinds of this group: {', '.join(known)}"
        return Finding("MZ0014", ("kind",), f"{group} has no kind {name}", hint, at_value=True)
    return Finding("MZ0012", ("kind",), f"{name} of {group or 'core'} is not read by Mizzen")


def _key(kind: Kind, item: dict[str, Any]) -> ResourceKey | None:
    meta = item.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    if kind.scope is Scope.MESH:
        return ResourceKey(kind.key_kind, "", DEFAULT_NAMESPACE)
    name, namespace = meta.get("name"), meta.get("namespace")
    if not isinstance(name, str) or not name:
        return None
    if kind.scope is Scope.CLUSTER:
        namespace = ""
    elif not isinstance(namespace, str) or not namespace:
        namespace = DEFAULT_NAMESPACE
    return ResourceKey(kind.key_kind, namespace, name)


_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def _annotations(meta: ObjectMeta) -> FrozenMap[str, str]:
    """Without kubectl's copy of the object: it says nothing new, and of a Secret it must not be shown."""
    if _LAST_APPLIED not in meta.annotations:
        return meta.annotations
    return FrozenMap({name: text for name, text in meta.annotations.items() if name != _LAST_APPLIED})


def _salvaged(kind: Kind, key: ResourceKey, item: dict[str, Any]) -> Resource[object]:
    meta = salvage(item.get("metadata"), ObjectMeta)
    spec = salvage(item if kind.is_whole else item.get("spec"), kind.spec)
    return Resource(key, spec, meta.labels, _annotations(meta), meta.creation_timestamp)


def _spec(kind: Kind, item: dict[str, Any]) -> Message | tuple[Finding, ...]:
    if kind.is_whole:
        members = {name: member for name, member in item.items() if name not in _HEAD}
        return conform(members, kind.spec, ())
    spec = item.get("spec")
    if spec is None:
        if kind.spec_required:
            return (Finding("MZ0024", (), 'the field "spec" is missing', 'add "spec"'),)
        spec = {}
    return conform(spec, kind.spec, ("spec",))


def _observed(kind: Kind, item: dict[str, Any]) -> Message | None:
    """As far as it can be read: it is not what a user wrote."""
    return salvage(item.get("status"), kind.observed) if kind.observed is not None else None


_HEAD = frozenset({"apiVersion", "kind", "metadata"})
_TOP = _HEAD | {"spec", "status"}


def _extra_members(item: dict[str, Any]) -> Iterator[Finding]:
    for name in item:
        if name not in _TOP:
            hint = 'move it under "spec", or remove it'
            yield Finding("MZ0020", (name,), f'the API has no field "{name}" here', hint)
