"""TLS: which settings a mode needs, and which it does not use."""

from collections.abc import Iterator
from typing import Final

from mizzen.config.resource import Path
from mizzen.config.types.networking import (
    ClientTLSMode,
    ClientTLSSettings,
    ServerTLSMode,
    ServerTLSSettings,
    TLSProtocol,
)
from mizzen.config.validation.rules import Findings, camel, given, invalid, questionable

CIPHER_SUITES: Final = frozenset(
    {
        *(
            f"ECDHE-{key}-AES{bits}-GCM-SHA{sha}"
            for key in ("ECDSA", "RSA")
            for bits, sha in ((128, 256), (256, 384))
        ),
        *(f"ECDHE-{key}-CHACHA20-POLY1305" for key in ("ECDSA", "RSA")),
        *(f"ECDHE-{key}-AES{bits}-SHA" for key in ("ECDSA", "RSA") for bits in (128, 256)),
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
        "DES-CBC3-SHA",
    }
)
"""Those of BoringSSL that a TLS 1.2 server can be told to use."""

CURVES: Final = frozenset(
    {"P-224", "P-256", "P-384", "P-521", "X25519", "X25519MLKEM768", "X25519Kyber768Draft00"}
)

_MOST_CERTIFICATES = 2  # one RSA, one ECDSA: Envoy chooses by what the client can do
_OLD: Final = (TLSProtocol.TLSV1_0, TLSProtocol.TLSV1_1)
_SERVER_FILES: Final = ("server_certificate", "private_key", "ca_certificates")
_SECRETS: Final = ("credential_name", "credential_names")
_PASSED_THROUGH: Final = (ServerTLSMode.PASSTHROUGH, ServerTLSMode.AUTO_PASSTHROUGH)
_VERIFYING: Final = (ServerTLSMode.MUTUAL, ServerTLSMode.OPTIONAL_MUTUAL)


def server_tls(settings: ServerTLSSettings, path: Path) -> Findings:
    yield from _ciphers(settings, path)
    mode = settings.mode
    if mode is ServerTLSMode.ISTIO_MUTUAL:
        for name in given(settings, (*_SERVER_FILES, *_SECRETS, "tls_certificates")):
            message = f"{camel(name)} cannot be set: ISTIO_MUTUAL uses the mesh's certificates"
            yield invalid((*path, camel(name)), message, "remove it")
        return
    if mode in _PASSED_THROUGH:
        for name in given(settings, (*_SERVER_FILES, *_SECRETS, "ca_crl", "tls_certificates")):
            message = f"{camel(name)} has no effect: {mode.value} does not terminate TLS"
            yield questionable((*path, camel(name)), message, "remove it, or use another mode")
        return
    yield from _one_source(settings, path)
    if not given(settings, _SECRETS):
        yield from _certificates(settings, path)
        if settings.ca_crl and mode is ServerTLSMode.SIMPLE:
            yield invalid((*path, "caCrl"), "SIMPLE verifies no clients, so it needs no CRL", "remove it")


def _one_source(settings: ServerTLSSettings, path: Path) -> Findings:
    sources = given(settings, (*_SECRETS, "tls_certificates"))
    if settings.server_certificate and settings.private_key:
        sources.append("server_certificate")
    if len(sources) > 1:
        yield invalid(path, f"only one of {', '.join(map(camel, sources))} can be set", "keep one of them")
    for name in ("credential_names", "tls_certificates"):
        if (count := len(getattr(settings, name))) > _MOST_CERTIFICATES:
            message = f"{count} certificates: {settings.mode.value} uses {_MOST_CERTIFICATES} at most"
            yield questionable((*path, camel(name)), message, "remove the others")


