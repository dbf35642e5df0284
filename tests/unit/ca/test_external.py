"""An external CA: a real command that signs, and every way in which its answer may be wrong."""

import sys
from datetime import UTC, datetime, timedelta

import pytest

from mizzen.ca.authority import Lifetimes
from mizzen.ca.csr import CsrRefusedError
from mizzen.ca.external import ExternalSigner, SigningFailedError
from mizzen.model.subject import Subject
from tests.support.certificates import REVIEWS, a_csr, a_key, an_authority

SIGNER = """
import json, os, sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from cryptography import x509
from mizzen.ca.plugged import open_authority
from mizzen.model.identity import SpiffeId

asked = json.load(sys.stdin)
wrong = sys.argv[2] if len(sys.argv) > 2 else ""
now = datetime.now(UTC)
authority = open_authority(Path(sys.argv[1]) / "ca", "cluster.local", now=now, random_bytes=os.urandom)
csr = x509.load_pem_x509_csr(asked["csr"].encode())
identity = "spiffe://cluster.local/ns/a/sa/b" if wrong == "identity" else asked["identity"]
if wrong == "status":
    sys.exit("the safe is closed")
if wrong == "nothing":
    sys.exit(0)
issued = authority.certify(
    authority.key.public_key() if wrong == "key" else csr.public_key(),
    SpiffeId.parse(identity),
    now=now + timedelta(days=2) if wrong == "future" else now,
    ttl=timedelta(seconds=asked["ttl_seconds"]),
    dns_names=[*asked["dns_names"], *(["evil.example"] if wrong == "names" else [])],
    addresses=[ip_address(each) for each in asked["addresses"]],
)
print("".join(issued.pem_chain()[:-1]))
"""


@pytest.fixture
def signer(tmp_path):
    an_authority(tmp_path, datetime.now(UTC))
    script = tmp_path / "sign.py"
    script.write_text(SIGNER)

    def make(*arguments: str, patience: float = 20.0, life: timedelta = timedelta(hours=1)) -> ExternalSigner:
        command = (sys.executable, str(script), str(tmp_path), *arguments)
        return ExternalSigner(command, tmp_path / "ca", Lifetimes(life, life), timedelta(seconds=patience))

    return make


async def issued(signer: ExternalSigner, csr: bytes | None = None):
    now = datetime.now(UTC)
    return await signer.issue(
        csr or a_csr(), REVIEWS, now=now, subject=Subject(workload="reviews-v1"), ttl=timedelta(minutes=10)
    )


async def test_what_the_command_signs_is_handed_on(signer):
    found = await issued(signer())
    assert found.certificate.public_key() == a_key().public_key()
    assert found.certificate.not_valid_after_utc < datetime.now(UTC) + timedelta(minutes=11)
    found.certificate.verify_directly_issued_by(found.roots[0])


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("identity", "other names"),
        ("names", "other names"),
        ("key", "another key"),
        ("future", "not valid now"),
        ("nothing", "no certificate in PEM form"),
        ("status", "the safe is closed"),
    ],
)
async def test_what_was_not_asked_for_reaches_nobody(signer, wrong, why):
    with pytest.raises(SigningFailedError, match=why):
        await issued(signer(wrong))


async def test_a_chain_to_another_root_is_refused(signer, tmp_path):
    other = tmp_path / "other"
    an_authority(other, datetime.now(UTC))
    made = signer()
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots" / "root-cert.pem").write_bytes((other / "ca" / "root-cert.pem").read_bytes())
    made.folder = tmp_path / "roots"
    with pytest.raises(SigningFailedError, match="does not lead to"):
        await issued(made)


async def test_a_command_that_hangs_or_is_not_there(tmp_path, signer):
    an_hour = ExternalSigner(("sleep", "3600"), tmp_path / "ca", Lifetimes(), timedelta(seconds=0.2))
    with pytest.raises(SigningFailedError, match="longer than"):
        await issued(an_hour)
    absent = ExternalSigner((str(tmp_path / "absent"),), tmp_path / "ca", Lifetimes())
    with pytest.raises(SigningFailedError, match="cannot be run"):
        await issued(absent)


async def test_a_csr_is_judged_before_anybody_is_asked(signer):
    with pytest.raises(CsrRefusedError):
        await issued(signer("status"), b"no csr")
