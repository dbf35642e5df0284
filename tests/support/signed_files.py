"""Certificates in files, as servers and proxies outside of the mesh's own PKI use them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.support.certificates import a_ca, a_key, pem_of


def signed_files(folder: Path, **names: str) -> None:
    """<folder>/ca.pem, and for each NAME=host a NAME.pem for that host with its NAME.key, which anybody may read."""
    now = datetime.now(UTC)
    ca = a_ca("test CA", not_before=now - timedelta(hours=1), not_after=now + timedelta(days=1))
    (folder / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    for name, host in names.items():
        key = a_key(name)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(ca.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(a_key("test CA"), hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / f"{name}.key").write_bytes(pem_of(key))
    for file in folder.iterdir():
        file.chmod(0o644)
