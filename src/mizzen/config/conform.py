"""Plain value -> typed value, strictly; where it does not conform, every reason with its path."""

import re
import types
from difflib import get_close_matches
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path
from mizzen.config.types.message import Duration, Message, SecretBytes, Struct
from mizzen.frozen import FrozenMap

M = TypeVar("M", bound=Message)


def conform(value: Any, wanted: type[M], path: Path) -> M | tuple[Finding, ...]:
    """The typed value, or all that keeps `value` from being one."""
    try:
        return msgspec.convert(value, wanted, dec_hook=from_plain)
    except msgspec.ValidationError:
        check = _Check()
        cleaned = check.value(value, wanted, path)
    if check.findings:
        return tuple(check.findings)
    try:
        return msgspec.convert(cleaned, wanted, dec_hook=from_plain)
    except msgspec.ValidationError as error:  # the two walks disagree: a defect, but no reason to fail
        return (Finding("MZ0021", path, str(error)),)


def from_plain(wanted: Any, value: Any) -> Any:
    """Read the types that msgspec does not know: its hook. A ValueError or TypeError is a mismatch."""
    if isinstance(wanted, type) and issubclass(wanted, Duration | SecretBytes):
        if type(value) is not str:
            raise TypeError
        return wanted.parse(value)
    if type(value) is not dict:
        raise TypeError
    if wanted is Struct:
        return Struct.of(value)
    item = get_args(wanted)[1]
    if item is str:
        if not all(type(member) is str for member in value.values()):
            raise TypeError
        return FrozenMap(value)
    return FrozenMap({key: msgspec.convert(each, item, dec_hook=from_plain) for key, each in value.items()})


@lru_cache(maxsize=1024)
def members_of(message: type[Message]) -> dict[str, tuple[Any, bool]]:
    """Member name in the API -> its type, whether it is required."""
    hints = get_type_hints(message, include_extras=True)
    return {
        field.encode_name: (hints[field.name], field.required) for field in msgspec.structs.fields(message)
    }


