"""Certificates in secrets: whether there is one, and until when it is good."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509

from mizzen.analysis.objects import spec_of
from mizzen.config.credentials import UnusableSecretError, key_pair, values
from mizzen.config.resource import ResourceKey
from mizzen.config.types.kubernetes import Secret
from mizzen.incremental import Database, query

# Where a secret holds the certificate, and where its key: Kubernetes' TLS secrets, then Istio's generic ones.
_MEMBERS = (("tls.crt", "tls.key"), ("cert", "key"))
_MOST_BYTES = 1 << 20  # of a chain; larger ones no API server takes


@dataclass(frozen=True, slots=True)
class Held:
    """What a secret holds. `error` says why it is useless; where there is no certificate, the dates are None."""

    error: str = ""
    not_before: datetime | None = None  # of the chain's narrowest certificate
    not_after: datetime | None = None

    def problem(self, today: datetime | None) -> str:
        """Why it cannot be used; "" where it can. Without a clock, dates are not looked at."""
        if self.error or today is None or self.not_after is None or self.not_before is None:
            return self.error
        if today > self.not_after:
            return f"its certificate expired on {self.not_after:%Y-%m-%d}"
        return (
            f"its certificate is not valid before {self.not_before:%Y-%m-%d}"
            if today < self.not_before
            else ""
        )

    def expires_within(self, today: datetime, span: timedelta) -> bool:
        return self.not_after is not None and self.not_after - today < span


@query
def in_secret(db: Database, key: ResourceKey) -> Held | None:
    """The certificate of a secret; None: there is no such secret."""
    secret = spec_of(db, key, Secret)
    if secret is None:
        return None
    content = {name: value.reveal() for name, value in values(secret).items()}
    for certificate, private_key in _MEMBERS:
        if certificate in content:
            if private_key not in content:
                return Held(f'it has "{certificate}", but no "{private_key}"')
            return _usable(secret, read_certificate(content[certificate]))
    return Held(f"it has none of {', '.join(certificate for certificate, _ in _MEMBERS)}")


def _usable(secret: Secret, held: Held) -> Held:
    """A key that does not fit, or that Envoy does not take, makes the certificate useless."""
    try:
        key_pair(secret)
    except UnusableSecretError as problem:
        return held if held.error else replace(held, error=str(problem))
    return held


def read_certificate(pem: bytes) -> Held:
    """The dates of a chain in PEM."""
    try:
        chain = x509.load_pem_x509_certificates(pem[:_MOST_BYTES])
    except ValueError:
        return Held("its certificate is not PEM")
    return Held(
        not_before=max(each.not_valid_before_utc for each in chain),
        not_after=min(each.not_valid_after_utc for each in chain),
    )
