"""YAML text -> documents, their plain values, and the places of their fields.

Values are what `kubectl apply` would send: dict with string keys, list, str, int, float, bool, None. Places are not
kept while reading: a document keeps its text, and is parsed once more when somebody asks where a field stands.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from yaml import MappingNode, Node, ScalarNode, SequenceNode
from yaml._yaml import CParser
from yaml.error import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from mizzen.config.resource import Location, Path
from mizzen.config.scalars import ScalarError, key_text, plain_scalar, tagged_scalar

MAX_DEPTH: Final = 100
MAX_NODES: Final = 1_000_000  # per document, aliases counted as often as they are used

# A line that starts with --- or ... ends a document wherever it stands, even inside a quoted or block scalar (YAML 1.2,
# 9.1.2): so texts can be cut there, and a syntax error disturbs no document but its own.
_BOUNDARY = re.compile(r"^(?:---|\.\.\.)(?=[ \t\r\n]|\Z)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^%(?:YAML|TAG)[^\n]*$", re.MULTILINE)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class DocumentError(Exception):
    """A document that cannot be read. `line` and `column` count from 0, from the document's start."""

    def __init__(self, code: str, message: str, line: int, column: int, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.line, self.column, self.hint = code, message, line, column, hint


class Document:
    """One document of a YAML text."""

    __slots__ = ("file", "lines_before", "text")

    def __init__(self, text: str, file: str, lines_before: int) -> None:
        self.text = text
        self.file = file
        self.lines_before = lines_before

    def value(self) -> Any:
        """The plain value. Raises DocumentError."""
        if unprintable := _UNPRINTABLE.search(self.text):
            raise _unprintable(self.text, unprintable.start())
        builder = _Builder(self.text)
        try:
            return builder.document()
        except MarkedYAMLError as error:
            raise _syntax_error(error) from None

    def places(self) -> "Places":
        """For many lookups at once: each call parses the text."""
        return Places(self)

    def locate(self, path: Path) -> Location:
        return self.places().locate(path)

    def location(self, line: int, column: int) -> Location:
        """Of a line and a column that count from 0, from the document's start."""
        return Location(self.file, self.lines_before + line + 1, column + 1)


class Places:
    """The places of a document's fields. Much larger than the text: not to be kept."""

    def __init__(self, document: Document) -> None:
        self._document = document
        try:
            self._root: Node | None = _Composer(document.text).get_single_node()
        except (
            MarkedYAMLError
        ):  # PyYAML's composer refuses an anchor that is defined twice, which YAML allows
            self._root = None

    def locate(self, path: Path, *, value: bool = False) -> Location:
        """Where a field (with `value`, its value) stands, or its nearest ancestor that is written in the text."""
        if self._root is None:
            return self._document.location(0, 0)
        node, place = self._root, self._root
        for step in path:
            found = _child(node, step)
            if found is None:
                return self._at(place)
            place, node = found
        return self._at(node if value else place)

    def part(self, path: Path) -> Document:
        """What stands at the path, as a document of its own that finds its places in the same file."""
        node = self._root
        for step in path:
            found = _child(node, step) if node else None
            node = found[1] if found else None
        if node is None:
            return self._document
        start, end = node.start_mark, node.end_mark
        # Indented as it was, so that columns are right and what is flow or block stays so.
        text = " " * start.column + self._document.text[start.index : end.index]
        return Document(text, self._document.file, self._document.lines_before + start.line)

    def _at(self, node: Node) -> Location:
        return self._document.location(node.start_mark.line, node.start_mark.column)


def split(text: str, file: str) -> Iterator[Document]:
    """The documents of a text, in order; those that hold nothing but comments may be among them."""
    start, line = 0, 0
    for boundary in _BOUNDARY.finditer(text):
        # "---" belongs to the document that it opens, as content may follow on its line; "..." belongs to none.
        end = boundary.start()
        if end > start:
            yield Document(_without_directives(text[start:end]), file, line)
        line += text.count("\n", start, end)
        start = end if text[end] == "-" else boundary.end()
    if start < len(text):
        yield Document(_without_directives(text[start:]), file, line)


def _without_directives(text: str) -> str:
    """Blank out %YAML and %TAG lines: they stand before the --- at which the text was cut."""
    return _DIRECTIVE.sub("", text) if "\n%" in text or text.startswith("%") else text


class _Builder:
    """Builds the value of one document from the parser's events."""

    def __init__(self, text: str) -> None:
        self._parser = CParser(text)
        self._next = self._parser.get_event
        self._anchors: dict[str, tuple[Any, int]] = {}  # anchor -> value, its size in nodes
        self._open_anchors: set[str] = set()
        self._nodes = 0
        self._depth = 0

    def document(self) -> Any:
        self._next()  # the stream's start
        if type(self._next()) is StreamEndEvent:
            return None
        value = self._node(self._next())
        self._next()  # the document's end
        following = self._next()
        if type(following) is not StreamEndEvent:
            raise _at(following, "MZ0001", "a second document begins here without ---")
        return value

    def _node(self, event: Any) -> Any:
        kind = type(event)
        if kind is ScalarEvent:
            self._nodes += 1
            if event.anchor is None and event.tag is None:
                return plain_scalar(event.value) if event.implicit[0] else event.value
        if kind is AliasEvent:
            return self._alias(event)
        if event.anchor is None:
            return self._content(event)
        self._open_anchors.add(event.anchor)
        before = self._nodes
        value = self._content(event)
        self._open_anchors.discard(event.anchor)
        self._anchors[event.anchor] = (value, self._nodes - before + 1)
        return value

    def _content(self, event: Any) -> Any:
        if type(event) is ScalarEvent:
            try:
                return tagged_scalar(event.tag, event.value, plain=event.implicit[0])
            except ScalarError as error:
                raise _at(event, "MZ0001", str(error)) from None
        if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise _at(event, "MZ0001", f"the tag {event.tag} is not known", "remove the tag")
        self._nodes += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _at(event, "MZ0003", f"nested more than {MAX_DEPTH} levels deep")
        value = self._mapping() if type(event) is MappingStartEvent else self._sequence()
        self._depth -= 1
        return value

    def _sequence(self) -> list[Any]:
        items: list[Any] = []
        while type(event := self._next()) is not SequenceEndEvent:
            items.append(self._node(event))
        return items

    def _mapping(self) -> dict[str, Any]:
        members: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        while type(event := self._next()) is not MappingEndEvent:
            key = self._key(event)
            if key == "<<" and _is_plain(event):
                merged += self._merged(self._next())
            elif key in members:
                raise _at(event, "MZ0002", f'"{key}" is there twice in one mapping')
            else:
                members[key] = self._node(self._next())
        for other in merged:  # what is written wins over what is merged, the first merged wins over the next
            for key, value in other.items():
                members.setdefault(key, value)
        return members

    def _key(self, event: Any) -> str:
        kind = type(event)
        if kind is ScalarEvent and event.tag is None and event.anchor is None:
            if not event.implicit[0]:
                return event.value  # type: ignore[no-any-return]  # the parser is untyped
            try:
                return key_text(event.value)
            except ScalarError as error:
                raise _at(event, "MZ0001", str(error)) from None
        value = self._node(event)
        if isinstance(value, str):
            return value
        raise _at(event, "MZ0001", "a key must be a text, not a mapping, a list or an alias to one")

    def _merged(self, event: Any) -> list[dict[str, Any]]:
        value = self._node(event)
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            raise _at(
                event, "MZ0001", "<< merges mappings only", "give it an alias to a mapping, or a list of such"
            )
        return sources

    def _alias(self, event: Any) -> Any:
        name = event.anchor
        if name in self._open_anchors:
            raise _at(event, "MZ0001", f"*{name} stands inside what it names", "write the value out")
        if name not in self._anchors:
            raise _at(event, "MZ0001", f"*{name} names no anchor", f"mark a value above with &{name}")
        value, size = self._anchors[name]
        self._nodes += size
        if self._nodes > MAX_NODES:
            raise _at(event, "MZ0003", f"aliases make it grow beyond {MAX_NODES:,} values")
        return value


class _Composer(CParser):
    """Makes nodes with their marks; what their scalars mean does not matter here."""

    def resolve(self, _kind: object, _value: object, _implicit: object) -> str:
        return ""

    def descend_resolver(self, _parent: object, _index: object) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass


def _is_plain(event: Any) -> bool:
    return type(event) is ScalarEvent and bool(event.implicit[0])


def _child(node: Node, step: str | int) -> tuple[Node, Node] | None:
    """The node that stands for the step (a mapping's key or a list's item), and the node that it leads to."""
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    if not isinstance(node, MappingNode):
        return None
    merged: list[Node] = []
    for key, value in node.value:
        if isinstance(key, ScalarNode) and str(step) in (key.value, _key_text(key)):
            return key, value
        if isinstance(key, ScalarNode) and key.value == "<<":
            merged += value.value if isinstance(value, SequenceNode) else [value]
    return next(filter(None, (_child(source, step) for source in merged)), None)


def _key_text(key: ScalarNode) -> str:
    try:
        return key_text(key.value)
    except ScalarError:
        return ""


def _at(event: Any, code: str, message: str, hint: str = "") -> DocumentError:
    return DocumentError(code, message, event.start_mark.line, event.start_mark.column, hint)


def _unprintable(text: str, offset: int) -> DocumentError:
    line = text.count("\n", 0, offset)
    column = offset - (text.rfind("\n", 0, offset) + 1)
    return DocumentError(
        "MZ0004", f"the character U+{ord(text[offset]):04X} is not allowed in YAML", line, column
    )


# What libyaml says -> what people should do. The first that occurs in its words counts.
_HINTS = (
    ("'\\t'", "indent with spaces: YAML allows no tab there"),
    ("cannot start any token", "put the value in quotes: it starts with a character that YAML reserves"),
    ("mapping values are not allowed", "put the value in quotes if it holds ': ', or check the indentation"),
    (
        "could not find expected ':'",
        "write 'name: value', and check the indentation of this line and the one before",
    ),
    ("did not find expected key", "check the indentation: this line does not belong to the mapping above it"),
    ("did not find expected '-'", "check the indentation: this line does not belong to the list above it"),
    ("unexpected end of stream", "close the quote or bracket that was opened"),
    ("',' or", "close the bracket that was opened, or separate the values by commas"),
)


def _syntax_error(error: MarkedYAMLError) -> DocumentError:
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or error)
    hint = next((hint for words, hint in _HINTS if words in problem), "")
    context = f" ({error.context})" if error.context else ""
    message = f"not valid YAML: {problem}{context}"
    return DocumentError("MZ0001", message, mark.line if mark else 0, mark.column if mark else 0, hint)
