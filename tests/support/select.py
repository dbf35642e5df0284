"""Paths into Envoy's configuration: `listeners["x"].filter_chains[*]{name, filter_chain_match}`.

.field           a member
["name"]         a member by any name; of a sequence the first item of that name
[0]              an item
[*]              every item (or member): the rest of the path applies to each
{a, b.c}         only these, those that are there; must be last
"""

import re
from collections.abc import Mapping
from typing import Any

_STEP = re.compile(
    r'\.?(?P<field>\w+)|\["(?P<name>[^"]+)"\]|\[(?P<index>\d+)\]|(?P<all>\[\*\])|\{(?P<only>[^}]+)\}'
)


class SelectError(Exception):
    """Nothing is there. The message names what is."""


def select(value: Any, path: str) -> Any:
    """What stands at a path. Raises SelectError: a path that leads nowhere must not pass for an empty answer."""
    if not path:
        return value
    step = _STEP.match(path)
    if step is None:
        raise SelectError(f"{path!r} is no path")
    rest = path[step.end() :]
    if step["all"]:
        return [select(item, rest) for item in (value.values() if isinstance(value, dict) else value)]
    if step["only"]:
        if rest:
            raise SelectError(f"nothing can follow {{{step['only']}}}")
        return _only(value, [part.strip() for part in step["only"].split(",")])
    return select(_member(value, step), rest)


def _member(value: Any, step: re.Match[str]) -> Any:
    name = step["field"] or step["name"]
    if step["index"] is not None:
        if not isinstance(value, list) or int(step["index"]) >= len(value):
            raise SelectError(f"there is no item {step['index']}")
        return value[int(step["index"])]
    if isinstance(value, list):
        named = {item["name"]: item for item in reversed(value) if isinstance(item, dict) and "name" in item}
        value = named
    if not isinstance(value, Mapping) or name not in value:
        there = ", ".join(value) if isinstance(value, Mapping) else repr(value)
        raise SelectError(f'there is no "{name}" but: {there}')
    return value[name]


def _only(value: Any, parts: list[str]) -> dict[str, Any]:
    found = {}
    for part in parts:
        try:
            found[part] = select(value, part)
        except SelectError:
            continue
    if not found:
        raise SelectError(f"none of {', '.join(parts)} is there")
    return found
