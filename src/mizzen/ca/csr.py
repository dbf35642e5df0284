"""CSR policy: a CSR proves possession of a key, and nothing else that it says is used.

One that asks for what its sender must not have is refused all the same, rather than answered with something else: somebody
tries it out, or is mistaken about who they are.
"""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from mizzen.model.identity import SpiffeId

_LIMIT_BYTES = 16 * 1024
_RSA_BITS = range(2048, 8192 + 1)  # above, verifying takes long enough to be an attack
_CURVES = (ec.SECP256R1, ec.SECP384R1)


class CsrRefusedError(ValueError):
    """The CSR cannot be signed; the message says why, in words for the one who made it."""


def accepted_public_key(csr_pem: bytes, identity: SpiffeId | None = None) -> CertificatePublicKeyTypes:
    """The key that the sender of the CSR has proven to possess; `identity` is who the sender has proven to be, None where
    no name may be asked for. Raises CsrRefusedError.
    """
    if len(csr_pem) > _LIMIT_BYTES:
        raise CsrRefusedError(f"the CSR is longer than {_LIMIT_BYTES} bytes")
    try:
        csr = x509.load_pem_x509_csr(csr_pem)
        key = csr.public_key()
    except Exception as error:  # the parser has many ways to say no to hostile bytes
        raise CsrRefusedError("the CSR cannot be read: send PKCS #10 in PEM form") from error
    _require_acceptable(key)
    if not _proves_possession(csr):
        raise CsrRefusedError("the CSR's signature is not valid: sign it with the key that it names")
    _require_modest(csr, identity)
    return key


def _require_modest(csr: x509.CertificateSigningRequest, identity: SpiffeId | None) -> None:
    """No name but the sender's own, and no rights of a CA."""
    try:
        extensions = tuple(csr.extensions)
    except Exception as error:  # hostile bytes once more
        raise CsrRefusedError("the CSR's extensions cannot be read") from error
    for extension in extensions:
        match extension.value:
            case x509.SubjectAlternativeName() as names:
                for name in names:
                    asked = f"{type(name).__name__} {name.value}"
                    if not isinstance(name, x509.UniformResourceIdentifier) or name.value != str(identity):
                        raise CsrRefusedError(f"the CSR asks for the name {asked}, its sender is {identity}")
            case x509.BasicConstraints(ca=True):
                raise CsrRefusedError("the CSR asks for a certificate of a CA")
            case x509.KeyUsage(key_cert_sign=True) | x509.KeyUsage(crl_sign=True):
                raise CsrRefusedError("the CSR asks for the right to sign certificates")
            case _:
                pass


def _require_acceptable(key: object) -> None:
    match key:
        case rsa.RSAPublicKey() if key.key_size in _RSA_BITS:
            return
        case rsa.RSAPublicKey():
            allowed = f"{_RSA_BITS.start} to {_RSA_BITS.stop - 1}"
            raise CsrRefusedError(f"the CSR's RSA key has {key.key_size} bits: {allowed} are accepted")
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, _CURVES):
            return
        case ec.EllipticCurvePublicKey():
            raise CsrRefusedError(f"the CSR's curve is {key.curve.name}: P-256 and P-384 are accepted")
        case ed25519.Ed25519PublicKey():
            return
        case _:
            raise CsrRefusedError("the CSR's kind of key is not accepted: use ECDSA, RSA or Ed25519")


def _proves_possession(csr: x509.CertificateSigningRequest) -> bool:
    try:
        return csr.is_signature_valid
    except Exception:  # noqa: BLE001  # an algorithm that the library refuses to verify proves nothing
        return False
