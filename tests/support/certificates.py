"""A CA to test with, and CSRs that claim what one likes."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mizzen.ca.authority import Authority, Lifetimes
from mizzen.ca.plugged import open_authority
from mizzen.model.identity import SpiffeId

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
REVIEWS = SpiffeId("cluster.local", "bookinfo", "reviews")


@cache
def a_key(name: str = "workload") -> ec.EllipticCurvePrivateKey:
    """The same key for the same name: making keys is slow."""
    return ec.generate_private_key(ec.SECP256R1())


def pem_of(key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def a_csr(
    key=None,
    subject: Sequence[x509.NameAttribute] = (),
    extensions: Sequence[x509.ExtensionType] = (),
) -> bytes:
    key = key or a_key()
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    digest = None if not hasattr(key, "curve") and not hasattr(key, "key_size") else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.PEM)


def an_authority(folder: Path, now: datetime = NOW, lifetimes: Lifetimes | None = None) -> Authority:
    return open_authority(
        folder / "ca", "cluster.local", now=now, random_bytes=os.urandom, lifetimes=lifetimes
    )


def a_ca(
    name: str,
    issuer: x509.Certificate | None = None,
    issuer_key=None,
    *,
    key=None,
    ca: bool = True,
    path_length: int | None = None,
    not_before: datetime = NOW - timedelta(days=1),
    not_after: datetime = NOW + timedelta(days=365),
) -> x509.Certificate:
    """A CA certificate as a user would plug it in; without an issuer it is a root."""
    key = key or a_key(name)
    own_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer_key or key
    usage = dict.fromkeys(
        (
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
            *("key_agreement", "encipher_only", "decipher_only"),
        ),
        False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(own_name)
        .issuer_name(issuer.subject if issuer else own_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=ca, crl_sign=ca, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )


def plug_in(
    folder: Path,
    key: bytes,
    certificate: x509.Certificate,
    roots: Sequence[x509.Certificate],
    chain: Sequence[x509.Certificate] = (),
) -> Path:
    """Lay out <folder>/ca as a user of Istio's plug-in certificates would."""
    ca = folder / "ca"
    ca.mkdir(mode=0o700)
    (ca / "ca-key.pem").write_bytes(key)
    (ca / "ca-key.pem").chmod(0o600)
    for name, certificates in (("ca-cert", [certificate]), ("cert-chain", chain), ("root-cert", roots)):
        text = b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
        (ca / f"{name}.pem").write_bytes(text)
    return ca
