r"""What a workload's certificate says of it besides its identity, in the subject: one OU for each fact, as `OU=<key>=<value>`.

It is for the telemetry of the other side, whose Envoy has the peer's subject as RFC 2253 text, such as
`OU=namespace=shop,OU=workload=cart-v1` (`%DOWNSTREAM_PEER_SUBJECT%`). The facts are written from the registered workload, never
from the CSR; endpoints carry the same text. **Never authorise by them**: the identity is the URI SAN alone.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

# Kubernetes' alphabet of names and label values. It has no character that RFC 2253 escapes and no "=", so that no
# value can pass for another fact. The length is that of the longest name; X.520's bound of 64 for an OU is enforced
# by none of OpenSSL, BoringSSL (Envoy), Go and cryptography.
_VALUE = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?"
_IS_VALUE = re.compile(_VALUE)
_UNIT = re.compile(rf"(?:^|(?<!\\),)OU=([a-z-]+)=({_VALUE})(?=,|$)")


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

    def units(self) -> Iterator[str]:
        """The values of the OUs."""
        for field in fields(self):
            value = getattr(self, field.name)
            if _IS_VALUE.fullmatch(value):
                yield f"{_key(field.name)}={value}"

    @property
    def text(self) -> str:
        """As Envoy prints the subject of the certificate."""
        return ",".join(f"OU={unit}" for unit in reversed(list(self.units())))


def facts_of(text: str) -> Mapping[str, str]:
    """The facts in a subject's text, by key (`canonical-name`). What else stands there is ignored."""
    return dict(_UNIT.findall(text))


def pattern_of(key: str) -> str:
    """The regular expression whose first group is a fact, for a whole match on the subject's text."""
    return rf"(?:.*,)?OU={key}=([^,]+).*"


def _key(field: str) -> str:
    return field.replace("_", "-")
