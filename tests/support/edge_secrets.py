"""Certificates for the mesh's edges, as people put them into Secrets: a CA outside the mesh, and what it signs."""

import base64
from datetime import UTC, datetime, timedelta
from functools import cache

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.support.certificates import a_ca, a_key, pem_of

TLS = "kubernetes.io/tls"
_SPAN = {
    "not_before": datetime.now(UTC) - timedelta(days=1),
    "not_after": datetime.now(UTC) + timedelta(days=90),
}


@cache
def edge_ca(name: str = "edge-ca") -> x509.Certificate:
    return a_ca(name, **_SPAN)


def roots(ca: str = "edge-ca") -> bytes:
    return edge_ca(ca).public_bytes(Encoding.PEM)


@cache
def leaf(host: str, ca: str = "edge-ca", serial: int = 0) -> tuple[bytes, bytes]:
    """A certificate for a host, and its key. Another serial is another certificate of the same key."""
    key = a_key(f"leaf of {host}")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]))
        .issuer_name(edge_ca(ca).subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(_SPAN["not_before"])
        .not_valid_after(_SPAN["not_after"])
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(a_key(ca), hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM), pem_of(key)


@cache
def revoked(*serials: int, ca: str = "edge-ca") -> bytes:
    """A CA's revocation list."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(edge_ca(ca).subject)
        .last_update(_SPAN["not_before"])
        .next_update(_SPAN["not_after"])
    )
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_SPAN["not_before"])
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(a_key(ca), hashes.SHA256()).public_bytes(Encoding.PEM)


def secret(namespace: str, name: str, kind: str = "Opaque", **members: bytes) -> str:
    """YAML of a Secret. In the members' names "_" stands for ".": tls_crt is tls.crt."""
    data = {member.replace("_", "."): base64.b64encode(value).decode() for member, value in members.items()}
    metadata = {"name": name, "namespace": namespace}
    return yaml.dump({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": data})


def tls_secret(namespace: str, name: str, host: str, ca: str = "edge-ca", **more: bytes) -> str:
    """A kubernetes.io/tls Secret for a host."""
    chain, key = leaf(host, ca)
    return secret(namespace, name, TLS, tls_crt=chain, tls_key=key, **more)


def secret_text(namespace: str, name: str, members: list[str]) -> str:
    """YAML of a Secret with these members, all of one certificate."""
    chain, key = leaf(f"{name}.example.com")
    content = {
        "crt": chain,
        "cert": chain,
        "key": key,
        "cacert": roots(),
        "ca.crt": roots(),
        "crl": revoked(1),
    }
    held = {member: content[member.removeprefix("tls.")] for member in members}
    return secret(namespace, name, **{member.replace(".", "_"): value for member, value in held.items()})
