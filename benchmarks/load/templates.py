"""Renders the Go text/templates of the corpus xds-bench: loops over numbers, and arithmetic on them. Nothing else is there.

Source: the language is Go's text/template, `until`, `div` and `mod` are sprig's. "{{-" takes the white space before it away.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_ACTION: Final = re.compile(r"(?:\s*\{\{-|\{\{)\s*(.*?)\s*(?:-\}\}\s*|\}\})", re.DOTALL)
_RANGE: Final = re.compile(r"range (\$\w+) := until (\S+)")

FUNCTIONS: Final[Mapping[str, Callable[[int, int], int]]] = {"div": operator.floordiv, "mod": operator.mod}

Scope = Mapping[str, int]


class TemplateError(ValueError):
    """The template uses something that the corpus does not."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str

    def parts(self, _scope: Scope) -> Iterator[str]:
        yield self.text


@dataclass(frozen=True, slots=True)
class Value:
    """A name, or a function of two names or numbers."""

    words: tuple[str, ...]

    def parts(self, scope: Scope) -> Iterator[str]:
        match self.words:
            case (name,):
                yield str(_number(name, scope))
            case (name, one, other) if name in FUNCTIONS:
                yield str(FUNCTIONS[name](_number(one, scope), _number(other, scope)))
            case _:
                raise TemplateError(f"no such expression: {' '.join(self.words)}")


@dataclass(frozen=True, slots=True)
class Loop:
    """Over the numbers from 0 up to, without, `until`."""

    variable: str
    until: str
    body: "tuple[Node, ...]"

    def parts(self, scope: Scope) -> Iterator[str]:
        for number in range(_number(self.until, scope)):
            inner = {**scope, self.variable: number}
            for node in self.body:
                yield from node.parts(inner)


Node = Text | Value | Loop


def render(text: str, services: int, instances: int) -> str:
    """A template for so many services and instances. Raises TemplateError."""
    given = {"Services": services, "Instances": instances}
    scope = {prefix + name: value for name, value in given.items() for prefix in (".", "$.")}
    pieces = iter(_ACTION.split(text))
    return "".join(part for node in _nodes(pieces, is_inner=False) for part in node.parts(scope))


def _nodes(pieces: Iterator[str], *, is_inner: bool) -> Iterator[Node]:
    """Texts and actions take turns; `is_inner` of a loop, up to its end."""
    for text in pieces:
        yield Text(text)
        action = next(pieces, None)
        if action == "end" and is_inner:
            return
        if action is not None:
            yield _node(action, pieces)
    if is_inner:
        raise TemplateError("a range has no end")


def _node(action: str, pieces: Iterator[str]) -> Node:
    if loop := _RANGE.fullmatch(action):
        return Loop(loop[1], loop[2], tuple(_nodes(pieces, is_inner=True)))
    return Value(tuple(action.split()))


def _number(word: str, scope: Scope) -> int:
    if word.isdecimal():
        return int(word)
    if word not in scope:
        raise TemplateError(f"no such name: {word}")
    return scope[word]
