"""What is answered from the mesh's names, and what is asked on."""

import pytest

from mizzen.agent.dns_answers import AskOn, Reply, decide
from mizzen.agent.dns_message import (
    AAAA,
    CNAME,
    HTTPS,
    A,
    Question,
    ResponseCode,
    address_record,
    alias_record,
)
from mizzen.agent.dns_names import NameTable
from mizzen.model.name import Name

TXT, SRV = 16, 33
DUAL, FOUR = "dual.shop.svc.cluster.local", "four.shop.svc.cluster.local"
TABLE = NameTable(
    "shop",
    {
        DUAL: Name(("10.0.0.1", "fd00::1")),
        FOUR: Name(("10.0.0.2",)),
        "alias.shop.svc.cluster.local": Name(external_name=FOUR),
        "out.shop.svc.cluster.local": Name(external_name="example.com"),
        "round.shop.svc.cluster.local": Name(external_name="round.shop.svc.cluster.local"),
    },
)
OK, REFUSED, NAME_ERROR = ResponseCode.NO_ERROR, ResponseCode.REFUSED, ResponseCode.NAME_ERROR
FAILURE = ResponseCode.SERVER_FAILURE
OUT = alias_record("out", "example.com")


def ask(name: str, kind: int = A, *, can_ask_on: bool = False, table=TABLE, turn: int = 0, **question):
    return decide(
        Question(1, 0x0100, name, kind, b"", 512, edns=False, **question), table, turn, can_ask_on=can_ask_on
    )


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        (DUAL, A, Reply(OK, (address_record(DUAL, "10.0.0.1"),))),
        (DUAL, AAAA, Reply(OK, (address_record(DUAL, "fd00::1"),))),
        ("four", A, Reply(OK, (address_record("four", "10.0.0.2"),))),
        ("four", AAAA, Reply(OK)),
        ("four", HTTPS, Reply(OK)),
        ("alias", A, Reply(OK, (alias_record("alias", FOUR), address_record(FOUR, "10.0.0.2")))),
        ("alias", AAAA, Reply(OK, (alias_record("alias", FOUR),))),
        ("alias", CNAME, Reply(OK, (alias_record("alias", FOUR),))),
        ("round", A, Reply(FAILURE)),
    ],
)
@pytest.mark.parametrize("can_ask_on", [False, True])
def test_the_mesh_answers_about_its_own_names_whoever_else_could(name, kind, expected, can_ask_on):
    assert ask(name, kind, can_ask_on=can_ask_on) == expected


@pytest.mark.parametrize(
    ("name", "kind", "alone", "with_others"),
    [
        ("www.example.com", A, Reply(REFUSED), AskOn()),
        ("unknown", A, Reply(NAME_ERROR), AskOn()),
        ("unknown.shop.svc.cluster.local", A, Reply(NAME_ERROR), AskOn()),
        ("four", SRV, Reply(OK), AskOn()),
        ("out", TXT, Reply(OK, (OUT,)), AskOn()),
        ("out", A, Reply(REFUSED, (OUT,)), AskOn("example.com", (OUT,))),
        ("out", CNAME, Reply(OK, (OUT,)), Reply(OK, (OUT,))),
    ],
)
def test_what_the_mesh_does_not_know_is_asked_on_where_there_is_somebody(name, kind, alone, with_others):
    assert ask(name, kind) == alone
    assert ask(name, kind, can_ask_on=True) == with_others


def test_before_the_names_are_known_nobody_is_told_that_one_is_not_there():
    assert ask(FOUR, table=None) == ask("four", table=None) == Reply(FAILURE)
    assert ask("www.example.com", table=None) == Reply(REFUSED)
    assert ask(FOUR, table=None, can_ask_on=True) == AskOn()


def test_other_classes_and_operations_are_not_the_meshs():
    assert ask(FOUR, is_internet=False, can_ask_on=True) == AskOn()
    update = Question(1, 0x2800, FOUR, A, b"", 512, edns=False)
    assert decide(update, TABLE, 0, can_ask_on=True) == Reply(ResponseCode.NOT_IMPLEMENTED)


def test_several_addresses_take_turns():
    table = NameTable("shop", {"many": Name(("10.0.0.1", "10.0.0.2", "10.0.0.3"))})
    firsts = [ask("many", table=table, turn=turn).records[0].data[-1] for turn in range(4)]
    assert firsts == [1, 2, 3, 1]
