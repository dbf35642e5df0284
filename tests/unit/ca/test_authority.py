"""What a certificate says comes from the proven caller alone, and it verifies up to the root."""

import subprocess
from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mizzen.ca.authority import AuthorityExpiredError, Lifetimes
from mizzen.ca.csr import CsrRefusedError
from mizzen.model.subject import Subject
from tests.support.certificates import NOW, REVIEWS, a_ca, a_csr, a_key, an_authority, pem_of, plug_in


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return an_authority(tmp_path_factory.mktemp("state"))


def verified(issued, at=NOW):
    """What a verifier with only the roots makes of the chain."""
    policy = PolicyBuilder().store(Store(issued.roots)).time(at).max_chain_depth(3)
    return policy.build_client_verifier().verify(issued.certificate, list(issued.intermediates))


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
general_names = st.one_of(
    names.map(x509.DNSName),
    names.map(lambda name: x509.UniformResourceIdentifier("spiffe://cluster.local/ns/admin/sa/" + name)),
    st.ip_addresses().map(x509.IPAddress),
)
claimed_extensions = st.lists(
    st.one_of(
        st.lists(general_names, min_size=1, max_size=4).map(x509.SubjectAlternativeName),
        (st.none() | st.integers(0, 5)).map(lambda path_length: x509.BasicConstraints(True, path_length)),
        st.just(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])),
        st.binary(max_size=30).map(
            lambda raw: x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), raw)
        ),
    ),
    max_size=4,
    unique_by=lambda one: one.oid.dotted_string,
)
claimed_subjects = st.lists(
    st.builds(
        x509.NameAttribute,
        st.sampled_from([NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.ORGANIZATION_NAME]),
        names,
    ),
    max_size=3,
)


def asks_too_much(extension) -> bool:
    match extension:
        case x509.SubjectAlternativeName() as names:
            return any(name != x509.UniformResourceIdentifier(str(REVIEWS)) for name in names)
        case x509.BasicConstraints():
            return extension.ca
        case x509.KeyUsage():
            return extension.key_cert_sign or extension.crl_sign
        case _:
            return False


def test_a_csr_may_ask_for_its_senders_own_name(authority):
    own = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(REVIEWS))])
    assert authority.sign(a_csr(extensions=[own]), REVIEWS, now=NOW).identity == REVIEWS


