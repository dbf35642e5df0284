"""What is answered to a question from the mesh's names alone, and what has to be asked on. No sockets here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mizzen.agent.dns_message import (
    AAAA,
    CNAME,
    HTTPS,
    SVCB,
    A,
    Question,
    Record,
    ResponseCode,
    address_record,
    alias_record,
)
from mizzen.agent.dns_names import AliasError, NameTable, is_of_mesh

_ADDRESSES: Final = frozenset({A, AAAA})
# They tell clients of other ways to a service, past the mesh's own addresses.
_NEVER_ASKED_ON: Final = frozenset({CNAME, SVCB, HTTPS})


@dataclass(frozen=True, slots=True)
class Reply:
    """No records without an error mean "no data": the name is there, what was asked about it is not."""

    code: ResponseCode
    records: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class AskOn:
    """Another server has to be asked: the question as it came, or, where aliases lead out of the mesh, about the name
    where they end.
    """

    name: str = ""
    aliases: tuple[Record, ...] = ()


def decide(question: Question, table: NameTable | None, turn: int, *, can_ask_on: bool) -> Reply | AskOn:
    """`table` None: the names are not known yet. By `turn` several addresses take turns to be the first, as most
    clients call that one alone.
    """
    if not question.is_query:
        return Reply(ResponseCode.NOT_IMPLEMENTED)
    try:
        found = table.find(question.name) if table is not None and question.is_internet else None
    except AliasError:
        return Reply(ResponseCode.SERVER_FAILURE)
    if found is None:
        return AskOn() if can_ask_on else Reply(_nobody_knows(question.name, table))
    aliases = tuple(alias_record(name, target) for name, target in found.aliases)
    if question.kind in _NEVER_ASKED_ON:
        return Reply(ResponseCode.NO_ERROR, aliases[:1])
    if question.kind not in _ADDRESSES:  # SRV, MX, TXT: nothing that the mesh would know
        return AskOn() if can_ask_on else Reply(ResponseCode.NO_ERROR, aliases[:1])
    if found.addresses is not None:
        addresses = (address_record(found.target, address) for address in _turned(found.addresses, turn))
        records = (record for record in addresses if record.kind == question.kind)
        return Reply(ResponseCode.NO_ERROR, (*aliases, *records))
    if can_ask_on:
        return AskOn(found.target, aliases)
    return Reply(_nobody_knows(found.target, table), aliases)


def _nobody_knows(name: str, table: NameTable | None) -> ResponseCode:
    """A name without a dot, or of the mesh, belongs to no other zone: a refusal would make the resolver wait for another
    server.
    """
    if "." in name and not is_of_mesh(name):
        return ResponseCode.REFUSED
    return ResponseCode.NAME_ERROR if table is not None else ResponseCode.SERVER_FAILURE


def _turned(addresses: Sequence[str], turn: int) -> Sequence[str]:
    first = turn % len(addresses) if addresses else 0
    return (*addresses[first:], *addresses[:first])
