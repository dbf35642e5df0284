r"""What a certificate's subject tells the telemetry of the other side: one OU for each fact, as `OU=<key>=<value>`.

The destination's Envoy gets the peer's subject as RFC 2253 text, such as `OU=namespace=shop,OU=workload=cart-v1`, and
reads each fact with `%CEL(re.extract(connection.subject_peer_certificate, '<ou_pattern>', '\\1'))%` (tested with the
pinned Envoy). The facts are written from the registered workload, never from the CSR. **Never authorise by them**:
the identity is the URI SAN alone.
"""

import re
from dataclasses import dataclass, fields

from cryptography import x509
from cryptography.x509.oid import NameOID

# Kubernetes' alphabet of names and label values. It has no character that RFC 2253 escapes and no "=", so that no
# value can pass for another fact. The length is that of the longest name; X.520's bound of 64 for an OU is enforced
# by none of OpenSSL, BoringSSL (Envoy), Go and cryptography.
_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Subject:
    """The facts. What is empty, or has a character that names and labels cannot have, is left out: the label is
    then `unknown` in the metrics of the peer, which is better than no certificate.
    """

    workload: str = ""
    namespace: str = ""
    canonical_name: str = ""
    canonical_revision: str = ""
    cluster: str = ""

    def to_name(self) -> x509.Name:
        facts = ((ou_key(field.name), getattr(self, field.name)) for field in fields(self))
        return x509.Name(
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"{key}={value}")
            for key, value in facts
            if _VALUE.fullmatch(value)
        )


def ou_key(field: str) -> str:
    """The key that stands in the OU for a field of Subject: `canonical_name` -> `canonical-name`."""
    return field.replace("_", "-")


def ou_pattern(field: str) -> str:
    """The regular expression whose first group is the field's value, for a whole match on the subject's text."""
    return rf"(?:.*,)?OU={ou_key(field)}=([^,]+).*"
