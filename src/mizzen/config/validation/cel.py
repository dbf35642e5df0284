"""The syntax of the Common Expression Language: what Envoy cannot parse must not reach a proxy.

An expression is walked from left to right: where a value is due an operator is wrong, and the other way round; brackets
are kept on a stack. Whether names and types make sense is known to Envoy alone.
"""

import re
from itertools import pairwise
from typing import Final

from mizzen.config.resource import Path
from mizzen.config.validation.rules import Findings, invalid

MAX_CHARACTERS: Final = 4096
MAX_DEPTH: Final = 100

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<value>[bBrR]{0,2}(?:'{3}(?:[^\\]|\\.)*?'{3}|"{3}(?:[^\\]|\\.)*?"{3}|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
        |0[xX][0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*|`[A-Za-z0-9_./ -]+`)
    |(?P<binary>&&|\|\||==|!=|<=|>=|[<>+*/%])
    |(?P<mark>[-!.,:?()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_OPEN: Final = {"(": ")", "[": "]", "{": "}"}


def expression(text: str, path: Path) -> Findings:
    if len(text) > MAX_CHARACTERS:
        yield invalid(path, f"the expression is longer than {MAX_CHARACTERS} characters", "split it")
    elif problem := problem_of(text):
        hint = "write it in CEL, such as: response.code >= 400"
        yield invalid(path, f'"{text}" is no CEL expression: {problem}', hint)


def problem_of(text: str) -> str:
    """Why the text is no expression, "" where it is one."""
    return _Reader().read(text)


def problem_for_envoy(text: str) -> str:
    """Why Envoy would refuse what it is in, a whole listener, "" where it would not.

    Envoy knows the functions of the language but `string`, and no macros but `has`. (Found by asking Envoy 1.40.)
    """
    if problem := problem_of(text):
        return problem
    tokens = [token for token in _TOKEN.finditer(text) if token.lastgroup != "space"]
    for token, following in pairwise(tokens):
        name = token.group()
        if token.lastgroup == "name" and following.group() == "(" and name not in _FUNCTIONS:
            return f"Envoy has no function {name}"
    return "Envoy takes )% for the end of the expression" if ")%" in text else ""


def as_text(expression: str) -> str:
    """An expression whose value is wanted as text: Envoy has no `string`, and makes text of each value by itself."""
    inside = expression.strip().removeprefix("string(")
    if inside != expression.strip() and inside.endswith(")") and not problem_of(inside[:-1]):
        return inside[:-1].strip()
    return expression


_FUNCTIONS: Final = frozenset(
    [
        "bool",
        "bytes",
        "contains",
        "double",
        "duration",
        "dyn",
        "endsWith",
        "extract",
        "capture",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getFullYear",
        "getHours",
        "getMilliseconds",
        "getMinutes",
        "getMonth",
        "getSeconds",
        "has",
        "int",
        "matches",
        "size",
        "startsWith",
        "timestamp",
        "type",
        "uint",
        "in",
    ]  # "in (...)": an operator before a group
)


class _Reader:
    """Where in an expression one is: what is open, and whether a value is due."""

    def __init__(self) -> None:
        self._open: list[str] = []  # what closes each bracket; ":" for the first half of a ? :
        self._value_is_due = True
        self._may_be_empty = False  # right after an opening bracket or a comma in a list
        self._after_dot = False

    def read(self, text: str) -> str:
        """What is wrong, "" where nothing is."""
        position = 0
        while position < len(text):
            token = _TOKEN.match(text, position)
            if token is None:
                return f"{text[position]!r} means nothing here"
            position = token.end()
            if token.lastgroup != "space" and not self._take(token.lastgroup or "", token.group()):
                return f"{token.group()!r} cannot stand there"
        if self._open:
            return f"{self._open[-1]!r} is missing"
        return "it ends where a value is due" if self._value_is_due else ""

    def _take(self, kind: str, word: str) -> bool:
        if self._after_dot:
            self._after_dot = False
            return kind == "name"
        if kind == "binary" or (kind == "name" and word == "in" and not self._value_is_due):
            return self._operator()
        if kind in ("value", "name"):
            return self._value()
        return self._mark(word)

    def _value(self) -> bool:
        was_due, self._value_is_due, self._may_be_empty = self._value_is_due, False, False
        return was_due

    def _operator(self) -> bool:
        was_due, self._value_is_due, self._may_be_empty = self._value_is_due, True, False
        return not was_due

    def _mark(self, word: str) -> bool:
        if word in _OPEN:
            return self._bracket(word)
        if word in ")]}":
            is_complete = not self._value_is_due or self._may_be_empty
            self._value_is_due = self._may_be_empty = False
            return is_complete and bool(self._open) and self._open.pop() == word
        if word in "-!" and self._value_is_due:  # unary
            self._may_be_empty = False
            return True
        if word == ".":  # at the start it makes a name absolute
            self._after_dot, self._value_is_due, self._may_be_empty = True, False, False
            return True
        return self._separator(word)

    def _bracket(self, word: str) -> bool:
        """Of a call, an index, a message; where a value is due: of a group, a list, a map."""
        self._open.append(_OPEN[word])
        self._may_be_empty = word != "(" or not self._value_is_due
        if word == "[" and not self._value_is_due:
            self._may_be_empty = False
        self._value_is_due = True
        return len(self._open) <= MAX_DEPTH

    def _separator(self, word: str) -> bool:
        """Of the halves of a condition, of list items, of a map's keys and values; or a minus."""
        inside = self._open[-1] if self._open else ""
        if word == "?":
            self._open.append(":")
        elif word == ":" and inside == ":":
            self._open.pop()
        elif not (
            word == "-" or (word == "," and inside in (")", "]", "}")) or (word == ":" and inside == "}")
        ):
            return False
        is_right = self._operator()
        self._may_be_empty = word == "," and inside in ("]", "}")
        return is_right
