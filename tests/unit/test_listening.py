"""Who listens, as the kernel's table says it."""

import os
import socket

import pytest

from mizzen.listening import listening_ports


@pytest.mark.parametrize(
    ("bound", "asked"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.9"), ("::", "::1")]
)
def test_a_port_is_open_from_listen_to_close(bound, asked):
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    with socket.socket(family) as server:
        server.bind((bound, 0))
        port = server.getsockname()[1]
        assert port not in listening_ports(asked)
        server.listen()
        assert port in listening_ports(asked)
        assert port in listening_ports(asked, os.getpid())
    assert port not in listening_ports(asked)


def test_another_address_of_the_machine_is_not_meant():
    with socket.socket() as server:
        server.bind(("127.0.0.2", 0))
        server.listen()
        assert server.getsockname()[1] not in listening_ports("127.0.0.1")


def test_a_process_that_is_gone_listens_nowhere():
    assert listening_ports("127.0.0.1", 2**22 + 1) == set()
