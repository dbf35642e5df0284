"""The CA's folder, `<state>/ca`, in the layout of Istio's plug-in certificates.

    ca-cert.pem     the certificate that signs: an intermediate that the user plugged in, or the root itself
    ca-key.pem      its key, mode 0600
    cert-chain.pem  the certificates between it and the root (optional)
    root-cert.pem   the trust bundle: one root or more

An absent or empty folder is filled with a self-signed root. Anything else is used as it is or refused with one line
that says what to do; what a user has put there is never overwritten.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from mizzen.ca.authority import (
    BACKDATED,
    Authority,
    Lifetimes,
    RandomBytes,
    key_usage,
    pem,
    random_serial,
)
from mizzen.ca.files import StateError, cannot_write, read_private, read_public, write_private_folder
from mizzen.ca.keys import PrivateKey

KEY, CERTIFICATE, CHAIN, ROOTS = "ca-key.pem", "ca-cert.pem", "cert-chain.pem", "root-cert.pem"
_ROOT_NAME = "Mizzen root CA"
_ROOT_LIFETIME = timedelta(days=3650)
_LONGEST_CHAIN = 8


def open_authority(
    folder: Path,
    trust_domain: str,
    *,
    now: datetime,
    random_bytes: RandomBytes,
    lifetimes: Lifetimes | None = None,
) -> Authority:
    """The CA of the folder; makes a root where there is none yet. Raises StateError.

    Only one process may do this at a time: the daemon holds a lock of the folder above.
    """
    try:
        present = {entry.name for entry in folder.iterdir()}
    except FileNotFoundError:
        present = set()
    except OSError as error:
        raise cannot_write(folder, error) from error
    if not present:
        write_private_folder(folder, self_signed_root(trust_domain, now, random_bytes))
    elif missing := {KEY, CERTIFICATE, ROOTS} - present:
        raise StateError(
            f"{folder} lacks {' and '.join(sorted(missing))}",
            "add what is missing, or move the folder away to have a new root made",
        )
    return _load(folder, now, random_bytes, lifetimes or Lifetimes())


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether Mizzen made this root itself."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return certificate.issuer == certificate.subject and [name.value for name in names] == [_ROOT_NAME]


def self_signed_root(trust_domain: str, now: datetime, random_bytes: RandomBytes) -> dict[str, bytes]:
    """The files of a new root, by name."""
    key = PrivateKey.generate()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain[:64]),
            x509.NameAttribute(NameOID.COMMON_NAME, _ROOT_NAME),
        ]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    root = key.sign(
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(random_serial(random_bytes))
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + _ROOT_LIFETIME)
        # Workloads hang directly below: this root makes no other CA.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
    )
    certificate = pem(root).encode()
    return {KEY: key.reveal_pem(), CERTIFICATE: certificate, CHAIN: b"", ROOTS: certificate}


def _load(folder: Path, now: datetime, random_bytes: RandomBytes, lifetimes: Lifetimes) -> Authority:
    try:
        key = PrivateKey.from_pem(read_private(folder / KEY))
    except ValueError as error:
        raise StateError(f"cannot use {folder / KEY}", str(error)) from None
    certificate = read_certificates(folder / CERTIFICATE)[0]
    if certificate.public_key() != key.public_key():
        raise StateError(
            f"{folder / KEY} is not the key of {folder / CERTIFICATE}", "put the two files of one CA there"
        )
    roots = read_certificates(folder / ROOTS)
    between = read_certificates(folder / CHAIN, may_be_empty=True)
    way = _way_to_root(folder, certificate, between, roots)
    for depth, step in enumerate(way):
        _require_signing_rights(folder, step, depth, now)
    return Authority(
        certificate=certificate,
        key=key,
        intermediates=way[:-1],
        roots=roots,
        expires=min(step.not_valid_after_utc for step in way),
        random_bytes=random_bytes,
        lifetimes=lifetimes,
    )


def read_certificates(path: Path, *, may_be_empty: bool = False) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file, in its order. Raises StateError."""
    if may_be_empty and not path.exists():
        return ()
    content = read_public(path)
    if may_be_empty and not content.strip():
        return ()
    try:
        return tuple(x509.load_pem_x509_certificates(content))
    except ValueError:
        raise StateError(f"{path} holds no certificate in PEM form", "put the right file there") from None


def _way_to_root(
    folder: Path,
    certificate: x509.Certificate,
    between: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
) -> tuple[x509.Certificate, ...]:
    """From the certificate that signs to the root that verifies it, both included."""
    way = [certificate]
    while way[-1] not in roots:
        others = (above for above in (*roots, *between) if above != way[-1])
        issuer = next((above for above in others if has_issued(above, way[-1])), None)
        if issuer is None or len(way) == _LONGEST_CHAIN:
            raise StateError(
                f"{folder / CERTIFICATE} does not lead to {folder / ROOTS}, nobody there or in {CHAIN} has signed"
                f" {way[-1].subject.rfc4514_string()!r}",
                f"add the certificates between to {CHAIN}",
            )
        way.append(issuer)
    return tuple(way)


def has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether the key of one certificate has signed another."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _require_signing_rights(folder: Path, certificate: x509.Certificate, depth: int, now: datetime) -> None:
    """`depth` counts the CAs below this certificate."""
    who = f"the CA certificate {certificate.subject.rfc4514_string()!r} in {folder}"
    if now >= certificate.not_valid_after_utc:
        raise StateError(f"{who} expired on {_day(certificate.not_valid_after_utc)}", "put a new one there")
    if now < certificate.not_valid_before_utc:
        raise StateError(
            f"{who} is not valid before {_day(certificate.not_valid_before_utc)}",
            "check this machine's clock",
        )
    extensions = certificate.extensions
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        may_sign = constraints.ca and extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        may_sign = False
    if not may_sign:
        raise StateError(f"{who} is not a CA's", "it needs CA:TRUE and the key usage keyCertSign")
    if constraints.path_length is not None and constraints.path_length < depth:
        raise StateError(
            f"{who} allows {constraints.path_length} CAs below it, but {depth} are", "raise its pathlen"
        )


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
