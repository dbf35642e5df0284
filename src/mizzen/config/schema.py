"""A type as a structural OpenAPI v3 schema: what an API server lets pass.

Source of the form: Kubernetes, "Specifying a structural schema". A schema has no references, every value in it has a type, and
logic (oneOf, not) says nothing of types. What the types say in `Annotated`, ONE_OF and CEL becomes the schema's own words.
"""

import types
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from mizzen.config.types.constraints import Format, ListKey, Size
from mizzen.config.types.message import Cel, Duration, Message, OneOf, Struct
from mizzen.frozen import FrozenMap

Schema = dict[str, Any]

_INT32 = (-(2**31), 2**31 - 1)


def schema(wanted: Any) -> Schema:
    """The schema of a type of config/types. It shares no part with another, so that YAML needs no anchors."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return _constrained(schema(arguments[0]), arguments[1:])
    if origin in (Union, types.UnionType):
        return _choice([each for each in arguments if each is not types.NoneType])
    if origin is tuple:
        return {"type": "array", "items": schema(arguments[0])}
    if origin is FrozenMap:
        return {"type": "object", "additionalProperties": schema(arguments[1])}
    if issubclass(wanted, Message):
        return _message(wanted)
    if issubclass(wanted, Enum):
        return {"type": "string", "enum": [member.value for member in wanted]}
    return dict(_SCALARS[wanted])


_SCALARS: dict[type, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number", "format": "double"},
    Duration: {"type": "string"},
    Struct: {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}


def _choice(choices: list[Any]) -> Schema:
    if len(choices) == 1:
        return schema(choices[0])
    assert set(choices) == {int, str}, "a structural schema allows no other choice"
    return {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}


def _message(message: type[Message]) -> Schema:
    hints = get_type_hints(message, include_extras=True)
    fields = msgspec.structs.fields(message)
    grouped = {name for group in message.ONE_OF for name in group}
    found: Schema = {"type": "object"}
    if fields:
        found["properties"] = {
            field.encode_name: _property(hints[field.name], in_group=field.encode_name in grouped)
            for field in sorted(fields, key=lambda field: field.encode_name)
        }
    if required := [field.encode_name for field in fields if field.required]:
        found["required"] = required
    found.update(_one_of(message.ONE_OF))
    return _with_rules(found, message.CEL)


def _property(hint: Any, *, in_group: bool) -> Schema:
    """A field's schema. A number or a truth value that may be absent is a wrapper in the API, and null means absent."""
    found = schema(hint)
    is_optional = types.NoneType in get_args(hint)
    if is_optional and not in_group and found.get("type") in ("integer", "number", "boolean"):
        found["nullable"] = True
    return found


def _one_of(groups: OneOf) -> Schema:
    """At most one field of each group: none of them, or exactly one."""
    logic = [
        {
            "oneOf": [
                {"not": {"anyOf": [{"required": [field]} for field in group]}},
                *({"required": [field]} for field in group),
            ]
        }
        for group in groups
    ]
    if len(logic) > 1:
        return {"allOf": logic}
    return logic[0] if logic else {}


def _constrained(found: Schema, constraints: tuple[Any, ...]) -> Schema:
    for constraint in constraints:
        if isinstance(constraint, Meta):
            found.update(_bounds(constraint, found["type"]))
        elif isinstance(constraint, Size):
            of = "Properties" if found["type"] == "object" else "Items"
            found.update(_given(**{f"min{of}": constraint.least, f"max{of}": constraint.most}))
        elif isinstance(constraint, ListKey):
            found["x-kubernetes-list-type"] = "map"
            found["x-kubernetes-list-map-keys"] = [constraint.name]
        elif isinstance(constraint, Format):
            found["format"] = constraint.name
    return _with_rules(found, tuple(each for each in constraints if isinstance(each, Cel)))


def _bounds(meta: Meta, type_name: str) -> Schema:
    if type_name == "array":
        return _given(minItems=meta.min_length, maxItems=meta.max_length)
    if type_name == "string":
        return _given(minLength=meta.min_length, maxLength=meta.max_length, pattern=meta.pattern)
    least, most = meta.ge, meta.le
    if type_name == "integer" and most == _INT32[1]:
        return {"format": "int32", **_given(minimum=None if least == _INT32[0] else least)}
    return _given(minimum=least, maximum=most)


def _given(**words: Any) -> Schema:
    return {word: value for word, value in words.items() if value is not None}


def _with_rules(found: Schema, rules: tuple[Cel, ...]) -> Schema:
    if rules:
        known = found.setdefault("x-kubernetes-validations", [])
        known.extend({"rule": each.rule, "message": each.message} for each in rules)
    return found
