"""OpenAPI v3 schemas as Kubernetes wants them: what is wrong with one, and whether a value keeps to it.

Sources: Kubernetes, "Specifying a structural schema"; the JSON Schema words that CustomResourceDefinitions may use. CEL rules are
not evaluated.
"""

import re

LOGIC = ("allOf", "anyOf", "oneOf")
FORBIDDEN = {
    "$ref", "definitions", "dependencies", "deprecated", "discriminator", "id", "patternProperties", "readOnly",
    "writeOnly", "xml", "uniqueItems",
}  # fmt: skip
# Words that say what a value is; inside of logic they would hide it.
STRUCTURAL = {
    "type", "default", "nullable", "description", "title", "additionalProperties", "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
}  # fmt: skip
INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def not_structural(schema, path="", *, is_logic=False):
    """Every breach of the rules, with its place in the schema."""
    yield from (f"{path}: {word} is forbidden" for word in FORBIDDEN & schema.keys())
    if is_logic:
        yield from (f"{path}: {word} inside of logic" for word in STRUCTURAL & schema.keys())
    elif "type" not in schema and "x-kubernetes-int-or-string" not in schema:
        yield f"{path}: no type"
    if "properties" in schema and "additionalProperties" in schema:
        yield f"{path}: properties and additionalProperties exclude each other"
    yield from _list_is_sound(schema, path)
    for word in LOGIC:
        if word == "anyOf" and "x-kubernetes-int-or-string" in schema and schema[word] == INT_OR_STRING:
            continue  # the one place where types may stand in logic
        for index, part in enumerate(schema.get(word, ())):
            yield from not_structural(part, f"{path}.{word}[{index}]", is_logic=True)
    if "not" in schema:
        yield from not_structural(schema["not"], f"{path}.not", is_logic=True)
    for name, member in schema.get("properties", {}).items():
        yield from not_structural(member, f"{path}.{name}", is_logic=is_logic)
    for word in ("items", "additionalProperties"):
        if word in schema:
            yield from not_structural(schema[word], f"{path}.{word}", is_logic=is_logic)


def _list_is_sound(schema, path):
    if schema.get("type") == "array" and "items" not in schema:
        yield f"{path}: a list without items"
    if schema.get("x-kubernetes-list-type") == "map":
        item = schema["items"]
        for key in schema.get("x-kubernetes-list-map-keys") or ["(none)"]:
            if key not in item.get("properties", {}):
                yield f"{path}: {key} is no member of its items"
            elif key not in item.get("required", ()):
                yield f"{path}: the key {key} is not required"
    if (
        missing := set(schema.get("required", ()))
        - schema.get("properties", schema.get("required", {})).keys()
        if "properties" in schema
        else set()
    ):
        yield f"{path}: {missing} are required and not there"


TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


def violations(value, schema, path=""):
    """Why a value does not keep to the schema; unknown members are named, an API server would drop them."""
    if value is None and schema.get("nullable"):
        return
    if "type" in schema and (
        not isinstance(value, TYPES[schema["type"]])
        or (isinstance(value, bool) and schema["type"] != "boolean")
    ):
        yield f"{path}: {value!r} is no {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    yield from (f"{path}: {message}" for message in _out_of_bounds(value, schema))
    yield from _logic(value, schema, path)
    if isinstance(value, dict):
        yield from _members(value, schema, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from violations(item, schema.get("items", {}), f"{path}[{index}]")


def _members(value, schema, path):
    yield from (f"{path}: {name} is missing" for name in schema.get("required", ()) if name not in value)
    for name, member in value.items():
        known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
        if known is not None:
            yield from violations(member, known, f"{path}.{name}")
        elif "type" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{path}: {name} is not known"


def _out_of_bounds(value, schema):
    size = len(value) if isinstance(value, str | list | dict) else value
    for least, most in (
        ("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems"), ("minProperties", "maxProperties"),
    ):  # fmt: skip
        if size < schema.get(least, size) or size > schema.get(most, size):
            yield f"{size} breaks {least} or {most}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{value!r} does not match {schema['pattern']}"


def _logic(value, schema, path):
    def holding(word):
        return [not list(violations(value, part, path)) for part in schema[word]]

    if "not" in schema and not list(violations(value, schema["not"], path)):
        yield f"{path}: not {schema['not']}"
    for word, is_kept in (("allOf", all), ("anyOf", any), ("oneOf", lambda found: sum(found) == 1)):
        if word in schema and not is_kept(holding(word)):
            yield f"{path}: {word} {schema[word]}"
