"""Are TLS versions and ciphers current, and are servers verified?"""

from collections.abc import Iterator

from mizzen.analysis.objects import resources
from mizzen.analysis.posture.check import Weaknesses, check
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path
from mizzen.config.types.networking import (
    ClientTLSMode,
    ClientTLSSettings,
    DestinationRule,
    TLSProtocol,
    TrafficPolicy,
)
from mizzen.incremental import Database

_OLD = frozenset({TLSProtocol.TLSV1_0, TLSProtocol.TLSV1_1})

# Of the suites that Envoy (BoringSSL) takes: without forward secrecy, or with CBC and SHA-1, or 3DES (RFC 9325, 4.2).
_WEAK = frozenset(
    {
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
        "DES-CBC3-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-RSA-AES256-SHA",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
    }
)


@check(
    "Is TLS below 1.2 refused?",
    why="TLS 1.0 and 1.1 have known breaks and are forbidden by RFC 8996",
    codes="MZ0307",
)
def tls_versions(db: Database) -> Weaknesses:
    for gateway in resources(db, "Gateway"):
        for index, server in enumerate(gateway.spec.servers):
            if server.tls is not None and server.tls.min_protocol_version in _OLD:
                path = ("spec", "servers", index, "tls", "minProtocolVersion")
                message = f"port {server.port.number} accepts {server.tls.min_protocol_version.value}"
                yield (
                    gateway.key,
                    Finding("MZ0307", path, message, "set TLSV1_2, or remove it: that is the default"),
                )


@check(
    "Are weak ciphers refused?",
    why="without forward secrecy, who gets the key can read what was recorded before; CBC and 3DES leak plain text",
    codes="MZ0308",
)
def tls_ciphers(db: Database) -> Weaknesses:
    for gateway in resources(db, "Gateway"):
        for index, server in enumerate(gateway.spec.servers):
            for number, cipher in enumerate(server.tls.cipher_suites if server.tls else ()):
                if cipher in _WEAK:
                    path = ("spec", "servers", index, "tls", "cipherSuites", number)
                    message = f"port {server.port.number} accepts {cipher}"
                    yield gateway.key, Finding("MZ0308", path, message, "remove it")


@check(
    "Are servers verified where TLS is originated?",
    why="without verification, whoever is on the way can answer in the server's name",
    codes="MZ0309",
)
def tls_verification(db: Database) -> Weaknesses:
    for rule in resources(db, "DestinationRule"):
        for tls, path in _client_tls(rule.spec):
            problem = _unverified(tls)
            if problem:
                message = f'TLS to "{rule.spec.host}": {problem}'
                yield rule.key, Finding("MZ0309", path, message, "set caCertificates and subjectAltNames")


def _unverified(tls: ClientTLSSettings) -> str:
    if tls.mode not in (ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL):
        return ""
    if tls.insecure_skip_verify:
        return "insecureSkipVerify is true"
    return (
        "" if tls.ca_certificates or tls.credential_name else "no caCertificates: the server is not verified"
    )


def _client_tls(spec: DestinationRule) -> Iterator[tuple[ClientTLSSettings, Path]]:
    policies: list[tuple[TrafficPolicy | None, Path]] = [(spec.traffic_policy, ("spec", "trafficPolicy"))]
    policies += [
        (subset.traffic_policy, ("spec", "subsets", index, "trafficPolicy"))
        for index, subset in enumerate(spec.subsets)
    ]
    for policy, path in policies:
        if policy is None:
            continue
        if policy.tls is not None:
            yield policy.tls, (*path, "tls")
        for index, setting in enumerate(policy.port_level_settings):
            if setting.tls is not None:
                yield setting.tls, (*path, "portLevelSettings", index, "tls")
