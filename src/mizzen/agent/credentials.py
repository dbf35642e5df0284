"""What a workload proves itself with: its key and its certificates. The key cannot be printed or copied by accident."""

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn

_PEM_BLOCK: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END CERTIFICATE-----"
)
_SEQUENCE, _EXPLICIT_VERSION, _UTC_TIME = 0x30, 0xA0, 0x17


class PrivateKeyPem:
    """A private key as PEM text; `reveal` is the only way out."""

    __slots__ = ("_pem",)

    def __init__(self, pem: str) -> None:
        self._pem = pem

    def reveal(self) -> str:
        return self._pem

    def __repr__(self) -> str:
        return "PrivateKeyPem(<redacted>)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a private key cannot be pickled or copied")


@dataclass(frozen=True, slots=True)
class Credentials:
    """`chain_pem`: the workload's certificate, then intermediates. `roots_pem`: whom to trust. Times in seconds since
    the epoch.
    """

    key: PrivateKeyPem
    chain_pem: str
    roots_pem: str
    not_before: float
    not_after: float


def validity(chain_pem: str) -> tuple[float, float]:
    """From when and until when the first certificate of the text is valid, in seconds since the epoch.

    Read by hand: the cryptography package would cost the agent 10 MB, or a process for each certificate.
    Source: RFC 5280, 4.1. Raises ValueError where there is no certificate.
    """
    found = _PEM_BLOCK.search(chain_pem)
    if found is None:
        raise ValueError("there is no PEM certificate in it")
    try:
        certificate, _ = _element(base64.b64decode(found.group(1)), _SEQUENCE)
        rest, _ = _element(certificate, _SEQUENCE)
        if rest[0] == _EXPLICIT_VERSION:
            _, rest = _element(rest)
        for _ in ("serial number", "signature algorithm", "issuer"):
            _, rest = _element(rest)
        times, _ = _element(rest, _SEQUENCE)
        not_before, times = _time(times)
        not_after, _ = _time(times)
    except IndexError:
        raise ValueError("the certificate is cut off") from None
    return not_before, not_after


def _element(der: bytes, expected: int | None = None) -> tuple[bytes, bytes]:
    """The content of the first DER element, and what follows the element."""
    if expected is not None and der[0] != expected:
        raise ValueError("the certificate is not in DER form")
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start])
    return der[start : start + length], der[start + length :]


def _time(der: bytes) -> tuple[float, bytes]:
    content, rest = _element(der)
    text = content.decode("ascii")
    if der[0] == _UTC_TIME:  # two digits for the year: 50 to 99 are of the last century
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp(), rest
