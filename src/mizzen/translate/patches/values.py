"""The values of patches: read, merged, put into lists. Source: Istio's EnvoyFilter operations."""

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError, Message

from mizzen.config.types.envoy_filter import EnvoyConfigObjectPatch, Operation
from mizzen.proto import api
from mizzen.proto.descriptors import pool
from mizzen.translate.built import pack

_MERGES = frozenset({Operation.MERGE, Operation.MERGE_AND_REPLACE_LIST})
_NEEDS_NO_VALUE = frozenset({Operation.REMOVE})
# Merged as one value, not field by field: 5 s merged into 10.5 s is 5 s.
_SCALARS = frozenset({"google.protobuf.Duration", "google.protobuf.Timestamp"})


class UnusableError(Exception):
    """A patch whose value is not what Envoy's API has there; the message says what."""


def operation(patch: EnvoyConfigObjectPatch) -> Operation:
    return patch.patch.operation if patch.patch else Operation.INVALID


def value(patch: EnvoyConfigObjectPatch, like: type[Message]) -> Message:
    """The patch's value as a message. Raises UnusableError."""
    made = like()
    if operation(patch) in _NEEDS_NO_VALUE or patch.patch is None:
        return made
    try:
        ParseDict(_plain(patch.patch.value), made, descriptor_pool=pool())
    except (ParseError, TypeError, ValueError) as error:
        raise UnusableError(str(error)) from error
    return made


def _plain(found: Any) -> Any:
    if isinstance(found, Mapping):
        return {name: _plain(member) for name, member in found.items()}
    return [_plain(item) for item in found] if isinstance(found, tuple) else found


def merge(target: Message, patch: Message, *, replace_lists: bool) -> None:
    """As protobuf merges, but for what Istio does differently: an Any of the same type is merged inside, a Duration is
    replaced, and lists are, where asked.
    """
    for field, content in patch.ListFields():
        if field.message_type is None or _is_map(field):
            if _is_list(field) and replace_lists:
                target.ClearField(field.name)
            _merge_field(target, patch, field)
        elif _is_list(field):
            if replace_lists:
                target.ClearField(field.name)
            getattr(target, field.name).extend(content)
        elif field.message_type.full_name == "google.protobuf.Any":
            _merge_any(getattr(target, field.name), content, replace_lists=replace_lists)
        elif field.message_type.full_name in _SCALARS:
            getattr(target, field.name).CopyFrom(content)
        else:
            getattr(target, field.name).SetInParent()
            merge(getattr(target, field.name), content, replace_lists=replace_lists)


def merge_whole(target: Message, patch: EnvoyConfigObjectPatch) -> bool:
    """Merge a patch into the one message that it means; other operations change nothing. Raises UnusableError."""
    if operation(patch) not in _MERGES:
        return False
    replace_lists = operation(patch) is Operation.MERGE_AND_REPLACE_LIST
    merge(target, value(patch, type(target)), replace_lists=replace_lists)
    return True


def _merge_field(target: Message, patch: Message, field: FieldDescriptor) -> None:
    alone = type(patch)()
    if field.message_type is not None:  # a map
        own, theirs = getattr(alone, field.name), getattr(patch, field.name)
        for key in theirs:
            if field.message_type.fields_by_name["value"].message_type is None:
                own[key] = theirs[key]
            else:
                own[key].CopyFrom(theirs[key])
    elif _is_list(field):
        getattr(alone, field.name).extend(getattr(patch, field.name))
    else:
        setattr(alone, field.name, getattr(patch, field.name))
    target.MergeFrom(alone)


def _is_list(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _merge_any(target: Any, patch: Any, *, replace_lists: bool) -> None:
    if target.type_url != patch.type_url:
        target.CopyFrom(patch)
        return
    inside, added = unpack(target), unpack(patch)
    if inside is None or added is None:
        target.CopyFrom(patch)
        return
    merge(inside, added, replace_lists=replace_lists)
    target.CopyFrom(pack(inside))


def unpack(packed: "api.AnyMessage") -> Message | None:
    """What an Any holds; None where its type is not Envoy's or its bytes are not of it."""
    try:
        made = api.message_class(packed.type_url.rpartition("/")[2])()
        made.ParseFromString(packed.value)
    except (KeyError, DecodeError):
        return None
    return made


def edit(
    items: Any,
    like: type[Message],
    patch: EnvoyConfigObjectPatch,
    matches: Callable[[Any], bool],
    *,
    anywhere: bool = True,
    add_before: Callable[[Any], bool] = lambda _item: False,
) -> bool:
    """Do to a list of messages what a patch says; whether anything changed. Raises UnusableError.

    `matches` picks the items that are meant. `anywhere`: the patch names none, so that INSERT_BEFORE means the front
    and INSERT_AFTER the end. What is added comes before the first item of which `add_before` holds.
    """
    kind = operation(patch)
    listed = list(items)
    meant = [index for index, item in enumerate(listed) if matches(item)]
    if kind in _MERGES:
        added = value(patch, like)
        for index in meant:
            merge(listed[index], added, replace_lists=kind is Operation.MERGE_AND_REPLACE_LIST)
        return bool(meant)
    place = {
        Operation.ADD: next((index for index, item in enumerate(listed) if add_before(item)), len(listed)),
        Operation.INSERT_FIRST: 0,
        Operation.INSERT_BEFORE: 0 if anywhere else next(iter(meant), None),
        Operation.INSERT_AFTER: len(listed) if anywhere else next((index + 1 for index in meant), None),
    }
    if kind in place:
        at = place[kind]
        changed = None if at is None else [*listed[:at], value(patch, like), *listed[at:]]
    elif kind is Operation.REMOVE:
        changed = [item for index, item in enumerate(listed) if index not in meant]
    elif kind is Operation.REPLACE:
        added = value(patch, like)
        changed = [added if index in meant else item for index, item in enumerate(listed)]
    else:
        return False
    if changed is None or (kind in _ON_MATCHED and not meant):
        return False
    copies = [_copy(item) for item in changed]
    del items[:]
    items.extend(copies)
    return True


_ON_MATCHED = frozenset({Operation.REMOVE, Operation.REPLACE})


def _copy(item: Message) -> Message:
    made = type(item)()
    made.CopyFrom(item)
    return made
