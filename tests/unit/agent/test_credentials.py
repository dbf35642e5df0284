"""Keys that do not leak, and the validity of certificates read by hand."""

import copy
import pickle
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from mizzen.agent.credentials import Credentials, PrivateKeyPem, validity

KEYS = {"ec": ec.generate_private_key(ec.SECP256R1()), "rsa": rsa.generate_private_key(65537, 2048)}


def certificate(kind: str, begin: datetime, end: datetime, organization: str = "o") -> str:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])
    key = KEYS[kind]
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize("kind", ["ec", "rsa"])
@pytest.mark.parametrize("organization", ["o", "a long name, so that lengths take two bytes " * 1])
@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)),
        (datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2049, 12, 31, tzinfo=UTC)),
        (datetime(2049, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)),  # the first GeneralizedTime
    ],
)
def test_validity_is_that_of_the_first_certificate(kind, organization, begin, end):
    other = certificate(kind, datetime(2000, 1, 1, tzinfo=UTC), datetime(2001, 1, 1, tzinfo=UTC))
    pem = "a comment\n" + certificate(kind, begin, end, organization) + other
    assert validity(pem) == (begin.timestamp(), end.timestamp())


@pytest.mark.parametrize(
    "text", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_what_is_no_certificate_is_a_value_error(text):
    with pytest.raises(ValueError):
        validity(text)


@given(st.binary(max_size=60))
def test_damaged_certificates_are_value_errors(data):
    import base64

    pem = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(data).decode()}\n-----END CERTIFICATE-----"
    with pytest.raises(ValueError):
        validity(pem)


def test_a_key_cannot_be_printed_pickled_or_copied():
    key = PrivateKeyPem("SECRET")
    credentials = Credentials(key, "chain", "roots", 0.0, 1.0)
    assert "SECRET" not in f"{key} {key!r} {credentials} {credentials!r} {[key]}"
    assert key.reveal() == "SECRET"
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            leak(key)
