"""DNS messages, byte by byte."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.agent.dns_message import (
    AAAA,
    CNAME,
    A,
    Answer,
    MessageError,
    Record,
    ResponseCode,
    address_record,
    alias_record,
    build_query,
    build_response,
    parse_answer,
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


def test_an_answer_repeats_the_question_and_points_to_it():
    question = parse_question(query("A.b"))
    response = build_response(question, ResponseCode.NO_ERROR, [address_record("a.b", "10.0.0.1")])
    assert struct.unpack_from(">6H", response) == (7, 0x8580, 1, 1, 0, 0)
    assert response.endswith(b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 5, 4) + bytes([10, 0, 0, 1]))


def test_aliases_are_written_in_full():
    question = parse_question(query("a.b"))
    records = [alias_record("a.b", "c.d"), address_record("c.d", "fd00::1")]
    response = build_response(question, ResponseCode.NO_ERROR, records)
    assert parse_answer(response) == Answer(0, False, tuple(records))


@pytest.mark.parametrize("edns", [0, 1232])
def test_what_does_not_fit_is_left_out_and_said_to_be(edns):
    question = parse_question(query("a.b", edns=edns))
    records = [address_record("a.b", f"10.0.0.{n}") for n in range(100)]
    whole = build_response(question, ResponseCode.NO_ERROR, records)
    cut = build_response(question, ResponseCode.NO_ERROR, records, most_bytes=question.udp_bytes)
    assert question.udp_bytes - 16 < len(cut) <= question.udp_bytes
    answer = parse_answer(cut)
    assert answer.truncated
    assert answer.records == tuple(records[: len(answer.records)])
    assert parse_answer(whole) == Answer(0, False, tuple(records))
    assert build_response(question, ResponseCode.NAME_ERROR, most_bytes=question.udp_bytes)[2] & 2 == 0


def test_a_query_of_our_own_asks_the_same_about_another_name():
    question = parse_question(query("alias.mesh", AAAA))
    ours = parse_question(build_query(question, "www.example.com"))
    assert (ours.message_id, ours.name, ours.kind) == (7, "www.example.com", AAAA)
    assert ours.edns


def test_compressed_names_of_others_are_understood():
    """As most servers write them: owners point to the question, targets to parts of it."""
    name = b"\3www\7example\3com\0"
    records = (
        b"\xc0\x0c" + struct.pack(">HHIH", CNAME, 1, 60, 6) + b"\3cdn\xc0\x10",
        b"\3cdn\xc0\x10" + struct.pack(">HHIH", A, 1, 30, 4) + bytes([9, 9, 9, 9]),
        b"\xc0\x0c" + struct.pack(">HHIH", 46, 1, 30, 2) + b"xx",  # a signature: nothing for us
    )
    message = struct.pack(">6H", 7, 0x8180, 1, 3, 0, 0) + name + struct.pack(">HH", A, 1) + b"".join(records)
    assert parse_answer(message).records == (
        Record("www.example.com", CNAME, b"\3cdn\7example\3com\0", 60),
        Record("cdn.example.com", A, bytes([9, 9, 9, 9]), 30),
    )


@pytest.mark.parametrize(
    "message",
    [
        b"",
        query("a", flags=0x8000),
        query("a")[:-1],
        query("a")[:12] + b"\xc0\x0c" + query("a")[14:],  # a pointer to itself
        query("a")[:12] + b"\x05ab",
    ],
)
def test_what_is_no_question(message):
    with pytest.raises(MessageError):
        parse_question(message)


def test_what_is_of_another_class_or_alphabet_is_a_question_all_the_same():
    assert not parse_question(query("version.bind")[:-1] + b"\x03").is_internet
    assert parse_question(query("a")[:12] + b"\x01\xff\0\0\x01\0\x01").name == "\xff"


@given(st.binary(max_size=80), st.sampled_from([b"", query("a.b")[:12], b"\0\7\x81\x80\0\1\0\2\0\0\0\0"]))
def test_no_bytes_do_more_than_that(message, header):
    for parse in (parse_question, parse_answer):
        try:
            parse(header + message)
        except MessageError:
            continue
