"""Rotation of a root: at every moment whoever has a certificate that lives is trusted by all who have a bundle that they could have."""

import os
import shutil
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mizzen.ca import rotation
from mizzen.ca.authority import Lifetimes
from mizzen.ca.files import StateError
from mizzen.ca.live import LiveAuthority, Watching
from mizzen.ca.plugged import CERTIFICATE, KEY, ROOTS
from mizzen.ca.rotation import Stage
from tests.support.certificates import NOW, REVIEWS, a_ca, a_csr, a_key, pem_of, plug_in

LIFE = timedelta(hours=24)
MARGIN = timedelta(minutes=5)


@dataclass
class Mesh:
    """A CA in a folder, and what it has given out. `daemons` share the folder."""

    folder: Path
    now: datetime = NOW
    issued: list[tuple[x509.Certificate, tuple[x509.Certificate, ...]]] = field(default_factory=list)
    daemons: list[LiveAuthority] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.daemons = [self.daemon(), self.daemon()]

    def daemon(self) -> LiveAuthority:
        return LiveAuthority(
            self.folder / "ca",
            "cluster.local",
            Lifetimes(LIFE, LIFE),
            lambda: nullcontext(self.folder),
            clock=lambda: self.now,
            random_bytes=os.urandom,
            watching=Watching(margin=MARGIN),
        )

    @property
    def ca(self) -> Path:
        return self.folder / "ca"

    def begin(self) -> None:
        rotation.begin(
            self.ca,
            "cluster.local",
            now=self.now,
            random_bytes=os.urandom,
            wait=rotation.longest_wait(self.ca),
        )

    def pass_time(self, time: timedelta) -> None:
        """Daemons look every few seconds; a minute is as good here."""
        ends = self.now + time
        while self.now < ends:
            self.now = min(ends, self.now + timedelta(hours=1))
            for daemon in self.daemons:
                daemon.look()

    def issue(self, daemon: int = 0) -> None:
        made = self.daemons[daemon].current.sign(a_csr(), REVIEWS, now=self.now)
        self.issued.append((made.certificate, made.roots))

    def living(self):
        return [one for one in self.issued if one[0].not_valid_after_utc > self.now]

    def untrusted(self):
        """Pairs of living workloads of which one does not trust the other."""
        living = self.living()
        return [
            (certificate.serial_number, roots)
            for certificate, _ in living
            for _, roots in living
            if not any(signed(certificate, root) for root in roots)
        ]


def signed(certificate, root) -> bool:
    try:
        certificate.verify_directly_issued_by(root)
    except Exception:
        return False
    return True


def test_a_rotation_from_end_to_end(tmp_path):
    mesh = Mesh(tmp_path)
    old = mesh.daemons[0].current.certificate
    mesh.issue()
    mesh.begin()
    mesh.pass_time(timedelta(minutes=1))
    assert all(daemon.current.certificate == old for daemon in mesh.daemons)
    assert all(len(daemon.current.roots) == 2 for daemon in mesh.daemons)
    mesh.pass_time(LIFE)  # the margin is not over
    assert mesh.daemons[0].current.certificate == old
    mesh.pass_time(MARGIN)
    new = mesh.daemons[0].current.certificate
    assert new != old
    assert [daemon.current.certificate for daemon in mesh.daemons] == [new, new]
    assert all(len(daemon.current.roots) == 2 for daemon in mesh.daemons)
    mesh.pass_time(LIFE + MARGIN)
    assert all(daemon.current.roots == (new,) for daemon in mesh.daemons)
    assert sorted(path.name for path in mesh.ca.iterdir()) == [
        *(CERTIFICATE, KEY, "cert-chain.pem", ROOTS, rotation.WAIT_FILE)
    ]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("issue"), st.integers(0, 1)),
        st.tuples(st.just("pass"), st.integers(1, 30)),
        st.tuples(st.just("begin"), st.just(0)),
        st.tuples(st.just("restart"), st.integers(0, 1)),
    ),
    max_size=25,
)


