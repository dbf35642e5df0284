"""The posture report: each check fails on what it is for, and passes without it."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from mizzen.analysis.inputs import ENVOY_VERSIONS, FILES
from mizzen.analysis.offline import Reading, database
from mizzen.analysis.posture.envoy import ADVISORIES, parse_version
from mizzen.analysis.posture.report import CHECKS, posture
from mizzen.config.decode import decode
from mizzen.config.diagnostics import CATALOGUE
from mizzen.config.resource import path_text

TODAY = datetime(2026, 6, 1, tzinfo=UTC)
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {}\n---\n"


def self_signed(*, not_after):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "web")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, TODAY - timedelta(days=100), not_after)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def weaknesses(text, *, today=TODAY, files=(), envoys=()):
    reading = Reading()
    reading.add(decode(text, "x.yaml"))
    db = database(reading.located, today)
    for name, content in files:
        db.set(FILES, name, content)
    for name, version in envoys:
        db.set(ENVOY_VERSIONS, name, version)
    report = db.value(posture)
    return {
        name: [
            (found.code, str(key) if key else "", path_text(found.path))
            for key, found in of_check
            if key is None or key in reading.located
        ]
        for name, of_check in report.results
    }


def security(kind, name, namespace, spec):
    return (
        f"apiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {spec}\n---\n"
    )


def networking(kind, spec):
    return f"apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: web}}\nspec: {spec}\n---\n"


def server(tls):
    return networking(
        "Gateway",
        "{selector: {app: gw}, servers: [{port: {number: 443, name: https, protocol: HTTPS},"
        f" hosts: [a.example.com], tls: {tls}}}]}}",
    )


SERVER = ("Gateway default/web", "spec.servers[0]")
TLS = "{mode: SIMPLE, credentialName: c, %s}"
MESH = "apiVersion: mesh.istio.io/v1alpha1\nkind: MeshConfig\nmetadata: {name: m}\nspec: {%s}\n"

CASES = [
    ("mutual_tls", SERVICE, [("MZ0301", "", "")]),
    ("mutual_tls", SERVICE + security("PeerAuthentication", "d", "shop", "{mtls: {mode: STRICT}}"), []),
    (
        "mutual_tls",
        SERVICE + security("PeerAuthentication", "d", "istio-system", "{mtls: {mode: STRICT}}"),
        [],
    ),
    (
        "mutual_tls",
        SERVICE + security("PeerAuthentication", "d", "shop", "{mtls: {mode: PERMISSIVE}}"),
        [("MZ0301", "PeerAuthentication shop/d", "spec.mtls.mode")],
    ),
    (
        "mutual_tls",
        networking(
            "DestinationRule", "{host: web.shop.svc.cluster.local, trafficPolicy: {tls: {mode: DISABLE}}}"
        ),
        [("MZ0302", "DestinationRule default/web", "spec.trafficPolicy.tls.mode")],
    ),
    ("default_deny", SERVICE, [("MZ0304", "", "")]),
    ("default_deny", SERVICE + security("AuthorizationPolicy", "none", "shop", "{}"), []),
    ("default_deny", SERVICE + security("AuthorizationPolicy", "none", "istio-system", "{}"), []),
    (
        "default_deny",
        SERVICE + security("AuthorizationPolicy", "p", "shop", "{rules: [{}]}"),
        [("MZ0304", "", "")],
    ),
    (
        "policy_principals",
        security("AuthorizationPolicy", "p", "shop", '{rules: [{from: [{source: {principals: ["*"]}}]}]}'),
        [("MZ0306", "AuthorizationPolicy shop/p", "spec.rules[0].from[0].source.principals")],
    ),
    (
        "policy_principals",
        security("AuthorizationPolicy", "p", "shop", "{rules: [{}]}"),
        [("MZ0306", "AuthorizationPolicy shop/p", "spec.rules[0]")],
    ),
    ("policy_principals", security("AuthorizationPolicy", "p", "shop", "{action: DENY, rules: [{}]}"), []),
    ("egress", "", [("MZ0303", "", "")]),
    ("egress", MESH % "outboundTrafficPolicy: {mode: REGISTRY_ONLY}", []),
    (
        "gateway_hosts",
        networking(
            "Gateway",
            '{selector: {a: b}, servers: [{port: {number: 80, name: h, protocol: HTTP}, hosts: ["shop/*", a.b]}]}',
        ),
        [("MZ0305", "Gateway default/web", "spec.servers[0].hosts[0]")],
    ),
    ("tls_versions", server(TLS % "minProtocolVersion: TLSV1_1"), [("MZ0307", *SERVER)]),
    ("tls_versions", server(TLS % "minProtocolVersion: TLSV1_2"), []),
    (
        "tls_ciphers",
        server(TLS % "cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256, AES128-SHA]"),
        [("MZ0308", *SERVER)],
    ),
    ("tls_ciphers", server(TLS % "cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256]"), []),
    (
        "tls_verification",
        networking("DestinationRule", "{host: a.example.com, trafficPolicy: {tls: {mode: SIMPLE}}}"),
        [("MZ0309", "DestinationRule default/web", "spec.trafficPolicy.tls")],
    ),
    (
        "tls_verification",
        networking(
            "DestinationRule", "{host: a.b, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /r.pem}}}"
        ),
        [],
    ),
]


@pytest.mark.parametrize(("check", "text", "expected"), CASES)
def test_a_check(check, text, expected):
    found = weaknesses(text)[check]
    assert [(code, key) for code, key, _ in found] == [(code, key) for code, key, _ in expected]
    assert all(path.startswith(wanted) for (_, _, path), (_, _, wanted) in zip(found, expected, strict=True))


def test_the_codes_of_a_check_are_its_own():
    declared = [code for check in CHECKS for code in check.codes]
    assert len(declared) == len(set(declared))
    assert set(declared) == {code for code in CATALOGUE if code.startswith("MZ03")}


@pytest.mark.parametrize(("days", "code"), [(-1, "MZ0311"), (10, "MZ0310"), (90, None)])
def test_certificates_near_their_end(days, code):
    pem = self_signed(not_after=TODAY + timedelta(days=days))
    found = weaknesses(
        server("{mode: SIMPLE, serverCertificate: /c.pem, privateKey: /k.pem}"), files=[("/c.pem", pem)]
    )
    assert [one for one, _, _ in found["certificate_expiry"]] == ([code] if code else [])


def test_certificates_in_secrets():
    pem = self_signed(not_after=TODAY + timedelta(days=10)).decode().replace("\n", "\\n")
    secret = (
        f'apiVersion: v1\nkind: Secret\nmetadata: {{name: c}}\nstringData: {{tls.key: k, tls.crt: "{pem}"}}\n'
    )
    assert weaknesses(secret)["certificate_expiry"] == [("MZ0310", "Secret default/c", "metadata.name")]


@pytest.mark.parametrize(
    ("version", "cves"),
    [
        ("1.40.0", set()),
        ("1.36.0", {"CVE-2025-62409"}),
        ("1.35.5", set()),
        ("1.27.1", {"CVE-2024-23324", "CVE-2024-30255", "CVE-2025-62409"}),
        ("1.30.0", {"CVE-2025-62409"}),
        ("1.20.0", {advisory.cve for advisory in ADVISORIES}),
        ("nonsense", set()),
    ],
)
def test_vulnerable_envoys(version, cves):
    parsed = parse_version(version)
    assert {each.cve for each in ADVISORIES if parsed and each.affects(parsed)} == cves
    assert len(weaknesses("", envoys=[("me", version)])["envoy_versions"]) == len(cves)
