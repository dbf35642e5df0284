"""Values that must not leak: they cannot be printed, logged, copied or pickled. `reveal_*` is the only way out."""

from typing import NoReturn, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

_MINIMUM_RSA_BITS = 2048


class Secret:
    """Base of what redacts itself: "PrivateKey(<redacted>)"."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<redacted>)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{self!r} cannot be pickled or copied")


class PrivateKey(Secret):
    """The key of a certificate: ECDSA or RSA, the two kinds that every TLS stack of a mesh verifies."""

    __slots__ = ("_key",)

    def __init__(self, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> Self:
        """A new P-256 key. The randomness is OpenSSL's own; the library lets nobody else bring it."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Raises ValueError with what is wrong, and never with any of the text."""
        try:
            key = load_pem_private_key(pem, password=None)
        except TypeError:
            raise ValueError("it is encrypted, decrypt it (`openssl pkey -in OLD -out NEW`)") from None
        except Exception:  # noqa: BLE001  # whatever OpenSSL says of broken text, the text stays out of it
            raise ValueError("it holds no private key in PEM form, put the right file there") from None
        match key:
            case rsa.RSAPrivateKey() if key.key_size < _MINIMUM_RSA_BITS:
                raise ValueError(
                    f"RSA keys need at least {_MINIMUM_RSA_BITS} bits, this one has {key.key_size}"
                )
            case rsa.RSAPrivateKey() | ec.EllipticCurvePrivateKey():
                return cls(key)
            case _:
                raise ValueError("use an ECDSA or RSA key, Envoy verifies no other by default")

    def public_key(self) -> CertificatePublicKeyTypes:
        return self._key.public_key()

    def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Sign with the hash that fits the key's strength."""
        large_curve = isinstance(self._key, ec.EllipticCurvePrivateKey) and self._key.key_size > 256
        return builder.sign(self._key, hashes.SHA384() if large_curve else hashes.SHA256())

    def request(self) -> bytes:
        """A CSR, PEM, that asks for no names."""
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def reveal_pem(self) -> bytes:
        """The key itself, unencrypted, for a file or memory that belongs to the owner alone."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
