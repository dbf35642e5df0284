"""The pinned Envoy reads the facts of a peer's certificate out of its subject, as ca/subject.py writes them."""

import http.client
import json
import socket
import ssl
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mizzen.envoy_binary import envoy_path
from mizzen.model.subject import Subject, pattern_of
from tests.support.certificates import REVIEWS, a_key, an_authority, pem_of

FIELDS = ("workload", "namespace", "canonical_name", "canonical_revision", "cluster")
EXTENSIONS = "type.googleapis.com/envoy.extensions."


def extracted(field: str) -> dict:
    expression = f"re.extract(connection.subject_peer_certificate, '{pattern_of(field.replace(chr(95), chr(45)))}', '\\\\1')"
    text = {"text_format_source": {"inline_string": f"%CEL({expression})%"}, "omit_empty_values": True}
    return {"object_key": field, "factory_key": "envoy.string", "skip_if_empty": True, "format_string": text}


def bootstrap(folder: Path) -> dict:
    certificate = {"filename": str(folder / "server.pem")}
    tls = {
        "@type": EXTENSIONS + "transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": True,
        "common_tls_context": {
            "tls_certificates": [{"certificate_chain": certificate, "private_key": certificate}],
            "validation_context": {"trusted_ca": {"filename": str(folder / "ca" / "root-cert.pem")}},
        },
    }
    seen = "|".join([*(f"%FILTER_STATE({field}:PLAIN)%" for field in FIELDS), "%DOWNSTREAM_PEER_SUBJECT%"])
    log = {
        "@type": EXTENSIONS + "access_loggers.file.v3.FileAccessLog",
        "path": str(folder / "log"),
        "log_format": {"text_format_source": {"inline_string": seen + "\n"}},
    }
    http_filters = [
        {"name": "router", "typed_config": {"@type": EXTENSIONS + "filters.http.router.v3.Router"}}
    ]
    everything = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    connections = {
        "@type": EXTENSIONS + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "access_log": [{"name": "log", "typed_config": log}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [everything]}]},
        "http_filters": http_filters,
    }
    facts = {
        "@type": EXTENSIONS + "filters.network.set_filter_state.v3.Config",
        "on_downstream_tls_handshake": [extracted(field) for field in FIELDS],
    }
    chain = {
        "transport_socket": {"name": "tls", "typed_config": tls},
        "filters": [{"name": "facts", "typed_config": facts}, {"name": "http", "typed_config": connections}],
    }
    listener = {"name": "test", "address": {"pipe": {"path": str(folder / "listener.sock")}}}
    return {"static_resources": {"listeners": [listener | {"filter_chains": [chain]}]}}


def awaited(attempt, seconds=10.0):
    """The first true answer of `attempt`, which is repeated until then."""
    deadline = time.monotonic() + seconds
    while True:
        answer = attempt()
        if answer:
            return answer
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@contextmanager
def running_envoy(folder: Path):
    (folder / "envoy.json").write_text(json.dumps(bootstrap(folder)))
    options = [
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
        "-l",
        "error",
        "--file-flush-interval-msec",
        "20",
    ]
    envoy = subprocess.Popen([envoy_path(), "-c", folder / "envoy.json", *options])
    try:
        awaited(lambda: listens(folder / "listener.sock"))
        yield
    finally:
        envoy.terminate()
        envoy.wait(10)


def listens(path: Path) -> bool:
    """The file is there a moment before somebody listens."""
    with socket.socket(socket.AF_UNIX) as plain:
        return plain.connect_ex(str(path)) == 0


def call(folder: Path, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(folder / "ca" / "root-cert.pem"))
    context.check_hostname = False
    context.load_cert_chain(certificate)
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(str(folder / "listener.sock"))
        connection = http.client.HTTPConnection("test")
        connection.sock = context.wrap_socket(plain)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.status == 200
        response.read()
        connection.close()


@pytest.mark.envoy
def test_envoy_reads_every_fact(tmp_path):
    now = datetime.now(UTC)
    authority = an_authority(tmp_path, now)
    callers = [
        Subject("reviews-v1", "bookinfo", "reviews", "v1", "Kubernetes"),
        Subject("w" * 253, "n" * 63, "c" * 253, "v" * 63, "k" * 253),
        Subject(workload="w.1_2", canonical_name="x"),
        Subject(),
    ]
    files = {"server": Subject()} | {f"caller-{number}": subject for number, subject in enumerate(callers)}
    for name, subject in files.items():
        issued = authority.certify(a_key().public_key(), REVIEWS, subject=subject, now=now)
        (tmp_path / f"{name}.pem").write_bytes("".join(issued.pem_chain()[:-1]).encode() + pem_of(a_key()))
    with running_envoy(tmp_path):
        for number in range(len(callers)):
            call(tmp_path, tmp_path / f"caller-{number}.pem")
        log = tmp_path / "log"
        awaited(lambda: log.read_text().count("\n") == len(callers))
    assert log.read_text().splitlines() == [
        "|".join([*(getattr(caller, field) or "-" for field in FIELDS), caller.text or "-"])
        for caller in callers
    ]
