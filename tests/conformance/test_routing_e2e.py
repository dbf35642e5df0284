"""The runner of routing-e2e, without a lab: what it asks for, what it lets pass, and above all what it does not."""

import asyncio
import base64
import os
import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from tests.conformance.outcome import Outcome, SetResult, Status
from tests.conformance.routing_e2e import credentials
from tests.conformance.routing_e2e.checks import Responses, objections
from tests.conformance.routing_e2e.echo import client
from tests.conformance.routing_e2e.echo.errors import in_words
from tests.conformance.routing_e2e.echo.wire import Call, PortSettings, Result, Seen, Settings, Tls
from tests.conformance.routing_e2e.run import batches
from tests.conformance.routing_e2e.topology import ROOT, Topology
from tests.support.lab import until

SEEN = Seen("echo/b", "b-0", "v1", 18080, "HTTP/1.1", "10.0.0.1", host="b", path="/x?y=1")
OK = Result(status=200, headers=(("Location", "/there"),), body="hello", seen=SEEN)
REFUSED = Result(error="connection reset by peer")
FORBIDDEN = Result(status=403, body="RBAC: access denied")


def saw(**changes) -> Result:
    return msgspec.structs.replace(OK, seen=msgspec.structs.replace(SEEN, **changes))


def wrong(check, *results, scheme="http", received=None):
    return list(objections([check], Responses(scheme, results, received or {})))


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        ({"ok": True, "status": 200}, OK, FORBIDDEN),
        ({"ok": True}, OK, REFUSED),
        ({"no_error": True, "status": 403}, FORBIDDEN, REFUSED),
        ({"error": True}, REFUSED, OK),
        ({"status_not": 403}, OK, FORBIDDEN),
        ({"error_or_status": 403}, FORBIDDEN, OK),
        ({"error_or_status_not": 200}, REFUSED, OK),
        ({"error_contains_any": ["EOF", "reset"]}, REFUSED, Result(error="i/o timeout")),
        ({"body_contains": "RBAC"}, FORBIDDEN, OK),
        ({"body_not_contains": "RBAC"}, OK, FORBIDDEN),
        ({"forbidden_by_rbac": True}, FORBIDDEN, OK),
        ({"grpc_status": "Unavailable"}, Result(grpc_status=14), Result(grpc_status=0)),
        ({"response_headers": {"location": "/there"}}, OK, FORBIDDEN),
        ({"server_saw_host": "b"}, OK, saw(host="c")),
        ({"server_saw_url_path": "/x?y=1"}, OK, saw(path="/x")),
        ({"server_saw_protocol": "HTTP/1.1"}, OK, FORBIDDEN),
        ({"server_saw_headers": {"X-A": "b"}}, saw(headers=(("x-a", "b"),)), OK),
        ({"server_saw_headers": {"X-A": ""}}, OK, saw(headers=(("x-a", "b"),))),
        ({"mtls": True}, saw(headers=(("X-Forwarded-Client-Cert", "By=x"),)), OK),
        (
            {"server_saw_xff": {"entries": 2, "entry_1": "2.2.2.2"}},
            saw(headers=(("x-forwarded-for", "1.1.1.1, 2.2.2.2"),)),
            saw(headers=(("x-forwarded-for", "2.2.2.2, 1.1.1.1"),)),
        ),
        (
            {
                "server_saw_no_headers_except": {
                    "forbidden": ["server"],
                    "forbidden_prefix": "x-",
                    "allowed": ["x-a"],
                }
            },
            saw(headers=(("x-a", "b"),)),
            saw(headers=(("x-b", "b"),)),
        ),
        ({"any": [[{"error": True}], [{"status": 403}, {"body_contains": "RBAC"}]]}, FORBIDDEN, OK),
        (
            {"dns_answer_set": ["1.1.1.1"]},
            Result(addresses=("1.1.1.1",)),
            Result(addresses=("1.1.1.1", "::1")),
        ),
    ],
)
def test_a_check_tells_good_from_bad(check, good, bad):
    assert wrong(check, good) == []
    assert wrong(check, bad) != []
    assert wrong(check, good, bad) != [], "one bad response among good ones is enough"


def test_nothing_passes_without_a_response_or_by_an_unknown_check():
    assert wrong({"ok": True}) == ["there are no responses"]
    assert wrong({"looks_nice": True}, OK) == ["the runner does not know the check looks_nice"]