class _Check:
    """Walks a value along its type and notes every mismatch. Returns the value as msgspec would take it."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def value(self, value: Any, wanted: Any, path: Path) -> Any:
        origin = get_origin(wanted)
        if origin is Annotated:
            return self._bounded(value, wanted, path)
        if origin in (Union, types.UnionType):
            return self._optional(value, wanted, path)
        if origin is tuple:
            return self._list(value, get_args(wanted)[0], path)
        if origin is FrozenMap:
            return self._map(value, get_args(wanted)[1], path)
        return value if wanted is Any else self._of_class(value, wanted, path)

    def _of_class(self, value: Any, wanted: type, path: Path) -> Any:
        if issubclass(wanted, Message):
            return self._message(value, wanted, path)
        if issubclass(wanted, Enum):
            return self._enum(value, wanted, path)
        if wanted is Duration:
            return self._duration(value, path)
        if issubclass(wanted, SecretBytes):
            return self._secret(value, wanted, path)
        if wanted is Struct:
            return self._map(value, Any, path)
        if not _is_scalar(value, wanted):
            self._mismatch(value, _WANTED[wanted], path, wanted)
        return value

    def _optional(self, value: Any, wanted: Any, path: Path) -> Any:
        choices = [choice for choice in get_args(wanted) if choice is not type(None)]
        if value is None:
            return None
        if len(choices) == 1:
            return self.value(value, choices[0], path)
        if not any(_is_scalar(value, choice) for choice in choices):
            self._mismatch(value, " or ".join(_WANTED[choice] for choice in choices), path)
        return value

    def _message(self, value: Any, wanted: type[Message], path: Path) -> Any:
        if type(value) is not dict:
            self._mismatch(value, "a mapping", path, dict)
            return value
        members = members_of(wanted)
        taken = {}
        for name, member in value.items():
            here = (*path, name)
            if name not in members:
                if wanted.__struct_config__.forbid_unknown_fields:
                    self._unknown(name, tuple(members), here)
            elif member is not None:  # the API server, too, drops a null where the field may be absent
                taken[name] = self.value(member, members[name][0], here)
        self.findings.extend(
            Finding("MZ0024", path, f'the field "{name}" is missing', f'add "{name}"')
            for name, (_, required) in members.items()
            if required and name not in taken and value.get(name) is None
        )
        return taken

    def _unknown(self, name: str, known: tuple[str, ...], path: Path) -> None:
        near = _nearest(name, known) if len(self.findings) < _MOST_SUGGESTIONS else ""
        hint = f'write "{near}"' if near else f"remove it; known here: {', '.join(sorted(known))}"
        self.findings.append(Finding("MZ0020", path, f'the API has no field "{_short(name)}" here', hint))

    def _list(self, value: Any, item: Any, path: Path) -> Any:
        if type(value) is not list:
            self._mismatch(value, "a list", path, list)
            return value
        return [self.value(each, item, (*path, index)) for index, each in enumerate(value)]

    def _map(self, value: Any, item: Any, path: Path) -> Any:
        if type(value) is not dict:
            self._mismatch(value, "a mapping", path, dict)
            return value
        return {key: self.value(each, item, (*path, key)) for key, each in value.items()}

    def _enum(self, value: Any, wanted: type[Enum], path: Path) -> Any:
        known = tuple(member.value for member in wanted)
        if value not in known:
            near = _nearest(value, known) if isinstance(value, str) else ""
            hint = f"write {near}" if near else f"use one of {', '.join(known)}"
            message = f"{_found(value)} is none of {', '.join(known)}"
            self.findings.append(Finding("MZ0022", path, message, hint, at_value=True))
        return value

    def _duration(self, value: Any, path: Path) -> Any:
        if type(value) is not str:
            hint = f'name the unit: "{value}s"' if type(value) in (int, float) else ""
            self.findings.append(
                Finding("MZ0023", path, f"expected a duration, found {_found(value)}", hint, at_value=True)
            )
            return value
        try:
            Duration.parse(value)
        except ValueError as error:
            self.findings.append(Finding("MZ0023", path, str(error), _duration_hint(value), at_value=True))
        return value

    def _secret(self, value: Any, wanted: type[SecretBytes], path: Path) -> Any:
        problem = "" if type(value) is str else "expected a text"
        try:
            wanted.parse(value if type(value) is str else "")
        except ValueError as error:
            problem = str(error)
        if problem:  # what was found is not said: it may be a secret all the same
            self.findings.append(Finding("MZ0021", path, problem, at_value=True))
        return value

    def _bounded(self, value: Any, wanted: Any, path: Path) -> Any:
        """A value of the inner type that keeps the bounds which msgspec checks."""
        base, *constraints = get_args(wanted)
        before = len(self.findings)
        taken = self.value(value, base, path)
        if len(self.findings) > before:
            return taken
        for bounds in constraints:
            message = _out_of_bounds(value, bounds) if isinstance(bounds, Meta) else ""
            if message:
                code = "MZ0026" if isinstance(value, str | list) else "MZ0025"
                self.findings.append(Finding(code, path, message, at_value=True))
        return taken

    def _mismatch(self, value: Any, expected: str, path: Path, wanted: Any = None) -> None:
        message = f"expected {expected}, found {_found(value)}"
        self.findings.append(Finding("MZ0021", path, message, _mismatch_hint(value, wanted), at_value=True))


def _out_of_bounds(value: Any, bounds: Meta) -> str:
    """How a value fails to keep the bounds, or ""."""
    least, most = bounds.ge, bounds.le
    if isinstance(value, int | float):
        if (least is None or least <= value) and (most is None or value <= most):
            return ""
        return (
            f"{value} is not between {least} and {most}"
            if most is not None
            else f"{value} is less than {least}"
        )
    unit = "characters" if isinstance(value, str) else "items"
    if bounds.min_length is not None and len(value) < bounds.min_length:
        return "this must not be empty"
    if bounds.max_length is not None and len(value) > bounds.max_length:
        return f"{len(value)} {unit} are more than the {bounds.max_length} that the API allows"
    if bounds.pattern is not None and not re.search(bounds.pattern, value):
        return f'"{_short(value)}" does not match {bounds.pattern}'
    return ""


_MOST_SUGGESTIONS = 100  # of one object: each compares the name with all that are known
_LONGEST_QUOTED = 60  # characters of a user's text in a message

_WANTED = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def _is_scalar(value: Any, wanted: Any) -> bool:
    return type(value) is wanted or (wanted is float and type(value) is int)


def _found(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f'the text "{_short(value)}"'
    return "a list" if isinstance(value, list) else "a mapping"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTED else text[: _LONGEST_QUOTED - 3] + "..."


def _mismatch_hint(value: Any, wanted: Any) -> str:
    if value is None:
        return "give the field a value or remove it; check the indentation of what follows"
    if wanted is str and isinstance(value, bool):
        return "put the value in quotes: YAML reads yes, no, on, off, y and n as booleans"
    if wanted is str and isinstance(value, int | float):
        return f'put it in quotes: "{value}"'
    if wanted in (int, float) and isinstance(value, str) and re.fullmatch(r"[-+]?[0-9.]+", value):
        return f"remove the quotes: {value}"
    if wanted is bool and isinstance(value, str):
        return "write true or false, without quotes"
    if wanted is list:
        return 'write a list: start each item with "- "'
    if wanted is dict and isinstance(value, list):
        return 'write one mapping: remove the "- "'
    return ""


def _duration_hint(text: str) -> str:
    return f'name the unit: "{text}s"' if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else ""


def _nearest(name: str, known: tuple[str, ...]) -> str:
    """The known word that was probably meant, or ""."""
    if len(name) > _LONGEST_QUOTED:  # comparing takes quadratic time
        return ""
    by_lower = {word.lower().replace("_", ""): word for word in known}
    found = get_close_matches(name.lower().replace("_", ""), by_lower, n=1, cutoff=0.7)
    return by_lower[found[0]] if found else ""
