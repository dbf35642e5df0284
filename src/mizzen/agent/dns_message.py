"""The little of DNS messages that answering address questions takes. Source: RFC 1035, 4; RFC 6891 (EDNS)."""

import ipaddress
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

A, CNAME, AAAA, SVCB, HTTPS = 1, 5, 28, 64, 65
_OPT: Final = 41
_IN: Final = 1
_HEADER: Final = struct.Struct(">HHHHHH")
_RECORD: Final = struct.Struct(">HHIH")  # after the owner's name: kind, class, TTL, length of the data
_RESPONSE, _AUTHORITATIVE, _TRUNCATED = 0x8000, 0x0400, 0x0200
_RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x0100, 0x0080
_OPCODE_MASK: Final = 0x7800
_CODE_MASK: Final = 0x000F
_POINTER_TO_QUESTION: Final = b"\xc0\x0c"
_TTL_SECONDS: Final = 5
_PLAIN_UDP_BYTES: Final = 512
_LARGEST_UDP_BYTES: Final = 1232  # fits every path without fragments
LARGEST_BYTES: Final = 65535
_OUR_OPT: Final = b"\0" + _RECORD.pack(_OPT, _LARGEST_UDP_BYTES, 0, 0)
_LARGEST_NAME_BYTES: Final = 255
_LARGEST_LABEL_BYTES: Final = 63


class ResponseCode(IntEnum):
    NO_ERROR = 0
    FORMAT_ERROR = 1
    SERVER_FAILURE = 2
    NAME_ERROR = 3  # NXDOMAIN
    NOT_IMPLEMENTED = 4
    REFUSED = 5


class MessageError(ValueError):
    """The bytes are no message that could be used."""


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
    is_internet: bool = True  # of class IN

    @property
    def is_query(self) -> bool:
        return self.flags & _OPCODE_MASK == 0


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an answer. `data` is as on the wire, names in it in full."""

    owner: str
    kind: int
    data: bytes
    ttl_seconds: int = _TTL_SECONDS

    def wire(self, question: Question) -> bytes:
        owner = _POINTER_TO_QUESTION if self.owner == question.name else _wire_name(self.owner)
        return owner + _RECORD.pack(self.kind, _IN, self.ttl_seconds, len(self.data)) + self.data


@dataclass(frozen=True, slots=True)
class Answer:
    """What another server said."""

    code: int
    truncated: bool
    records: tuple[Record, ...]


def parse_question(message: bytes) -> Question:
    """Raises MessageError where it is not a query with exactly one question."""
    try:
        message_id, flags, questions, answers, authorities, additional = _HEADER.unpack_from(message)
        if flags & _RESPONSE or questions != 1:
            raise MessageError("not a query with one question")
        name, position = _question_name(message, _HEADER.size)
        kind, klass = struct.unpack_from(">HH", message, position)
        end = position + 4
        payload = 0
        if not answers and not authorities and additional:
            payload = _edns_payload(message, end)
    except (struct.error, IndexError):
        raise MessageError("cut off or damaged") from None
    size = min(max(payload, _PLAIN_UDP_BYTES), _LARGEST_UDP_BYTES)
    raw = message[_HEADER.size : end]
    return Question(message_id, flags, name, kind, raw, size, bool(payload), klass == _IN)


def build_query(question: Question, name: str) -> bytes:
    """The same question about another name."""
    header = _HEADER.pack(question.message_id, _RECURSION_DESIRED, 1, 0, 0, 1)
    return header + _wire_name(name) + struct.pack(">HH", question.kind, _IN) + _OUR_OPT


def parse_answer(message: bytes) -> Answer:
    """The addresses and aliases of a response to a query of ours. Raises MessageError."""
    try:
        _, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
        position = _HEADER.size
        for _ in range(questions):
            position = _name(message, position)[1] + 4
        records = tuple(_records(message, position, answers))
    except (struct.error, IndexError, ValueError):
        raise MessageError("cut off or damaged") from None
    return Answer(flags & _CODE_MASK, bool(flags & _TRUNCATED), records)


def build_response(
    question: Question, code: int, records: Sequence[Record] = (), *, most_bytes: int = LARGEST_BYTES
) -> bytes:
    """An answer of at most so many bytes: what does not fit is left out, and the asker told to come back over TCP. No
    records without an error mean "no data".
    """
    opt = _OUR_OPT if question.edns else b""
    room = most_bytes - _HEADER.size - len(question.raw) - len(opt)
    fitting: list[bytes] = []
    for record in records:
        wire = record.wire(question)
        room -= len(wire)
        if room < 0:
            break
        fitting.append(wire)
    flags = _RESPONSE | _AUTHORITATIVE | _RECURSION_AVAILABLE | (question.flags & _RECURSION_DESIRED) | code
    if len(fitting) < len(records):
        flags |= _TRUNCATED
    header = _HEADER.pack(question.message_id, flags, 1, len(fitting), 0, int(question.edns))
    return header + question.raw + b"".join(fitting) + opt


def address_record(owner: str, address: str) -> Record:
    packed = ipaddress.ip_address(address).packed
    return Record(owner, AAAA if ":" in address else A, packed)


def alias_record(owner: str, target: str) -> Record:
    return Record(owner, CNAME, _wire_name(target))


def response_code(message: bytes) -> int:
    """Of any response of full length."""
    return message[3] & _CODE_MASK


def _question_name(message: bytes, position: int) -> tuple[str, int]:
    name, end = _name(message, position)
    if end != position + len(_wire_name(name)):
        raise MessageError("a compressed name in a question")
    return name.lower(), end


def _name(message: bytes, position: int) -> tuple[str, int]:
    """The name at a position, and where it ends there. Raises IndexError or MessageError."""
    labels: list[str] = []
    end = 0
    for _ in range(_LARGEST_NAME_BYTES):
        length = message[position]
        if length > _LARGEST_LABEL_BYTES:
            end = end or position + 2
            position = int.from_bytes(message[position : position + 2]) & 0x3FFF
        elif length:
            label = message[position + 1 : position + 1 + length]
            if len(label) < length:
                raise IndexError
            labels.append(label.decode("latin-1"))
            position += 1 + length
        else:
            return ".".join(labels), end or position + 1
    raise MessageError("a name without end")


def _wire_name(name: str) -> bytes:
    labels = [label.encode("latin-1", "replace")[:_LARGEST_LABEL_BYTES] for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _records(message: bytes, position: int, count: int) -> Iterator[Record]:
    for _ in range(count):
        owner, position = _name(message, position)
        kind, _, ttl, length = _RECORD.unpack_from(message, position)
        position += _RECORD.size
        data = message[position : position + length]
        if len(data) < length:
            raise IndexError
        if kind == CNAME:
            data = _wire_name(_name(message, position)[0])
        if kind in {A, AAAA, CNAME}:
            yield Record(owner, kind, data, ttl)
        position += length


def _edns_payload(message: bytes, position: int) -> int:
    """The UDP size in an OPT record right behind the question, which is where resolvers put it; 0 without one."""
    name_length, kind, payload = struct.unpack_from(">BHH", message, position)
    return int(payload) if name_length == 0 and kind == _OPT else 0
