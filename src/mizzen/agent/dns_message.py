"""The little of DNS messages that answering address questions takes. Source: RFC 1035, 4; RFC 6891 (EDNS)."""

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

A, AAAA, _OPT = 1, 28, 41
_IN: Final = 1
_HEADER: Final = struct.Struct(">HHHHHH")
_RESPONSE, _AUTHORITATIVE, _TRUNCATED = 0x8000, 0x0400, 0x0200
_RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x0100, 0x0080
_OPCODE_MASK: Final = 0x7800
_POINTER_TO_QUESTION: Final = b"\xc0\x0c"
_TTL_SECONDS: Final = 5
_PLAIN_UDP_BYTES: Final = 512
_LARGEST_UDP_BYTES: Final = 1232  # fits every path without fragments
_OUR_OPT: Final = b"\0" + struct.pack(">HHIH", _OPT, _LARGEST_UDP_BYTES, 0, 0)


class ResponseCode(IntEnum):
    NO_ERROR = 0
    FORMAT_ERROR = 1
    SERVER_FAILURE = 2
    NAME_ERROR = 3  # NXDOMAIN
    NOT_IMPLEMENTED = 4
    REFUSED = 5


class MessageError(ValueError):
    """The bytes are no question that could be answered."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `name` is in lower case, without the dot at the end; `raw` is the question section as it came,
    whose letters' case the answer repeats. `udp_bytes`: what the asker takes over UDP.
    """

    message_id: int
    flags: int
    name: str
    kind: int
    raw: bytes
    udp_bytes: int
    edns: bool

    @property
    def is_query(self) -> bool:
        return self.flags & _OPCODE_MASK == 0


def parse_question(message: bytes) -> Question:
    """Raises MessageError where it is not a query with exactly one question of class IN."""
    try:
        message_id, flags, questions, answers, authorities, additional = _HEADER.unpack_from(message)
        if flags & _RESPONSE or questions != 1:
            raise MessageError("not a query with one question")
        name, position = _name(message, _HEADER.size)
        kind, klass = struct.unpack_from(">HH", message, position)
        if klass != _IN:
            raise MessageError("not of class IN")
        end = position + 4
        payload = 0
        if not answers and not authorities and additional:
            payload = _edns_payload(message, end)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise MessageError("cut off or damaged") from None
    size = min(max(payload, _PLAIN_UDP_BYTES), _LARGEST_UDP_BYTES)
    return Question(message_id, flags, name, kind, message[_HEADER.size : end], size, bool(payload))


def build_response(question: Question, code: ResponseCode, addresses: Sequence[str] = ()) -> bytes:
    """The answer: the addresses of the kind that was asked for; none of them means "no data"."""
    records = [_record(question.kind, address) for address in addresses if _kind_of(address) == question.kind]
    flags = _RESPONSE | _AUTHORITATIVE | _RECURSION_AVAILABLE | (question.flags & _RECURSION_DESIRED) | code
    header = _HEADER.pack(question.message_id, flags, 1, len(records), 0, int(question.edns))
    return header + question.raw + b"".join(records) + (_OUR_OPT if question.edns else b"")


def fit_udp(question: Question, response: bytes) -> bytes:
    """The response, or where it is too large for UDP an empty one that tells the asker to come back over TCP."""
    if len(response) <= question.udp_bytes:
        return response
    message_id, flags, *_ = _HEADER.unpack_from(response)
    header = _HEADER.pack(message_id, flags | _TRUNCATED, 1, 0, 0, int(question.edns))
    return header + question.raw + (_OUR_OPT if question.edns else b"")


def _name(message: bytes, position: int) -> tuple[str, int]:
    labels: list[str] = []
    while length := message[position]:
        if length > 63:
            raise MessageError("a compressed name in a question")
        labels.append(message[position + 1 : position + 1 + length].decode("ascii"))
        position += 1 + length
    return ".".join(labels).lower(), position + 1


def _edns_payload(message: bytes, position: int) -> int:
    """The UDP size in an OPT record right behind the question, which is where resolvers put it; 0 without one."""
    name_length, kind, payload = struct.unpack_from(">BHH", message, position)
    return int(payload) if name_length == 0 and kind == _OPT else 0


def _kind_of(address: str) -> int:
    return AAAA if ":" in address else A


def _record(kind: int, address: str) -> bytes:
    packed = ipaddress.ip_address(address).packed
    return _POINTER_TO_QUESTION + struct.pack(">HHIH", kind, _IN, _TTL_SECONDS, len(packed)) + packed