@given(subject=claimed_subjects, extensions=claimed_extensions)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_csr_claims_the_certificate_carries_the_callers_identity(authority, subject, extensions):
    """Or there is none: what asks for another name, or for the rights of a CA, is refused."""
    csr = a_csr(subject=subject, extensions=extensions)
    if any(asks_too_much(one) for one in extensions):
        with pytest.raises(CsrRefusedError):
            authority.sign(csr, REVIEWS, now=NOW)
        return
    issued = authority.sign(csr, REVIEWS, subject=Subject(workload="reviews-v1"), now=NOW)
    certificate = issued.certificate
    assert list(extension(certificate, x509.SubjectAlternativeName).value) == [
        x509.UniformResourceIdentifier("spiffe://cluster.local/ns/bookinfo/sa/reviews")
    ]
    assert certificate.subject.rfc4514_string() == "OU=workload=reviews-v1"
    constraints = extension(certificate, x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    assert not extension(certificate, x509.KeyUsage).value.key_cert_sign
    assert {one.oid._name for one in certificate.extensions} == {
        *("basicConstraints", "keyUsage", "extendedKeyUsage", "subjectAltName"),
        *("subjectKeyIdentifier", "authorityKeyIdentifier"),
    }
    assert certificate.public_key() == a_key().public_key()
    assert [name.value for name in verified(issued).subjects] == [str(REVIEWS)]


def test_a_certificate_serves_both_ends_of_mtls(authority):
    certificate = authority.sign(a_csr(), REVIEWS, now=NOW).certificate
    assert set(extension(certificate, x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.SERVER_AUTH,
    }


@pytest.mark.parametrize(("subject", "critical"), [(Subject(), True), (Subject(workload="w"), False)])
def test_the_alternative_name_is_critical_where_the_subject_is_empty(authority, subject, critical):
    certificate = authority.sign(a_csr(), REVIEWS, subject=subject, now=NOW).certificate
    assert extension(certificate, x509.SubjectAlternativeName).critical is critical


def test_openssl_verifies_the_chain_strictly(authority, tmp_path):
    leaf, *_, roots = authority.sign(a_csr(), REVIEWS, now=NOW).pem_chain()
    (tmp_path / "leaf.pem").write_text(leaf)
    (tmp_path / "root.pem").write_text(roots)
    options = ["-x509_strict", "-purpose", "sslserver", "-attime", str(int(NOW.timestamp()))]
    command = ["openssl", "verify", *options, "-CAfile", "root.pem", "leaf.pem"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "leaf.pem: OK\n", done.stderr


def test_a_plugged_in_intermediate_signs_and_sends_the_way_to_the_root(tmp_path):
    root = a_ca("root")
    middle = a_ca("middle", root, a_key("root"))
    signer = a_ca("signer", middle, a_key("middle"), path_length=0)
    other_root = a_ca("next root")
    plug_in(tmp_path, pem_of(a_key("signer")), signer, [root, other_root], [signer, middle, root])
    issued = an_authority(tmp_path).sign(a_csr(), REVIEWS, now=NOW)
    assert issued.intermediates == (signer, middle)
    assert len(verified(issued).chain) == 4
    *_, bundle = issued.pem_chain()
    assert x509.load_pem_x509_certificates(bundle.encode()) == [root, other_root]


@pytest.mark.parametrize(
    ("asked", "given"),
    [(None, 24), (timedelta(0), 24), (timedelta(hours=1), 1), (timedelta(days=365), 24)],
)
def test_a_life_is_what_was_asked_for_up_to_the_limit(authority, asked, given):
    certificate = authority.sign(a_csr(), REVIEWS, ttl=asked, now=NOW).certificate
    assert certificate.not_valid_before_utc == NOW - timedelta(minutes=1)
    assert certificate.not_valid_after_utc == NOW + timedelta(hours=given)


def test_no_certificate_outlives_any_ca_above_it(tmp_path):
    root = a_ca("root", not_after=NOW + timedelta(minutes=30))
    signer = a_ca("signer", root, a_key("root"))
    plug_in(tmp_path, pem_of(a_key("signer")), signer, [root])
    authority = an_authority(tmp_path)
    assert authority.sign(a_csr(), REVIEWS, now=NOW).certificate.not_valid_after_utc == NOW + timedelta(
        minutes=30
    )
    with pytest.raises(AuthorityExpiredError, match="expired at 2026-03-01 12:30 UTC"):
        authority.sign(a_csr(), REVIEWS, now=NOW + timedelta(minutes=30))


def test_the_default_life_and_its_limit_can_be_set(tmp_path):
    lifetimes = Lifetimes(default=timedelta(seconds=5), maximum=timedelta(seconds=9))
    authority = an_authority(tmp_path, lifetimes=lifetimes)
    for asked, seconds in ((None, 5), (timedelta(seconds=7), 7), (timedelta(seconds=10), 9)):
        certificate = authority.sign(a_csr(), REVIEWS, ttl=asked, now=NOW).certificate
        assert certificate.not_valid_after_utc == NOW + timedelta(seconds=seconds)


def test_serial_numbers_come_from_the_randomness_that_was_passed_in(tmp_path):
    authority = an_authority(tmp_path)
    assert len({authority.sign(a_csr(), REVIEWS, now=NOW).certificate.serial_number for _ in range(20)}) == 20
    fixed = authority.__class__(
        **{name: getattr(authority, name) for name in authority.__slots__ if name != "random_bytes"},
        random_bytes=lambda count: b"\xff" * count,
    )
    assert fixed.sign(a_csr(), REVIEWS, now=NOW).certificate.serial_number == 2**159 - 1


def test_the_daemons_own_certificate_names_its_hosts(authority):
    issued = authority.certify(
        a_key().public_key(), REVIEWS, now=NOW, dns_names=["localhost"], addresses=[ip_address("10.0.0.1")]
    )
    names = extension(issued.certificate, x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("10.0.0.1")]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [str(REVIEWS)]


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["rsa", "p256", "p384", "ed25519"],
)
def test_accepted_kinds_of_key(authority, key):
    certificate = authority.sign(a_csr(key), REVIEWS, now=NOW).certificate
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(authority.certificate)


@pytest.mark.parametrize(
    ("csr", "why"),
    [
        (b"", "cannot be read"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "cannot be read"),
        (b"x" * 20_000, "longer than 16384 bytes"),
        (a_csr(rsa.generate_private_key(65537, 1024)), "RSA key has 1024 bits: 2048 to 8192"),
        (a_csr(ec.generate_private_key(ec.SECP521R1())), "curve is secp521r1: P-256 and P-384"),
    ],
    ids=["empty", "broken", "long", "small RSA", "other curve"],
)
def test_refused_csrs(authority, csr, why):
    with pytest.raises(CsrRefusedError, match=why):
        authority.sign(csr, REVIEWS, now=NOW)


def test_a_csr_signed_with_another_key_is_refused(authority):
    """The caller would get a certificate for a key that it does not have."""
    der = bytearray(x509.load_pem_x509_csr(a_csr()).public_bytes(Encoding.DER))
    spki = a_key("victim").public_key().public_numbers()
    mine = a_key().public_key().public_numbers()
    start = der.index(mine.x.to_bytes(32))
    der[start : start + 64] = spki.x.to_bytes(32) + spki.y.to_bytes(32)
    forged = x509.load_der_x509_csr(bytes(der))
    assert forged.public_key() == a_key("victim").public_key()
    with pytest.raises(CsrRefusedError, match="signature is not valid"):
        authority.sign(forged.public_bytes(Encoding.PEM), REVIEWS, now=NOW)


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_hostile_bytes_are_refused_and_nothing_else_happens(authority, raw):
    with pytest.raises(CsrRefusedError):
        authority.sign(raw, REVIEWS, now=NOW)
    body = (
        b"-----BEGIN CERTIFICATE REQUEST-----\n"
        + raw.hex().encode()
        + b"\n-----END CERTIFICATE REQUEST-----\n"
    )
    with pytest.raises(CsrRefusedError):
        authority.sign(body, REVIEWS, now=NOW)