@given(steps=STEPS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_at_every_moment_all_that_live_trust_each_other(tmp_path_factory, steps):
    mesh = Mesh(tmp_path_factory.mktemp("mesh"))
    for step, number in steps:
        match step:
            case "issue":
                mesh.issue(number)
            case "pass":
                mesh.pass_time(timedelta(hours=number))
            case "begin":
                if rotation.rotation(mesh.ca) is None:
                    mesh.begin()
                    for daemon in mesh.daemons:
                        daemon.look()
            case "restart":
                mesh.daemons[number] = mesh.daemon()
        assert mesh.untrusted() == []


@pytest.mark.parametrize("written", range(6))
def test_a_crash_between_any_two_writes_leaves_a_ca_that_goes_on(tmp_path, monkeypatch, written):
    mesh = Mesh(tmp_path)
    left = [written]
    write = rotation.write_private

    def failing(path, content):
        if left[0] == 0:
            raise StateError("the machine is gone")
        left[0] -= 1
        write(path, content)

    monkeypatch.setattr(rotation, "write_private", failing)
    try:
        mesh.begin()
        mesh.now += LIFE + MARGIN
        rotation.advance(mesh.ca, now=mesh.now, wait=LIFE + MARGIN)
    except StateError:
        pass
    monkeypatch.setattr(rotation, "write_private", write)
    mesh.daemons = [mesh.daemon()]
    mesh.issue()
    if rotation.rotation(mesh.ca) is None:
        mesh.begin()
    mesh.pass_time(3 * (LIFE + MARGIN))
    assert rotation.rotation(mesh.ca) is None
    assert len(mesh.daemons[0].current.roots) == 1
    mesh.issue()
    assert mesh.untrusted() == []


def test_an_old_root_is_rotated_without_being_asked(tmp_path):
    mesh = Mesh(tmp_path)
    old = mesh.daemons[0].current.certificate
    mesh.now = old.not_valid_after_utc - timedelta(days=364)
    mesh.pass_time(timedelta(hours=1))
    assert rotation.rotation(mesh.ca).stage is Stage.TRUSTED
    mesh.pass_time(2 * (LIFE + MARGIN))
    assert mesh.daemons[0].current.certificate != old


def test_a_step_waits_for_the_longest_certificate_of_any_daemon(tmp_path):
    Mesh(tmp_path)
    assert rotation.longest_wait(tmp_path / "ca") == LIFE + MARGIN
    assert rotation.longest_wait(tmp_path / "ca", timedelta(hours=1)) == LIFE + MARGIN
    assert rotation.longest_wait(tmp_path / "ca", timedelta(days=3)) == timedelta(days=3)
    assert rotation.longest_wait(tmp_path / "ca") == timedelta(days=3)


def test_two_rotations_at_once_are_refused(tmp_path):
    mesh = Mesh(tmp_path)
    mesh.begin()
    with pytest.raises(StateError, match="under way"):
        mesh.begin()


def test_a_plugged_in_ca_is_not_rotated_but_read_anew(tmp_path, caplog):
    root = a_ca("root")
    plug_in(tmp_path, pem_of(a_key("root")), root, [root])
    mesh = Mesh(tmp_path)
    with pytest.raises(StateError, match="plugged in"):
        mesh.begin()
    signer = a_ca("signer", root, a_key("root"))
    (mesh.ca / KEY).write_bytes(b"half of a key")
    mesh.pass_time(timedelta(minutes=1))
    assert mesh.daemons[0].current.certificate == root
    assert "the CA stays as it was" in caplog.text
    shutil.rmtree(mesh.ca)
    plug_in(tmp_path, pem_of(a_key("signer")), signer, [root])
    mesh.pass_time(timedelta(minutes=1))
    assert mesh.daemons[0].current.certificate == signer
    mesh.issue()
    assert mesh.issued[0][0].issuer == signer.subject


def test_an_alarm_long_before_the_end(tmp_path, caplog):
    root = a_ca("root", not_after=NOW + timedelta(days=40))
    plug_in(tmp_path, pem_of(a_key("root")), root, [root])
    mesh = Mesh(tmp_path)
    mesh.pass_time(timedelta(hours=2))
    assert "ends at" not in caplog.text
    mesh.now = NOW + timedelta(days=11)
    mesh.pass_time(timedelta(hours=2))
    assert caplog.text.count("ends at") == len(mesh.daemons)
