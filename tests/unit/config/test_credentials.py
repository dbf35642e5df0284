"""What a Secret holds for TLS, in either convention, and why it may be unusable; never with its content in the words."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from mizzen.config.credentials import UnusableSecretError, key_pair, trust
from mizzen.config.decode import decode
from tests.support.certificates import a_ca, pem_of
from tests.support.edge_secrets import TLS, leaf, revoked, roots, secret

CHAIN, KEY = leaf("a.example.com")
OTHER_CHAIN, OTHER_KEY = leaf("b.example.com")


def spec(**members):
    (located,) = decode(secret("shop", "cert", **members), "test.yaml").located
    return located.resource.spec


def findings(kind, **members):
    found = decode(secret("shop", "cert", kind, **members), "test.yaml").diagnostics
    return [(each.code, each.path[-1], each.message) for each in found]


def reason_of(value: object) -> str:
    """Names a case by its reason: keys are other ones in every process that collects these tests."""
    return value if isinstance(value, str) else "of"


@pytest.mark.parametrize("names", [("tls_crt", "tls_key"), ("cert", "key")])
def test_a_certificate_and_its_key_by_either_convention(names):
    found = key_pair(spec(**dict(zip(names, (CHAIN, KEY), strict=True))))
    assert (found.chain, found.key.reveal()) == (CHAIN, KEY)
    assert KEY.decode().splitlines()[1] not in repr(found)


@pytest.mark.parametrize("names", [("ca_crt", "ca_crl"), ("cacert", "crl")])
def test_roots_and_what_they_revoked(names):
    found = trust(spec(**dict(zip(names, (roots(), revoked(7)), strict=True))))
    assert (found.roots, found.revoked) == (roots(), revoked(7))


def test_the_generic_convention_wins():
    both = spec(tls_crt=CHAIN, tls_key=KEY, cert=OTHER_CHAIN, key=OTHER_KEY)
    assert key_pair(both).chain == OTHER_CHAIN


def encrypted():
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))


def self_signed(key):
    return a_ca("own", key=key).public_bytes(Encoding.PEM), pem_of(key)


SMALL = self_signed(rsa.generate_private_key(65537, 1024))
CURVE = self_signed(ec.generate_private_key(ec.SECP256K1()))
UNUSABLE = [
    ((b"nonsense", KEY), '"tls.crt" is no certificate in PEM'),
    ((CHAIN, b"nonsense"), '"tls.key" is no private key in PEM that needs no password'),
    ((CHAIN, encrypted()), '"tls.key" is no private key in PEM that needs no password'),
    ((CHAIN, OTHER_KEY), '"tls.key" is not the key of the certificate in "tls.crt"'),
    ((CHAIN, b""), '"tls.key" is empty'),
    (SMALL, '"tls.key" is an RSA key of 1024 bits: Envoy takes 2048 or more'),
    (CURVE, '"tls.key" is neither RSA nor ECDSA on P-256, P-384 or P-521: Envoy takes no other'),
]


@pytest.mark.parametrize(("members", "reason"), UNUSABLE, ids=reason_of)
def test_what_envoy_would_refuse_is_unusable(members, reason):
    chain, key = members
    with pytest.raises(UnusableSecretError) as caught:
        key_pair(spec(tls_crt=chain, tls_key=key))
    assert str(caught.value) == reason
    assert caught.value.__cause__ is None
    # Of a TLS secret it is an error, so that the last good one stays; of others a warning.
    for kind, code in ((TLS, "IST0106"), ("Opaque", "IST0133")):
        (found,) = findings(kind, tls_crt=chain, tls_key=key)
        assert (found[0], found[2]) == (code, f"not usable for TLS: {reason}")


def test_an_rsa_key_of_2048_bits_is_fine():
    chain, key = self_signed(rsa.generate_private_key(65537, 2048))
    assert key_pair(spec(cert=chain, key=key)).chain == chain


def test_an_edwards_key_cannot_be_used():
    """Its certificates are signed without a digest: the pair cannot even be made with the CA of these tests."""
    key = pem_of(ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(UnusableSecretError, match="is not the key of the certificate"):
        key_pair(spec(cert=CHAIN, key=key))


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"cert": CHAIN}, '"key" is missing'),
        ({"key": KEY}, '"cert" is missing'),
        ({"cacert": roots()}, "it has no cert or tls.crt"),
    ],
    ids=reason_of,
)
def test_half_a_pair_is_none(members, reason):
    with pytest.raises(UnusableSecretError) as caught:
        key_pair(spec(**members))
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"ca_crt": b"nonsense"}, '"ca.crt" is no certificate in PEM'),
        ({"ca_crt": roots(), "ca_crl": b"nonsense"}, '"ca.crl" is no revocation list in PEM'),
        ({"tls_crt": CHAIN, "tls_key": KEY}, "it has no cacert or ca.crt"),
    ],
    ids=reason_of,
)
def test_unusable_roots(members, reason):
    with pytest.raises(UnusableSecretError) as caught:
        trust(spec(**members))
    assert str(caught.value) == reason


def test_secrets_of_other_purposes_are_left_alone():
    assert findings("Opaque", password=b"x", key=b"some API key") == []
    assert findings("Opaque", cert=CHAIN) == []
