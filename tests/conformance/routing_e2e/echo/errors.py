"""Errors of a connection in the words that Istio's cases expect: those of Go's net and crypto/tls."""

import asyncio
import ssl

_ALERTS = {
    "ALERT_UNKNOWN_CA": "remote error: tls: unknown certificate authority",
    "ALERT_DECRYPT_ERROR": "remote error: tls: error decrypting message",
    "ALERT_BAD_CERTIFICATE": "remote error: tls: bad certificate",
    "ALERT_CERTIFICATE_REVOKED": "remote error: tls: revoked certificate",
    "ALERT_CERTIFICATE_EXPIRED": "remote error: tls: expired certificate",
    "ALERT_CERTIFICATE_UNKNOWN": "remote error: tls: unknown certificate",
    "ALERT_HANDSHAKE_FAILURE": "remote error: tls: handshake failure",
    "ALERT_PROTOCOL_VERSION": "remote error: tls: protocol version not supported",
    "CERTIFICATE_REQUIRED": "remote error: tls: certificate required",
    "ALERT_NO_APPLICATION_PROTOCOL": "remote error: tls: no application protocol",
}
# X509_V_ERR_* of OpenSSL: the chain does not lead to a certificate that is trusted.
_UNKNOWN_AUTHORITY = frozenset({2, 7, 18, 19, 20, 21})


def in_words(error: BaseException) -> str:
    match error:
        case ssl.SSLCertVerificationError() if error.verify_code in _UNKNOWN_AUTHORITY:
            return f"x509: certificate signed by unknown authority ({error.verify_message})"
        case ssl.SSLCertVerificationError():
            return f"x509: {error.verify_message}"
        case ssl.SSLEOFError() | asyncio.IncompleteReadError() | EOFError():
            return "EOF"
        case ssl.SSLError():
            reason = str(error.reason)
            return next((words for alert, words in _ALERTS.items() if alert in reason), str(error))
        case ConnectionResetError() | BrokenPipeError():
            return f"connection reset by peer ({error})"
        case ConnectionRefusedError():
            return "connection refused"
        case TimeoutError():
            return "i/o timeout"
    return str(error) or type(error).__name__
