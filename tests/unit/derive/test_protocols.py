"""What a port is taken to speak."""

import pytest

from mizzen.derive.protocols import port_protocol
from mizzen.model.service import Protocol


@pytest.mark.parametrize(
    ("name", "app_protocol", "transport", "expected"),
    [
        ("http", "", "TCP", Protocol.HTTP),
        ("HTTP2-web", "", "TCP", Protocol.HTTP2),
        ("grpc-web", "", "TCP", Protocol.GRPC_WEB),
        ("grpc-web-v1", "", "TCP", Protocol.GRPC_WEB),
        ("grpc-webhook", "", "TCP", Protocol.GRPC),
        ("mysql-main", "", "TCP", Protocol.MYSQL),
        ("httpd", "", "TCP", Protocol.AUTO),
        ("web-http", "", "TCP", Protocol.AUTO),
        ("", "", "TCP", Protocol.AUTO),
        ("tcp", "http", "TCP", Protocol.HTTP),
        ("http", "HTTPS", "", Protocol.HTTPS),
        ("http", "kubernetes.io/h2c", "TCP", Protocol.HTTP2),
        ("http", "example.com/own", "TCP", Protocol.HTTP),
        ("web", "example.com/own", "TCP", Protocol.AUTO),
        ("http", "http", "udp", Protocol.UDP),
    ],
)
def test_app_protocol_speaks_before_the_name_and_transport_before_both(
    name: str, app_protocol: str, transport: str, expected: Protocol
) -> None:
    assert port_protocol(name, app_protocol, transport) is expected
