"""Join tokens: what a workload on a plain host shows once, to get its first certificate.

    mzj1.<payload>.<mac>        payload and mac in base64url without padding

The payload is a JSON array: trust domain, namespace, service account, workload ("" for any), expiry (seconds since
the epoch), token id. The mac is HMAC-SHA256 over the text before it, version included, and is compared as text: two
spellings of the same bytes are two tokens, of which one is refused.
"""

import base64
import hmac
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from mizzen.ca.authority import RandomBytes
from mizzen.ca.files import StateError, read_private, write_private
from mizzen.ca.keys import Secret
from mizzen.model.identity import SpiffeId

KEY_FILE = "join-token.key"
_VERSION = b"mzj1"
_KEY_BYTES = 32
_ID_BYTES = 9
_LIMIT_BYTES = 4096  # far above the longest names; nothing longer is even hashed


class TokenRefusedError(Exception):
    """The token proves nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What a token says. `workload` is a name in the identity's namespace, or "" for any of its service account.

    `expires` counts in whole seconds. `token_id` is there so that one token can be revoked.
    """

    identity: SpiffeId
    workload: str
    expires: datetime
    token_id: str


class JoinTokenKey(Secret):
    """The key that signs join tokens; every daemon of a mesh holds the same one."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) < _KEY_BYTES:
            raise ValueError(f"a key of join tokens has at least {_KEY_BYTES} bytes")
        self._key = key

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises StateError."""
        try:
            return cls(_decoded(read_private(path).strip()))
        except ValueError:
            raise StateError(
                f"{path} holds no join token key",
                "remove it to have a new one made; tokens given out before are then refused",
            ) from None

    @classmethod
    def open(cls, path: Path, random_bytes: RandomBytes) -> Self:
        """The key of the file, which is made where there is none, by one process at a time. Raises StateError."""
        if not path.exists():
            write_private(path, _encoded(random_bytes(_KEY_BYTES)) + b"\n")
        return cls.load(path)

    def issue(self, token: JoinToken) -> str:
        """The text to hand to the workload. It is a secret until it expires."""
        identity = token.identity
        if SpiffeId.parse(str(identity)) != identity:
            raise ValueError(f"{identity} is not the identity of a workload")
        expires = int(token.expires.timestamp())
        says = [
            *(identity.trust_domain, identity.namespace, identity.service_account),
            *(token.workload, expires, token.token_id),
        ]
        payload = json.dumps(says, separators=(",", ":"), ensure_ascii=False).encode()
        signed = _VERSION + b"." + _encoded(payload)
        return (signed + b"." + self._mac(signed)).decode()

    def verify(
        self, text: str, *, trust_domain: str, now: datetime, revoked: Collection[str] = ()
    ) -> JoinToken:
        """What the token says, if this key signed it and it still holds. `revoked` are IDs. Raises TokenRefusedError."""
        raw = text.encode(errors="replace")
        signed, dot, mac = raw.rpartition(b".")
        if len(raw) > _LIMIT_BYTES or not dot or not signed.startswith(_VERSION + b"."):
            raise TokenRefusedError("the join token is malformed: copy it whole")
        if not hmac.compare_digest(mac, self._mac(signed)):
            raise TokenRefusedError("the join token was damaged, or signed with the key of another daemon")
        token = _parse(signed.removeprefix(_VERSION + b"."))
        if token.identity.trust_domain != trust_domain:
            raise TokenRefusedError(
                f"the join token is for trust domain {token.identity.trust_domain!r}, this is {trust_domain!r}"
            )
        if now >= token.expires:
            raise TokenRefusedError(
                f"the join token expired at {token.expires:%Y-%m-%d %H:%M:%S} UTC: make a new one"
            )
        if token.token_id in revoked:
            raise TokenRefusedError("the join token is revoked: ask for a new one")
        return token

    def _mac(self, signed: bytes) -> bytes:
        return _encoded(hmac.digest(self._key, signed, "sha256"))


def new_token_id(random_bytes: RandomBytes) -> str:
    return _encoded(random_bytes(_ID_BYTES)).decode()


def _parse(payload: bytes) -> JoinToken:
    """Only for what the key has signed: it can be malformed only if another version of Mizzen wrote it."""
    try:
        trust_domain, namespace, service_account, workload, expires, token_id = json.loads(_decoded(payload))
        identity = SpiffeId(trust_domain, namespace, service_account)
        return JoinToken(identity, workload, datetime.fromtimestamp(expires, UTC), token_id)
    except (ValueError, TypeError, OverflowError):
        raise TokenRefusedError("the join token is of another version of Mizzen: make a new one") from None


def _encoded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _decoded(text: bytes) -> bytes:
    """Raises ValueError (which binascii.Error is)."""
    padded = text + b"=" * (-len(text) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True)
