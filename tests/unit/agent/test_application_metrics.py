"""Where the application's metrics are, and asking a real socket for them."""

import ssl
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import DNSName

from mizzen.agent.application_metrics import (
    ApplicationMetrics,
    NoMetricsError,
    fetch,
    host_of,
    of_annotations,
    of_environment,
)
from tests.support.agent_mesh import Authority
from tests.support.metrics_servers import answering, ok

HERE = "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9090", ApplicationMetrics(9090)),
        ("9090/a/b?c=d", ApplicationMetrics(9090, "/a/b?c=d")),
        ("http:80", ApplicationMetrics(80)),
        ("https:9443/metrics", ApplicationMetrics(9443, "/metrics", "https")),
    ],
)
def test_an_option_says_where(text, expected):
    assert ApplicationMetrics.parse(text) == expected
    assert ApplicationMetrics.parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not"),
        ("metrics", "is not"),
        ("http://elsewhere:80/", "is not"),
        ("10.0.0.1:80/metrics", "is not"),
        ("0", "0 is no port"),
        ("70000", "70000 is no port"),
        ("15020", "it would ask itself"),
        ("80/a b", "is no path"),
        ("80/a\r\nHost: b", "is no path"),
        ("ftp:80", "is not"),
    ],
)
def test_what_cannot_be_asked_is_said_in_words(text, words):
    with pytest.raises(ValueError, match=words):
        ApplicationMetrics.parse(text)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, None),
        ({"scheme": "https"}, None),
        ({"scrape": "false", "port": "9090"}, None),
        ({"scrape": "true"}, ApplicationMetrics(80)),
        ({"port": "9090"}, ApplicationMetrics(9090)),
        ({"path": "/m"}, ApplicationMetrics(80, "/m")),
        (
            {"scrape": "true", "port": "9090", "path": "/m", "scheme": "HTTPS"},
            ApplicationMetrics(9090, "/m", "https"),
        ),
    ],
)
def test_the_annotations_are_istios(parts, expected):
    assert of_annotations(parts) == expected


@pytest.mark.parametrize("parts", [{"port": "http"}, {"port": "80", "scheme": "ftp"}, {"path": "metrics"}])
def test_annotations_that_cannot_be_meant(parts):
    with pytest.raises(ValueError, match=r"is no port|neither http nor https|is no path"):
        of_annotations(parts)


def test_the_variable_of_istios_injector():
    name = "ISTIO_PROMETHEUS_ANNOTATIONS"
    assert of_environment({name: '{"scrape":"true","path":"","port":"9090"}'}) == ApplicationMetrics(9090)
    assert of_environment({}) is None
    for wrong in ("no JSON", "[]", '{"port": 9090}', '{"port": "http"}', '{"port": "15020"}'):
        with pytest.raises(ValueError, match=r"."):
            of_environment({name: wrong})


@pytest.mark.parametrize(
    ("address", "host"),
    [("10.0.0.2", "127.0.0.1"), ("127.64.0.2", "127.64.0.2"), ("fd00::2", "::1"), ("::1", "::1")],
)
def test_only_this_machine_is_asked(address, host):
    assert host_of(address) == host


async def test_it_is_asked_for_text_at_its_path():
    async with answering(ok(b"a 1\n")) as app:
        metrics = ApplicationMetrics(app.port, "/m?x=y")
        assert await fetch(metrics, HERE, app.port, 2.5) == b"a 1\n"
    request = app.heard[0].decode()
    assert request.startswith(f"GET /m?x=y HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\n")
    assert "\r\nAccept: text/plain;version=0.0.4;" in request
    assert "\r\nX-Prometheus-Scrape-Timeout-Seconds: 2.5\r\n" in request


async def test_a_body_comes_in_chunks_or_until_the_end():
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\na \r\n2\r\n1\n\r\n0\r\n\r\n"
    for answer in (chunked, b"HTTP/1.0 200\r\n\r\na 1\n"):
        async with answering(answer) as app:
            assert await fetch(ApplicationMetrics(app.port), HERE, app.port, 2.5) == b"a 1\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "bytes"),
        (b"nonsense\r\n\r\n", "."),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "it answered 404 Not Found"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n", "it answered 302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na 1\n", "bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\na 1\n", "longer than 16777216 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\na 1\n", "."),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", "longer than"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"a 1\n" * (5 << 20), "longer than"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "."),
        (ok(b"<html>"), "line 1 is not of Prometheus' text form"),
        (ok(b"\x0a\x05hello", "application/vnd.google.protobuf"), "line 2 is not"),
    ],
)
async def test_no_metrics_has_a_reason(answer, words):
    async with answering(answer) as app:
        with pytest.raises(NoMetricsError, match=words):
            await fetch(ApplicationMetrics(app.port), HERE, app.port, 5)


async def test_who_does_not_answer_is_not_waited_for():
    async with answering(ok(b"a 1\n"), at_once=False) as app:
        with pytest.raises(NoMetricsError, match=r"no answer within 0.05 s"):
            await fetch(ApplicationMetrics(app.port), HERE, app.port, 0.05)
    with pytest.raises(NoMetricsError, match="failed"):
        await fetch(ApplicationMetrics(app.port), HERE, app.port, 5)


async def test_over_tls_nobody_is_verified(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    file = tmp_path / "somebody.pem"
    file.write_text(pem + Authority().sign(key.public_key(), [DNSName("somebody")], timedelta(hours=1)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    async with answering(ok(b"a 1\n"), ssl=context) as app:
        metrics = ApplicationMetrics(app.port, "/metrics", "https")
        assert await fetch(metrics, HERE, app.port, 5) == b"a 1\n"
