"""Which keys of a set a proxy could use."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mizzen.config.json_web_keys import usable_keys


def text(number: int | bytes) -> str:
    raw = number if isinstance(number, bytes) else number.to_bytes((number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


RSA_NUMBERS = rsa.generate_private_key(65537, 2048).public_key().public_numbers()
EC_NUMBERS = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
ED = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
RSA = {"kty": "RSA", "kid": "rsa", "n": text(RSA_NUMBERS.n), "e": text(RSA_NUMBERS.e)}
EC = {"kty": "EC", "kid": "ec", "crv": "P-256", "x": text(EC_NUMBERS.x), "y": text(EC_NUMBERS.y)}
OKP = {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": text(ED)}
OCT = {"kty": "oct", "kid": "oct", "k": text(b"k" * 32)}


def usable(*keys: object, secret: bool = True) -> list[str]:
    found = usable_keys(json.dumps({"keys": list(keys)}), secret=secret)
    return [key["kid"] for key in json.loads(found)["keys"]] if found else []


def test_every_kind_that_envoy_verifies():
    assert usable(RSA, EC, OKP, OCT) == ["rsa", "ec", "ed", "oct"]


def test_a_symmetric_key_that_was_fetched_is_nobodys_secret():
    assert usable(RSA, OCT, secret=False) == ["rsa"]


@pytest.mark.parametrize(
    "key",
    [
        {**RSA, "alg": "HS256"},
        {**RSA, "alg": "none"},
        {**RSA, "use": "enc"},
        {**RSA, "n": text(12345)},
        {**RSA, "e": "not base64!"},
        {**RSA, "kid": 7},
        {**EC, "x": text(1)},
        {**EC, "crv": "P-384"},
        {**EC, "alg": "ES512"},
        {**OKP, "x": text(b"short")},
        {**OCT, "k": text(b"guess")},
        {**OCT, "alg": "RS256"},
        {"kty": "none"},
        {},
        "a text",
        None,
    ],
)
def test_what_is_no_key_is_left_out_and_the_rest_stays(key):
    assert usable(key, RSA if key is not RSA else EC) == ["rsa"]
    assert usable_keys(json.dumps({"keys": [key]}), secret=True) is None


@pytest.mark.parametrize("content", ["", "[]", "null", '{"keys": {}}', "[" * 100_000, '{"keys":[]}'])
def test_what_is_no_key_set(content):
    assert usable_keys(content, secret=True) is None