def test_a_tcp_answer_needs_no_status():
    assert wrong({"ok": True}, Result(body="x"), scheme="tcp") == []


def test_distributions_count_services_and_miss_none():
    of_b, of_c = saw(service="echo/b"), saw(service="echo/c")
    half = {"distribution": {"echo/b": 5, "echo/c": 5}, "tolerance": 1}
    assert wrong(half, *[of_b] * 6, *[of_c] * 4) == []
    assert wrong(half, *[of_b] * 7, *[of_c] * 3) != []
    only = {"distribution": {"b": 10}, "tolerance": 1}
    assert wrong(only, *[of_b] * 10) == []
    assert wrong(only, *[of_b] * 10, *[of_c] * 2) != [], "somebody answered who should not"
    assert wrong(only, *[REFUSED] * 10) != []


def test_mirrored_requests_are_counted_where_they_arrive():
    check = {"mirrored_percent": {"primary": "p", "mirror": "m", "percent": 50, "tolerance_percent": 10}}
    assert wrong(check, OK, received={"p": 100, "m": 58}) == []
    assert wrong(check, OK, received={"p": 100, "m": 61}) != []
    assert wrong(check, OK, received={}) != []


def test_one_workload_or_several():
    other = saw(workload="b-1")
    assert wrong({"all_responses_from_same_workload": True}, OK, OK) == []
    assert wrong({"all_responses_from_same_workload": True}, OK, other) != []
    assert wrong({"all_responses_from_same_workload": False}, OK, OK) != []


def test_cases_of_one_configuration_run_together_and_steps_in_their_order():
    def case(name, config, **more):
        return {"id": name, "config": config, **more}

    cases = [
        case("g/a", []),
        case("g/t/2", [2], step=2),
        case("g/b", [1]),
        case("g/t/1", [1], step=1),
        case("g/c", []),
    ]
    assert [[one["id"] for one in batch] for batch in batches(cases)] == [
        ["g/a", "g/c"],
        ["g/b"],
        ["g/t/1"],
        ["g/t/2"],
    ]


def test_secrets_are_made_as_they_are_described():
    described = {
        "kind": "Secret",
        "x-credential": "IngressCredentialA",
        "x-type": "Mtls",
        "x-compound": False,
    }
    made = credentials.secret(described)
    assert set(made["data"]) == {"cert", "key", "cacert"}
    assert not [key for key in made if key.startswith("x-")]
    parts = {"PrivateKey": "invalid", "Certificate": "<ingressutil.TLSServerCertA>"}
    tls = credentials.secret({"kind": "Secret", "x-credential": parts, "x-type": "TLS"})["data"]
    assert base64.b64decode(tls["tls.key"]) == b"invalid"
    assert b"BEGIN CERTIFICATE" in base64.b64decode(tls["tls.crt"])


def test_the_two_authorities_look_alike_and_are_not():
    one, other = (x509.load_pem_x509_certificate(credentials.pem(f"CaCert{x}").encode()) for x in "AB")
    leaf = x509.load_pem_x509_certificate(credentials.pem("TLSServerCertA").encode())
    assert one.subject == other.subject
    leaf.verify_directly_issued_by(one)
    with pytest.raises(InvalidSignature):
        leaf.verify_directly_issued_by(other)


def test_groups_that_nobody_asked_for_take_no_part_in_the_rate():
    passed = [Outcome(f"g/{number}", "g", Status.PASSED) for number in range(9)]
    failed = Outcome("g/9", "g", Status.FAILED)
    known = {"g/9": "known"}
    idle = {"authz": 100}
    assert list(SetResult("s", [*passed, failed], known, idle).objections()) == []
    together = list(SetResult("s", [*passed, failed], known, idle, minimum_together=0.95).objections())
    assert together == ["s: 90.0% pass together, less than 95%"]


def test_only_what_cases_mention_is_started():
    request = {"from": {"workload": "a", "namespace": "echo"}, "to": None, "address": "b.echo"}
    workload = {"name": "vm"}
    namespace = {"namespace": "echo", "workloads": [{"name": "a"}, {"name": "b", "sidecar": False}, workload]}
    document = {
        "ports": [],
        "gateways": [],
        "environments": {"pilot": {"namespaces": [namespace], "mesh_config": {}, "baseline_config": []}},
    }
    cases = [{"request": request, "config": [], "checks": []}]
    definition = Topology(document, "pilot", cases, Path("/control")).definition()
    assert {one.name: one.sidecar for one in definition.workloads} == {
        "echo-a": True,
        "echo-b": False,
        "outside-client": False,
    }


