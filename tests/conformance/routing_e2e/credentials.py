"""The key pairs and certificates that cases name: of two unrelated CAs, A and B, and of a third that external servers use.

A and B have the same subject, as Istio's have, and no leaf names its issuer's key: so a certificate of one seems to come from the
other until its signature is checked, which is what the cases' errors tell apart.
"""

import base64
import datetime as dt
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)
_SERVER_NAMES = ("*.example.com", "*.echo.svc.cluster.local", "server.default.svc", "fake.external.com")
_FILES = "tests/testdata/certs"


class Authority:
    """A CA that signs for a day. `known_by_key`: its CRLs say by which key they were signed."""

    def __init__(self, subject: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(subject)
        builder = _builder(self.name, self.name, self.key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_key_id(self.key), critical=False)
        self.certificate = builder.sign(self.key, hashes.SHA256())

    def sign(self, subject: str, key: ec.EllipticCurvePrivateKey, names: tuple[str, ...]) -> x509.Certificate:
        builder = _builder(_name(subject), self.name, key.public_key())
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def revoke(self, serial: int) -> str:
        """The PEM of a CRL that revokes one certificate."""
        now = dt.datetime.now(dt.UTC)
        revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - _DAY).build()
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(now - _DAY).next_update(now + _DAY).add_revoked_certificate(revoked)
        builder = builder.add_extension(x509.CRLNumber(1), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_key_id(self.key))
        builder = builder.add_extension(identifier, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _DAY).not_valid_after(now + _DAY)


def _key_id(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(thing: x509.Certificate | ec.EllipticCurvePrivateKey) -> str:
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(Encoding.PEM).decode()
    return thing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def pems() -> Mapping[str, str]:
    """Every PEM by the name that cases use (CaCertA, TLSServerKeyA...), or the path of Istio's file. Made once a run."""
    found: dict[str, str] = {}
    for letter in "AB":
        authority = Authority("Mizzen test CA")
        found[f"CaCert{letter}"] = _pem(authority.certificate)
        for side, names in (("Server", _SERVER_NAMES), ("Client", ())):
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = authority.sign(f"{side} {letter}", key, names)
            found[f"TLS{side}Key{letter}"] = _pem(key)
            found[f"TLS{side}Cert{letter}"] = _pem(certificate)
        found[f"CaCrl{letter}"] = authority.revoke(certificate.serial_number)
        found[f"DummyCaCrl{letter}"] = authority.revoke(x509.random_serial_number())
    return {**found, **_files()}


def _files() -> Mapping[str, str]:
    """Those of tests/testdata/certs: what external servers and their callers have."""
    authority, other = Authority("Mizzen test root"), Authority("Somebody else's root")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = authority.sign("server.default.svc", key, _SERVER_NAMES)
    return {
        f"{_FILES}/dns/root-cert.pem": _pem(authority.certificate),
        f"{_FILES}/dns/key.pem": _pem(key),
        f"{_FILES}/dns/cert-chain.pem": _pem(certificate),
        # Of another key: the case that shows it with key.pem has a pair that does not fit.
        f"{_FILES}/dns/fake-cert-chain.pem": _pem(other.sign("server.default.svc", other.key, _SERVER_NAMES)),
        f"{_FILES}/ca.crl": authority.revoke(certificate.serial_number),
        f"{_FILES}/dummy.crl": authority.revoke(x509.random_serial_number()),
    }


def pem(reference: str) -> str:
    """Of "CaCertA", "<ingressutil.CaCertA>" or "${file:path}"; any other text is itself."""
    name = reference.removeprefix("<ingressutil.").removesuffix(">").removeprefix("${file:").removesuffix("}")
    return pems().get(name, reference)


# Istio's two forms of a Secret.
_GENERIC = {"Certificate": "cert", "PrivateKey": "key", "CaCert": "cacert", "Crl": "crl"}
_TLS = {"Certificate": "tls.crt", "PrivateKey": "tls.key", "CaCert": "ca.crt", "Crl": "ca.crl"}


def secret(described: Mapping[str, Any]) -> dict[str, Any]:
    """The Secret that `x-credential`, `x-type` and `x-compound` describe."""
    parts = described["x-credential"]
    if isinstance(parts, str):
        parts = _ingress_credential(parts)
    is_generic = described.get("x-type") == "Mtls" and not described.get("x-compound")
    keys = _GENERIC if is_generic else _TLS
    made = {key: value for key, value in described.items() if not key.startswith("x-")}
    made["type"] = "Opaque" if is_generic else "kubernetes.io/tls"
    made["data"] = {
        keys[part]: base64.b64encode(pem(reference).encode()).decode() for part, reference in parts.items()
    }
    return made


def _ingress_credential(name: str) -> dict[str, str]:
    letter = name[-1]
    authority = {"CaCert": f"CaCert{letter}"}
    server = {"Certificate": f"TLSServerCert{letter}", "PrivateKey": f"TLSServerKey{letter}"}
    match name[:-1]:
        case "IngressCredential":
            return {**server, **authority}
        case "IngressCredentialServerKeyCert":
            return server
        case "IngressCredentialCaCert":
            return authority
    raise KeyError(name)
