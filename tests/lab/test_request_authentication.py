"""Tokens before real proxies: what a JWT must be to prove something, at a sidecar and at a gateway."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mizzen.lab.definition import Ingress, LabDefinition, Workload
from tests.support.lab import Lab, running_lab

pytestmark = pytest.mark.lab

ISSUER, AUDIENCE = "https://issuer.example.com", "shop"
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
INGRESS = Ingress(workload="front", port=80)
SERVER = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({key.lower(): value for key, value in self.headers.items()}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int) -> str:
    return text(value.to_bytes((value.bit_length() + 7) // 8))


def key_set() -> str:
    public = RSA_KEY.public_key().public_numbers()
    return json.dumps({"keys": [{"kty": "RSA", "kid": "one", "n": number(public.n), "e": number(public.e)}]})


def signed(header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    said = ".".join(text(json.dumps(part).encode()) for part in (header, claims))
    match header["alg"]:
        case "RS256":
            signature = RSA_KEY.sign(said.encode(), padding.PKCS1v15(), hashes.SHA256())
        case "ES256":
            r, s = decode_dss_signature(EC_KEY.sign(said.encode(), ec.ECDSA(hashes.SHA256())))
            signature = r.to_bytes(32) + s.to_bytes(32)
        case "HS256":  # with what everybody knows as the secret
            public = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            signature = hmac.digest(public, said.encode(), hashlib.sha256)
        case _:
            signature = b""
    return f"{said}.{text(signature)}"


def token(alg: str = "RS256", kid: str = "one", **claims: object) -> str:
    now = int(time.time())
    said = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "iat": now,
        "exp": now + 600,
        "team": "red",
        **claims,
    }
    return signed(
        {"alg": alg, "kid": kid, "typ": "JWT"},
        {key: value for key, value in said.items() if value is not None},
    )


MESH = f"""
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: 8000}}]}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  jwtRules:
  - issuer: {ISSUER}
    audiences: [{AUDIENCE}]
    jwks: '{key_set()}'
    outputPayloadToHeader: x-payload
    outputClaimToHeaders: [{{header: x-user, claim: sub}}]
  - issuer: https://unknown.example.com
    jwksUri: http://127.0.0.1:1/keys
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: edge}}
spec: {{jwtRules: [{{issuer: "{ISSUER}", jwks: '{key_set()}', forwardOriginalToken: true}}]}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: front, namespace: edge}}
spec:
  selector: {{app: front}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*"]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: front, namespace: edge}}
spec:
  hosts: ["*"]
  gateways: [front]
  http:
  - match: [{{headers: {{"@request.auth.claims.team": {{exact: red}}}}}}]
    route: [{{destination: {{host: web.shop.svc.cluster.local}}}}]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "mesh.yaml").write_text(MESH)
    idle = ("python", "-m", "http.server", "8001")
    workloads = (
        Workload(
            name="web",
            namespace="shop",
            labels={"app": "web"},
            command=("python", "-c", SERVER),
            ports=(8000,),
        ),
        Workload(name="caller", namespace="shop", labels={"app": "caller"}, command=idle, ports=(8001,)),
        Workload(name="front", namespace="edge", labels={"app": "front"}, gateway=True),
    )
    with running_lab(
        folder, definition=LabDefinition(name="tokens", workloads=workloads, ingress=INGRESS)
    ) as started:
        yield started


def status(lab: Lab, headers: Mapping[str, str] | None = None) -> int:
    return lab.request("caller", "http://web/", headers)[0]


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_a_valid_token_or_none(lab: Lab) -> None:
    assert status(lab) == 200
    code, _, body = lab.request("caller", "http://web/", bearer(token()))
    assert code == 200
    seen = json.loads(body)
    assert seen["x-user"] == "alice"
    assert "authorization" not in seen  # Istio: a token is not handed on unless it is asked for


def test_tokens_that_prove_nothing(lab: Lab) -> None:
    now = int(time.time())
    refused = {
        "expired": token(exp=now - 300),
        "a clock five minutes ahead": token(nbf=now + 300, iat=now + 300),
        "another issuer": token(iss="https://evil.example.com"),
        "no signature": token(alg="none"),
        "the public key as a secret": token(alg="HS256"),
        "another key": token(alg="ES256", kid="mizzen-no-key"),
        "an unknown key": token(kid="two"),
        "an issuer whose keys are not known": token(iss="https://unknown.example.com"),
        "keys of nobody": token(alg="ES256", kid="mizzen-no-key", iss="https://unknown.example.com"),
        "damaged": token()[:-5] + "AAAAA",
        "no token": "nothing",
    }
    assert {why: status(lab, bearer(one)) for why, one in refused.items()} == dict.fromkeys(refused, 401)
    # Replayed where it was not meant to be used, or meant for nobody.
    assert [status(lab, bearer(token(aud=other))) for other in ("bank", ["bank"], None)] == [403, 403, 403]


def test_clocks_that_differ_by_less_than_a_minute(lab: Lab) -> None:
    now = int(time.time())
    assert status(lab, bearer(token(nbf=now + 30))) == 200
    assert status(lab, bearer(token(exp=now - 30))) == 200


def test_what_proxies_write_nobody_else_can(lab: Lab) -> None:
    forged = {"x-user": "root", "x-payload": "e30"}
    _, _, body = lab.request("caller", "http://web/", {**forged, **bearer(token())})
    assert json.loads(body)["x-user"] == "alice"
    assert json.loads(body)["x-payload"] != "e30"


def at_gateway(lab: Lab, headers: Mapping[str, str]) -> int:
    return lab.ingress("/", headers)[0]


def test_routes_by_claims_cannot_be_had_by_a_header(lab: Lab) -> None:
    assert at_gateway(lab, bearer(token())) == 200
    assert at_gateway(lab, bearer(token(team="blue"))) == 404
    assert at_gateway(lab, {}) == 404
    assert at_gateway(lab, {"@request.auth.claims.team": "red"}) in {400, 404}
    assert at_gateway(lab, {"request.auth.claims.team": "red"}) == 404