def test_errors_are_told_in_the_words_of_the_cases():
    assert in_words(ConnectionResetError("x")).startswith("connection reset by peer")
    assert in_words(EOFError()) == "EOF"
    assert in_words(TimeoutError()) == "i/o timeout"


PORTS = (
    PortSettings(0),
    PortSettings(0, tcp=True),
    PortSettings(0, tcp=True, server_first=True),
    PortSettings(0, proxy_protocol=True),
    PortSettings(0, tls=True),
    PortSettings(0, tls=True, client_certificates=True),
)


@contextmanager
def an_application(folder: Path):
    """On free ports; yields their numbers."""
    for name, file in (("certificate", "cert-chain"), ("key", "key"), ("root", "root-cert")):
        (folder / name).write_text(credentials.pem(f"tests/testdata/certs/dns/{file}.pem"))
    free = [_free_port() for _ in PORTS]
    settings = Settings(
        service="echo/b",
        version="v2",
        control=str(folder / "control"),
        ports=tuple(
            msgspec.structs.replace(port, number=number) for port, number in zip(PORTS, free, strict=True)
        ),
        certificate=str(folder / "certificate"),
        key=str(folder / "key"),
        root=str(folder / "root"),
    )
    environment = {
        **os.environ,
        "ECHO": msgspec.json.encode(settings).decode(),
        "MIZZEN_WORKLOAD": "b-0",
        "PYTHONPATH": str(ROOT),
    }
    command = (sys.executable, "-m", "tests.conformance.routing_e2e.echo")
    with subprocess.Popen(command, env=environment, cwd=folder) as process:
        try:
            until((folder / "control").exists, "the application listens")
            yield free
        finally:
            process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(**what) -> Result:
    return asyncio.run(client.call(Call(address="127.0.0.1", **what)))[0]


def test_the_application_answers_every_kind_of_request_with_what_it_saw(tmp_path):
    file = "tests/testdata/certs/dns/"
    root, certificate, key = (credentials.pem(f"{file}{x}.pem") for x in ("root-cert", "cert-chain", "key"))
    name = "server.default.svc"
    with an_application(tmp_path) as (http, tcp, server_first, proxied, tls, mtls):
        plain = call(scheme="http", port=http, headers={"X-A": "b"}, path="/p?q")
        assert (plain.seen.protocol, plain.seen.header("x-a"), plain.seen.path) == ("HTTP/1.1", "b", "/p?q")
        assert call(scheme="http", port=http, http2=True, host="h").seen.host == "h"
        assert call(scheme="http", port=http, http2=True).seen.protocol == "HTTP/2.0"
        rpc = call(scheme="grpc", port=http, message="hi")
        assert (rpc.status, rpc.grpc_status, rpc.seen.message) == (200, 0, "hi")
        assert call(scheme="ws", port=http, message="hi").seen.message == "hi"
        assert call(scheme="tcp", port=tcp).seen.protocol == "TCP"
        assert call(scheme="tcp", port=server_first, server_first=True).seen.protocol == "TCP"
        assert call(scheme="tcp", port=http, message="GET / HTTP/1.0\n").body.startswith("HTTP/1.0 200 OK")
        for version in (1, 2):
            seen = call(scheme="http", port=proxied, proxy_protocol=version).seen
            assert (seen.proxy_protocol, seen.source) == (str(version), "127.0.0.1")
        assert call(scheme="http", port=proxied).error == "EOF"
        secure = call(scheme="https", port=tls, host=name, tls=Tls(ca=root))
        assert (secure.seen.sni, secure.seen.alpn) == (name, "http/1.1")
        assert call(scheme="https", port=tls, http2=True, tls=Tls(sni="x.y")).seen.alpn == "h2"
        stranger = call(scheme="https", port=tls, host=name, tls=Tls(ca=credentials.pem("CaCertA")))
        assert "certificate signed by unknown authority" in stranger.error
        assert call(scheme="https", port=mtls, tls=Tls(certificate=certificate, key=key)).status == 200
        assert call(scheme="https", port=mtls).error != ""
        assert call(scheme="http", port=1).error == "connection refused"


def test_a_server_certificate_of_the_other_authority_is_of_an_unknown_one():
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = 7, "certificate signature failure"
    assert "certificate signed by unknown authority" in in_words(error)
