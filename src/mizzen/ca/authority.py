"""The signing CA: it gives a key the identity of the caller that proved who it is, for hours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from mizzen.ca.csr import accepted_public_key
from mizzen.ca.keys import PrivateKey
from mizzen.ca.subject import subject_name
from mizzen.model.identity import SpiffeId
from mizzen.model.subject import Subject

RandomBytes = Callable[[int], bytes]

# A machine whose clock is this far behind still takes a certificate that was made now.
BACKDATED = timedelta(minutes=1)
_SERIAL_BYTES = 20  # the most that RFC 5280 (4.1.2.2) allows
_NO_SUBJECT = Subject()


class AuthorityExpiredError(Exception):
    """The CA's own certificate, or one above it, has expired: nothing that it signs would be accepted."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a certificate lives where its owner asks for nothing, and at most."""

    default: timedelta = timedelta(hours=24)
    maximum: timedelta = timedelta(hours=24)

    def of(self, requested: timedelta | None) -> timedelta:
        return min(requested or self.default, self.maximum)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and what a verifier needs with it."""

    identity: SpiffeId
    certificate: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    roots: tuple[x509.Certificate, ...]

    def pem_chain(self) -> tuple[str, ...]:
        """As the certificate service answers: the leaf, the intermediates, and last the whole trust bundle."""
        return (pem(self.certificate), *map(pem, self.intermediates), "".join(map(pem, self.roots)))


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA certificate with its key, and the trust bundle that verifiers get.

    `intermediates` leads from the certificate that signs (included, unless it is a root) to below the root.
    `roots` is a bundle: a rotation adds the next root long before anything is signed under it.
    `expires` is the earliest expiry on the way up; no leaf outlives it.
    """

    certificate: x509.Certificate
    key: PrivateKey
    intermediates: tuple[x509.Certificate, ...]
    roots: tuple[x509.Certificate, ...]
    expires: datetime
    random_bytes: RandomBytes = field(repr=False)
    lifetimes: Lifetimes = Lifetimes()

    @property
    def current(self) -> "Authority":
        """Itself: it never changes. (`live.LiveAuthority` does.)"""
        return self

    async def issue(
        self, csr_pem: bytes, identity: SpiffeId, *, now: datetime, subject: Subject, ttl: timedelta
    ) -> Issued:
        """As `sign`."""
        return self.sign(csr_pem, identity, now=now, subject=subject, ttl=ttl)

    def sign(
        self,
        csr_pem: bytes,
        identity: SpiffeId,
        *,
        now: datetime,
        subject: Subject = _NO_SUBJECT,
        ttl: timedelta | None = None,
    ) -> Issued:
        """A certificate for the key of the CSR; who it says to be comes from the arguments alone.

        Raises CsrRefusedError, AuthorityExpiredError.
        """
        return self.certify(
            accepted_public_key(csr_pem, identity), identity, now=now, subject=subject, ttl=ttl
        )

    def certify(
        self,
        public_key: CertificatePublicKeyTypes,
        identity: SpiffeId,
        *,
        now: datetime,
        subject: Subject = _NO_SUBJECT,
        ttl: timedelta | None = None,
        dns_names: Sequence[str] = (),
        addresses: Sequence[IPv4Address | IPv6Address] = (),
    ) -> Issued:
        """A certificate for a key that is known to be the identity's. Raises AuthorityExpiredError."""
        if now >= self.expires:
            raise AuthorityExpiredError(f"the CA's certificate expired at {self.expires:%Y-%m-%d %H:%M} UTC")
        names = [
            x509.UniformResourceIdentifier(str(identity)),
            *map(x509.DNSName, dns_names),
            *map(x509.IPAddress, addresses),
        ]
        builder = leaf_builder(public_key, subject_name(subject), names)
        builder = (
            builder.issuer_name(self.certificate.subject)
            .serial_number(random_serial(self.random_bytes))
            .not_valid_before(max(now - BACKDATED, self.certificate.not_valid_before_utc))
            .not_valid_after(min(now + self.lifetimes.of(ttl), self.expires))
            .add_extension(authority_key_identifier(self.certificate), critical=False)
        )
        return Issued(identity, self.key.sign(builder), self.intermediates, self.roots)


def leaf_builder(
    public_key: CertificatePublicKeyTypes, subject: x509.Name, names: Sequence[x509.GeneralName]
) -> x509.CertificateBuilder:
    """What makes a certificate one of a workload: both ends of mTLS, no rights of a CA.

    RFC 5280 (4.2.1.6): the alternative name is critical exactly where the subject is empty.
    """
    both_ends = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
    usage = key_usage(key_encipherment=isinstance(public_key, rsa.RSAPublicKey), digital_signature=True)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(both_ends, critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=not list(subject))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def key_usage(
    *, digital_signature: bool = False, key_encipherment: bool = False, signs_certificates: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_encipherment=key_encipherment,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Names the issuer's key as the issuer itself names it, where it does."""
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = issuer.public_key()
        return x509.AuthorityKeyIdentifier(x509.SubjectKeyIdentifier.from_public_key(key).digest, None, None)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def random_serial(random_bytes: RandomBytes) -> int:
    """159 random bits: positive in 20 octets."""
    return int.from_bytes(random_bytes(_SERIAL_BYTES)) >> 1


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
