"""The two messages that discovery sends, put together from bytes.

A response to a thousand proxies differs in its nonce only, so nothing in it is serialised twice: each resource
brings its bytes, and here they are joined. Fields may come in any order, which lets the long one (the resource's
body) come last and be shared, not copied. The field numbers are those of envoy/service/discovery/v3.
"""

from collections.abc import Iterable
from typing import Protocol

_LENGTH_DELIMITED = 2
# Resource
_VERSION, _RESOURCE, _NAME = 1, 2, 3
# google.protobuf.Any
_TYPE_URL, _VALUE = 1, 2
# DeltaDiscoveryResponse
_SYSTEM_VERSION, _RESOURCES, _RESPONSE_TYPE_URL, _NONCE, _REMOVED = 1, 2, 4, 5, 6


class Encoded(Protocol):
    """A resource on the wire: `head` and then `body`."""

    @property
    def head(self) -> bytes: ...
    @property
    def body(self) -> bytes: ...


def resource_head(type_url: str, name: str, version: str, body_bytes: int) -> bytes:
    """The field `resources` of a response up to where the resource's own bytes begin."""
    any_head = string_field(_TYPE_URL, type_url) + _prefix(_VALUE, body_bytes)
    head = (
        string_field(_NAME, name)
        + string_field(_VERSION, version)
        + _prefix(_RESOURCE, len(any_head) + body_bytes)
        + any_head
    )
    return _prefix(_RESOURCES, len(head) + body_bytes) + head


def delta_response(
    type_url: str, resources: Iterable[Encoded], removed: Iterable[str], nonce: str, system_version: str
) -> bytes:
    """A DeltaDiscoveryResponse."""
    parts = [
        string_field(_SYSTEM_VERSION, system_version),
        string_field(_RESPONSE_TYPE_URL, type_url),
        string_field(_NONCE, nonce),
    ]
    for resource in resources:
        parts += resource.head, resource.body
    parts += (string_field(_REMOVED, name) for name in removed)
    return b"".join(parts)


def string_field(number: int, value: str) -> bytes:
    return bytes_field(number, value.encode())


def bytes_field(number: int, data: bytes) -> bytes:
    """A field of bytes, or of a message that is encoded already."""
    return _prefix(number, len(data)) + data


def _prefix(number: int, size_bytes: int) -> bytes:
    return bytes((number << 3 | _LENGTH_DELIMITED,)) + _varint(size_bytes)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
