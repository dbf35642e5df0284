"""The daemon's serving certificate: fresh for whoever connects, its key nowhere on disk."""

import ssl
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from mizzen.ca.authority import Authority
from mizzen.ca.server_identity import SERVER_NAME, ServedAs, ServerIdentity
from tests.support.certificates import NOW, a_ca, a_key, an_authority, pem_of, plug_in

SERVED_AS = ServedAs("cluster.local", dns_names=("mizzen.example",), addresses=(ip_address("10.0.0.1"),))


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def served_certificate(context: ssl.SSLContext, authority: Authority) -> x509.Certificate:
    """What a client gets to see: a handshake in memory. The clock of TLS is the machine's, so time is not checked."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    der = client.getpeercert(binary_form=True)
    certificate = x509.load_der_x509_certificate(der)
    certificate.verify_directly_issued_by(authority.certificate)
    return certificate


def test_it_names_the_daemon(tmp_path, clock):
    authority = an_authority(tmp_path)
    identity = ServerIdentity(authority, SERVED_AS, clock=clock)
    certificate = served_certificate(identity.context(), authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [SERVER_NAME, "localhost", "mizzen.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("10.0.0.1")]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        "spiffe://cluster.local/ns/mizzen-system/sa/mizzen"
    ]


def test_it_asks_for_a_client_certificate_and_requires_none(tmp_path, clock):
    context = ServerIdentity(an_authority(tmp_path), SERVED_AS, clock=clock).context()
    assert context.verify_mode is ssl.CERT_OPTIONAL
    assert len(context.get_ca_certs()) == 1


def test_it_is_renewed_before_half_of_its_life(tmp_path, clock):
    authority = an_authority(tmp_path)
    identity = ServerIdentity(authority, SERVED_AS, clock=clock, lifetime=timedelta(hours=10))
    first = identity.context()
    assert identity.renew_at == NOW + timedelta(hours=4)
    clock.now = identity.renew_at - timedelta(seconds=1)
    assert identity.context() is first
    clock.now = identity.renew_at
    renewed = identity.context()
    assert renewed is not first
    assert identity.context() is renewed
    old, new = served_certificate(first, authority), served_certificate(renewed, authority)
    assert new.not_valid_after_utc == old.not_valid_after_utc + timedelta(hours=4)
    assert new.public_key() != old.public_key()


def test_after_a_long_silence_nobody_meets_an_expired_one(tmp_path, clock):
    authority = an_authority(tmp_path)
    identity = ServerIdentity(authority, SERVED_AS, clock=clock)
    clock.now = NOW + timedelta(days=30)
    assert served_certificate(identity.context(), authority).not_valid_after_utc > clock.now


def test_with_the_ca_expired_it_serves_what_it_has(tmp_path, clock):
    root = a_ca("root", not_after=NOW + timedelta(hours=1))
    plug_in(tmp_path, pem_of(a_key("root")), root, [root])
    identity = ServerIdentity(an_authority(tmp_path), SERVED_AS, clock=clock)
    last = identity.context()
    clock.now = NOW + timedelta(hours=2)
    assert identity.context() is last


def test_a_plugged_in_ca_sends_the_way_to_its_root(tmp_path, clock):
    root = a_ca("root")
    signer = a_ca("signer", root, a_key("root"))
    plug_in(tmp_path, pem_of(a_key("signer")), signer, [root])
    authority = an_authority(tmp_path)
    context = ServerIdentity(authority, SERVED_AS, clock=clock).context()
    served_certificate(context, authority)
    assert context.get_ca_certs(binary_form=True)


def test_its_key_is_in_no_file_and_no_descriptor_stays_open(tmp_path, clock):
    authority = an_authority(tmp_path)
    before, files = set(Path("/proc/self/fd").iterdir()), set(tmp_path.rglob("*"))
    ServerIdentity(authority, SERVED_AS, clock=clock).context()
    assert set(Path("/proc/self/fd").iterdir()) == before
    assert set(tmp_path.rglob("*")) == files