def _certificates(settings: ServerTLSSettings, path: Path) -> Findings:
    """Of files, for a mode that terminates TLS."""
    mode = settings.mode.value
    for index, pair in enumerate(settings.tls_certificates):
        for name in ("server_certificate", "private_key"):
            if not getattr(pair, name):
                yield invalid((*path, "tlsCertificates", index), f"{mode} needs {camel(name)}", "add it")
    if not settings.tls_certificates:
        for name in ("server_certificate", "private_key"):
            if not getattr(settings, name):
                yield invalid(path, f"{mode} needs {camel(name)}", "add it, or credentialName")
    roots = (settings.ca_certificates, settings.ca_cert_credential_name)
    with_pairs = [pair.ca_certificates for pair in settings.tls_certificates]
    if settings.mode in _VERIFYING and not any((*roots, *with_pairs)):
        yield invalid(path, f"{mode} needs caCertificates", "add it, or credentialName")


def _ciphers(settings: ServerTLSSettings, path: Path) -> Findings:
    if settings.min_protocol_version in _OLD and not settings.cipher_suites:
        message = f"no cipher suite that is on by default works with {settings.min_protocol_version.value}"
        yield questionable((*path, "minProtocolVersion"), message, "add cipherSuites, or use TLSV1_2")
    for index, suite, is_known in _listed(settings.cipher_suites, CIPHER_SUITES):
        what = "is there twice" if is_known else "is no cipher suite that Envoy knows"
        yield questionable((*path, "cipherSuites", index), f'"{suite}" {what}; it is ignored', "remove it")


def _listed(names: tuple[str, ...], known: frozenset[str]) -> Iterator[tuple[int, str, bool]]:
    """Index and name of what is unknown (False) or repeated (True)."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        # BoringSSL's list can also be an expression: "ALL", "-AES128-SHA", "[a|b]".
        if name not in known and name not in ("", "ALL") and name[0].isalnum():
            yield index, name, False
        elif name in seen:
            yield index, name, True
        seen.add(name)


def curves(names: tuple[str, ...], path: Path) -> Findings:
    for index, name, is_known in _listed(names, CURVES):
        what = "is there twice" if is_known else "is no curve that Envoy knows"
        yield questionable((*path, index), f'"{name}" {what}', "remove it")


_LONGEST_SNI: Final = 255
_CLIENT_FILES: Final = ("client_certificate", "private_key", "ca_certificates", "ca_crl")


def client_tls(settings: ClientTLSSettings, path: Path) -> Findings:
    mode = settings.mode
    if mode is ClientTLSMode.ISTIO_MUTUAL:
        for name in given(settings, (*_CLIENT_FILES, "credential_name")):
            message = f"{camel(name)} has no effect: ISTIO_MUTUAL uses the mesh's certificates"
            yield questionable((*path, camel(name)), message, "remove it")
    if mode in (ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL):
        yield from _not_verified(settings, path)
        files = given(settings, _CLIENT_FILES)
        if settings.credential_name and files:
            yield invalid(
                path, f"credentialName excludes {', '.join(map(camel, files))}", "keep one of the two ways"
            )
        for name in ("client_certificate", "private_key"):
            if mode is ClientTLSMode.MUTUAL and not settings.credential_name and name not in files:
                yield invalid(path, f"MUTUAL needs {camel(name)}", f"add {camel(name)}")
    if len(settings.sni) > _LONGEST_SNI:
        yield invalid((*path, "sni"), f"it is longer than {_LONGEST_SNI} characters", "write a host's name")
    for name in (*_CLIENT_FILES, "sni"):
        if any(character in getattr(settings, name) for character in "\0\r\n"):
            yield invalid((*path, camel(name)), "it cannot hold NUL or line breaks")


def _not_verified(settings: ClientTLSSettings, path: Path) -> Findings:
    if not settings.insecure_skip_verify:
        return
    ways = ["ca_certificates", "subject_alt_names"]
    if (
        settings.mode is ClientTLSMode.SIMPLE
    ):  # with MUTUAL the secret may hold the client's certificate alone
        ways.append("credential_name")
    if there := given(settings, ways):
        message = f"insecureSkipVerify excludes {', '.join(map(camel, there))}"
        yield invalid((*path, "insecureSkipVerify"), message, "remove one of the two")
