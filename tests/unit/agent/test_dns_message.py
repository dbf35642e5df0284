"""DNS messages, byte by byte."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.agent.dns_message import (
    AAAA,
    A,
    MessageError,
    ResponseCode,
    build_response,
    fit_udp,
    parse_question,
)


def query(name: str, kind: int = A, *, edns: int = 0, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    opt = b"\0" + struct.pack(">HHIH", 41, edns, 0, 0) if edns else b""
    return (
        struct.pack(">6H", 7, flags, 1, 0, 0, bool(edns)) + labels + b"\0" + struct.pack(">HH", kind, 1) + opt
    )


def test_a_question_is_read_and_its_case_kept_for_the_answer():
    question = parse_question(query("ReViews.Bookinfo", AAAA))
    assert (question.message_id, question.name, question.kind) == (7, "reviews.bookinfo", AAAA)
    assert b"ReViews" in build_response(question, ResponseCode.NO_ERROR)


@pytest.mark.parametrize(("edns", "size"), [(0, 512), (100, 512), (1000, 1000), (4096, 1232)])
def test_how_much_fits_over_udp(edns, size):
    assert parse_question(query("a", edns=edns)).udp_bytes == size


def test_an_answer_holds_the_addresses_of_the_kind_asked_for():
    question = parse_question(query("a.b"))
    response = build_response(question, ResponseCode.NO_ERROR, ["10.0.0.1", "fd00::1"])
    assert struct.unpack_from(">6H", response) == (7, 0x8580, 1, 1, 0, 0)
    assert response.endswith(b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 5, 4) + bytes([10, 0, 0, 1]))


def test_a_response_that_is_too_large_says_so():
    question = parse_question(query("a.b"))
    response = build_response(question, ResponseCode.NO_ERROR, [f"10.0.0.{n}" for n in range(100)])
    truncated = fit_udp(question, response)
    assert len(truncated) < 512
    assert struct.unpack_from(">6H", truncated) == (7, 0x8780, 1, 0, 0, 0)
    short = build_response(question, ResponseCode.NAME_ERROR)
    assert fit_udp(question, short) is short


@pytest.mark.parametrize(
    "message",
    [
        b"",
        query("a", flags=0x8000),
        query("a")[:-1],
        query("a")[:-1] + b"\x03",  # class 3
        query("a")[:12] + b"\xc0\x0c" + query("a")[14:],  # a pointer to itself
        query("a")[:12] + b"\x01\xff\0\0\x01\0\x01",
    ],
)
def test_what_is_no_question(message):
    with pytest.raises(MessageError):
        parse_question(message)


@given(st.binary(max_size=80))
def test_no_bytes_do_more_than_that(message):
    try:
        parse_question(message)
    except MessageError:
        return
