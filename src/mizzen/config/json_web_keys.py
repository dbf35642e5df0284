"""JSON Web Key Sets (RFC 7517): which of their keys a proxy can verify tokens with.

Envoy refuses a whole listener for a key set in which no key is usable; then the configuration that was in force before would
stay. So only sets that have passed here reach it.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

_CURVES: Mapping[str, tuple[type[ec.EllipticCurve], str]] = {
    "P-256": (ec.SECP256R1, "ES256"),
    "P-384": (ec.SECP384R1, "ES384"),
    "P-521": (ec.SECP521R1, "ES512"),
}
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_HMAC = frozenset({"HS256", "HS384", "HS512"})
_LEAST_RSA_BITS, _LEAST_HMAC_BYTES = 1024, 32


def usable_keys(text: str, *, secret: bool) -> str | None:
    """The key set with those of its keys alone that verify tokens, in one form; None where there is none.

    `secret`: whether a symmetric key may be among them. One that was fetched is known to whoever can fetch it.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    keys = document.get("keys") if isinstance(document, dict) else None
    found = [key for key in keys if _is_usable(key, secret=secret)] if isinstance(keys, list) else []
    return json.dumps({"keys": found}, sort_keys=True, separators=(",", ":")) if found else None


def _is_usable(key: Any, *, secret: bool) -> bool:
    if not isinstance(key, dict) or not all(
        isinstance(key.get(name, ""), str) for name in ("kid", "alg", "use")
    ):
        return False
    if key.get("use", "sig") != "sig":
        return False
    try:
        match key.get("kty"):
            case "RSA":
                return _is_rsa(key)
            case "EC":
                return _is_elliptic(key)
            case "OKP":
                return _is_edwards(key)
            case "oct":
                return (
                    secret
                    and key.get("alg", "") in {"", *_HMAC}
                    and len(_bytes(key, "k")) >= _LEAST_HMAC_BYTES
                )
    except (ValueError, UnsupportedAlgorithm):
        return False
    return False


def _is_rsa(key: Mapping[str, Any]) -> bool:
    found = rsa.RSAPublicNumbers(_number(key, "e"), _number(key, "n")).public_key()
    return key.get("alg", "") in {"", *_RSA} and found.key_size >= _LEAST_RSA_BITS


def _is_elliptic(key: Mapping[str, Any]) -> bool:
    curve, algorithm = _CURVES.get(key.get("crv", ""), (None, ""))
    if curve is None or key.get("alg", algorithm) != algorithm:
        return False
    ec.EllipticCurvePublicNumbers(_number(key, "x"), _number(key, "y"), curve()).public_key()
    return True


def _is_edwards(key: Mapping[str, Any]) -> bool:
    if key.get("crv") != "Ed25519" or key.get("alg", "EdDSA") != "EdDSA":
        return False
    ed25519.Ed25519PublicKey.from_public_bytes(_bytes(key, "x"))
    return True


def _number(key: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_bytes(key, name))


def _bytes(key: Mapping[str, Any], name: str) -> bytes:
    """Raises ValueError."""
    value = key.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(name)
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(name) from error
