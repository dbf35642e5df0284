"""What a Secret holds for TLS: a certificate with its key, the roots to trust, a revocation list.

Source: Istio's gateway secrets: a secret of type kubernetes.io/tls (tls.crt, tls.key, ca.crt, ca.crl), or one with the
members cert, key, cacert, crl. What Envoy would refuse is told here, so that it is never sent.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mizzen.config.types.kubernetes import Secret
from mizzen.config.types.message import SecretBytes

TLS_TYPE: Final = "kubernetes.io/tls"
CA_SUFFIX: Final = "-cacert"
"""Istio's convention: the roots for the callers of secret "x" may stand in a secret of their own, "x-cacert"."""

_MOST_BYTES: Final = 1 << 20  # larger secrets no API server takes
_CURVES: Final = ("secp256r1", "secp384r1", "secp521r1")  # Envoy's
_LEAST_RSA_BITS: Final = 2048  # Envoy's


@dataclass(frozen=True, slots=True)
class Members:
    """The names under which a secret holds its parts."""

    certificate: str
    key: str
    roots: str
    revoked: str
    staple: str


GENERIC: Final = Members("cert", "key", "cacert", "crl", "cert.ocsp-staple")
KUBERNETES: Final = Members("tls.crt", "tls.key", "ca.crt", "ca.crl", "tls.ocsp-staple")
CONVENTIONS: Final = (GENERIC, KUBERNETES)
"""The generic one wins where a secret has the parts of both, as in Istio."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate chain in PEM, the leaf first, and its key."""

    chain: bytes
    key: SecretBytes
    staple: bytes = b""  # OCSP response, DER


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe: roots in PEM, and what their CAs took back ("" for nothing)."""

    roots: bytes
    revoked: bytes = b""


class UnusableSecretError(ValueError):
    """Why a secret has not what is asked of it, in words that repeat nothing of its content. `member` is at fault."""

    def __init__(self, member: str, reason: str) -> None:
        super().__init__(f'"{member}" {reason}' if member else reason)
        self.member = member


def values(secret: Secret) -> Mapping[str, SecretBytes]:
    """What a secret holds, by name, however it was written."""
    return {**secret.data, **secret.string_data}


def key_pair(secret: Secret) -> KeyPair:
    """The certificate of a secret. Raises UnusableSecretError."""
    held = values(secret)
    for names in CONVENTIONS:
        if names.certificate in held or names.key in held:
            chain = _member(held.get(names.certificate), names.certificate)
            key = _member(held.get(names.key), names.key)
            _check_pair(chain, key, names)
            staple = held.get(names.staple, SecretBytes(b"")).reveal()
            return KeyPair(chain, SecretBytes(key), staple)
    raise UnusableSecretError("", f"it has no {' or '.join(names.certificate for names in CONVENTIONS)}")


def trust(secret: Secret) -> Trust:
    """The roots of a secret. Raises UnusableSecretError."""
    held = values(secret)
    for names in CONVENTIONS:
        if names.roots in held:
            roots = _member(held[names.roots], names.roots)
            _certificates(roots, names.roots)
            revoked = held[names.revoked].reveal() if names.revoked in held else b""
            _check_revoked(revoked, names.revoked)
            return Trust(roots, revoked)
    raise UnusableSecretError("", f"it has no {' or '.join(names.roots for names in CONVENTIONS)}")


def problems(secret: Secret) -> Iterator[UnusableSecretError]:
    """What is wrong with the parts that a secret has; what it lacks altogether is no problem of its own."""
    held = values(secret)
    for names in CONVENTIONS:
        if names.certificate in held and names.key in held:
            try:
                key_pair(secret)
            except UnusableSecretError as problem:
                yield problem
            break
    if any(names.roots in held for names in CONVENTIONS):
        try:
            trust(secret)
        except UnusableSecretError as problem:
            yield problem


def _member(value: SecretBytes | None, name: str) -> bytes:
    content = value.reveal() if value is not None else b""
    if not content.strip():
        raise UnusableSecretError(name, "is missing" if value is None else "is empty")
    if len(content) > _MOST_BYTES:
        raise UnusableSecretError(name, "is larger than a secret can be")
    return content


def _certificates(pem: bytes, name: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise UnusableSecretError(name, "is no certificate in PEM") from None


def _check_pair(chain: bytes, key: bytes, names: Members) -> None:
    leaf = _certificates(chain, names.certificate)[0]
    try:
        private = load_pem_private_key(key, password=None)
        of_certificate = leaf.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What the library says may quote the key: the reason stays behind.
        raise UnusableSecretError(names.key, "is no private key in PEM that needs no password") from None
    of_key = private.public_key()
    if _encoded(of_key) != _encoded(of_certificate):
        raise UnusableSecretError(names.key, f'is not the key of the certificate in "{names.certificate}"')
    if isinstance(of_key, rsa.RSAPublicKey):
        if of_key.key_size < _LEAST_RSA_BITS:
            raise UnusableSecretError(
                names.key, f"is an RSA key of {of_key.key_size} bits: Envoy takes {_LEAST_RSA_BITS} or more"
            )
    elif not isinstance(of_key, ec.EllipticCurvePublicKey) or of_key.curve.name not in _CURVES:
        raise UnusableSecretError(
            names.key, "is neither RSA nor ECDSA on P-256, P-384 or P-521: Envoy takes no other"
        )


def _encoded(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]  # every kind of public key has it; the library has no base class for them
    return encoded


def _check_revoked(pem: bytes, name: str) -> None:
    if not pem.strip():
        return
    for part in pem.split(b"-----END X509 CRL-----")[:-1] or [pem]:
        try:
            x509.load_pem_x509_crl(part + b"-----END X509 CRL-----\n")
        except ValueError:
            raise UnusableSecretError(name, "is no revocation list in PEM") from None
