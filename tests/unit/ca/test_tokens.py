"""A join token proves exactly what it was issued for, until it expires."""

import base64
import os
import stat
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mizzen.ca.files import StateError
from mizzen.ca.tokens import JoinToken, JoinTokenKey, TokenRefusedError, new_token_id
from mizzen.model.identity import SpiffeId
from tests.support.certificates import NOW, REVIEWS

KEY = JoinTokenKey(b"k" * 32)
TOKEN = JoinToken(REVIEWS, "reviews-v1-0", NOW + timedelta(minutes=5), "id-1")
TEXT = KEY.issue(TOKEN)


def verify(text, *, key=KEY, trust_domain="cluster.local", now=NOW):
    return key.verify(text, trust_domain=trust_domain, now=now)


def refusal(text, **options) -> str:
    with pytest.raises(TokenRefusedError) as caught:
        verify(text, **options)
    return str(caught.value)


def test_it_says_what_was_issued():
    assert verify(TEXT) == TOKEN


def test_it_fits_into_a_header_and_a_url():
    assert len(TEXT) < 200
    assert set(TEXT) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


parts = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=63)


@given(
    st.builds(SpiffeId, parts, parts, parts), st.text(st.characters(exclude_categories=["Cs"]), max_size=63)
)
def test_any_identity_makes_the_round_trip(identity, workload):
    token = JoinToken(identity, workload, NOW + timedelta(seconds=1), "id")
    if "\n" in str(identity):  # a SPIFFE ID is one line
        return
    assert verify(KEY.issue(token), trust_domain=identity.trust_domain) == token


@given(bit=st.integers(0, len(TEXT) * 8 - 1))
@settings(max_examples=300)
@example(bit=len(TEXT) * 8 - 8)  # the last character of a base64 text has bits that carry nothing
@example(bit=len(TEXT) * 8 - 7)
def test_any_flipped_bit_is_refused(bit):
    flipped = bytearray(TEXT.encode())
    flipped[bit // 8] ^= 1 << (bit % 8)
    refusal(flipped.decode("latin-1"))


@given(st.text(max_size=300))
def test_any_other_text_is_refused(text):
    refusal(text)


@given(st.integers(0, len(TEXT) - 1))
def test_any_part_of_a_token_is_refused(length):
    refusal(TEXT[:length])
    refusal(TEXT[length + 1 :])


def test_expired():
    assert refusal(TEXT, now=TOKEN.expires) == (
        "the join token expired at 2026-03-01 12:05:00 UTC: make a new one"
    )
    assert verify(TEXT, now=TOKEN.expires - timedelta(seconds=1)) == TOKEN


def test_another_trust_domain():
    assert refusal(TEXT, trust_domain="other") == (
        "the join token is for trust domain 'cluster.local', this is 'other'"
    )


def test_another_key():
    assert refusal(TEXT, key=JoinTokenKey(b"o" * 32)) == (
        "the join token was damaged, or signed with the key of another daemon"
    )


@pytest.mark.parametrize(
    "text", ["", "abc", "mzj1", "mzj2." + TEXT[5:], "a.b.c", "mzj1." + "a" * 5000 + ".b"]
)
def test_malformed(text):
    assert refusal(text) == "the join token is malformed: copy it whole"


def test_a_payload_of_another_version_with_a_good_signature():
    signed = b"mzj1." + base64.urlsafe_b64encode(b'["x"]').rstrip(b"=")
    text = (signed + b"." + KEY._mac(signed)).decode()
    assert refusal(text) == "the join token is of another version of Mizzen: make a new one"


def test_a_refusal_does_not_quote_the_token():
    for text, options in ((TEXT, {"now": TOKEN.expires}), (TEXT[:-1] + "!", {}), ("secret-text", {})):
        assert text not in refusal(text, **options)
        assert TEXT.split(".")[1] not in refusal(text, **options)


@pytest.mark.parametrize(
    "identity", [SpiffeId("td", "a/b", "c"), SpiffeId("td", "", "c"), SpiffeId("td", "a", "")]
)
def test_no_token_for_what_is_no_identity(identity):
    with pytest.raises(ValueError):
        KEY.issue(JoinToken(identity, "", NOW, "id"))


def test_token_ids_come_from_the_randomness_that_was_passed_in():
    assert new_token_id(lambda count: b"\0" * count) == "A" * 12
    assert new_token_id(os.urandom) != new_token_id(os.urandom)


class TestKeyFile:
    def test_is_made_once_for_its_owner_alone(self, tmp_path):
        path = tmp_path / "state" / "join-token.key"
        text = JoinTokenKey.open(path, os.urandom).issue(TOKEN)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert verify(text, key=JoinTokenKey.open(path, os.urandom)) == TOKEN

    def test_others_can_read_it(self, tmp_path):
        path = tmp_path / "join-token.key"
        JoinTokenKey.open(path, os.urandom)
        path.chmod(0o640)
        with pytest.raises(StateError, match="run `chmod 600"):
            JoinTokenKey.load(path)

    @pytest.mark.parametrize("content", [b"", b"short", b"#" * 60, b"\xff\xfe" * 40])
    def test_holds_no_key(self, tmp_path, content):
        path = tmp_path / "join-token.key"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(StateError) as caught:
            JoinTokenKey.load(path)
        assert str(caught.value) == (
            f"{path} holds no join token key: remove it to have a new one made; tokens given out before are then"
            " refused"
        )

    def test_is_missing(self, tmp_path):
        with pytest.raises(StateError, match="No such file"):
            JoinTokenKey.load(tmp_path / "join-token.key")
