"""The CA's folder: made at the first start, kept afterwards, and each fault in it named in one line."""

import errno
import os
import stat
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from mizzen.ca.files import StateError
from tests.support.certificates import NOW, REVIEWS, a_ca, a_csr, a_key, an_authority, pem_of, plug_in

FILES = {"ca-key.pem", "ca-cert.pem", "cert-chain.pem", "root-cert.pem"}


def refusal(state, now=NOW) -> str:
    """The one line that the user gets."""
    with pytest.raises(StateError) as caught:
        an_authority(state, now)
    line = str(caught.value)
    assert "\n" not in line
    assert caught.value.hint, "it says what to do"
    return line


def plug_in_root(state, **options):
    root = a_ca("root", **options)
    return plug_in(state, pem_of(a_key("root")), root, [root])


class TestFirstStart:
    def test_makes_a_root_that_only_its_owner_can_read(self, tmp_path):
        authority = an_authority(tmp_path)
        assert {file.name for file in (tmp_path / "ca").iterdir()} == FILES
        assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "ca").iterdir()} == {0o600}
        assert authority.roots == (authority.certificate,)
        assert authority.certificate.public_key().curve.name == "secp256r1"
        assert authority.expires == NOW + timedelta(days=3650)
        assert authority.intermediates == ()

    def test_the_next_start_has_the_same_root(self, tmp_path):
        assert (
            an_authority(tmp_path).certificate == an_authority(tmp_path, NOW + timedelta(days=1)).certificate
        )

    def test_an_empty_folder_is_filled(self, tmp_path):
        (tmp_path / "ca").mkdir()
        assert an_authority(tmp_path).roots

    def test_the_state_folder_itself_is_made(self, tmp_path):
        an_authority(tmp_path / "new" / "state")
        assert stat.S_IMODE((tmp_path / "new" / "state").stat().st_mode) == 0o700

    def test_what_a_crash_left_of_an_earlier_attempt_is_replaced(self, tmp_path):
        unfinished = tmp_path / ".ca.new"
        unfinished.mkdir()
        (unfinished / "ca-key.pem").write_text("half a key")
        an_authority(tmp_path)
        assert [entry.name for entry in tmp_path.iterdir()] == ["ca"]

    def test_a_full_disk_leaves_no_part_of_a_ca(self, tmp_path, monkeypatch):
        def full(descriptor):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            assert refusal(tmp_path) == (
                f"cannot write to {tmp_path}, the disk is full: free some space and start again"
            )
        assert not (tmp_path / "ca").exists()
        an_authority(tmp_path)

    def test_a_folder_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("")
        line = refusal(tmp_path / "file")
        assert line.startswith(f"cannot write to {tmp_path / 'file' / 'ca'} (Not a directory): ")
        assert line.endswith("or choose another state folder")

    def test_a_folder_of_somebody_else(self, tmp_path, monkeypatch):
        def denied(*arguments, **options):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(os, "open", denied)
        assert "(Permission denied): make it a folder that the user who runs Mizzen may write to" in refusal(
            tmp_path
        )


class TestPluggedIn:
    def test_an_rsa_ca_signs(self, tmp_path):
        key = rsa.generate_private_key(65537, 2048)
        root = a_ca("rsa root", key=key)
        plug_in(tmp_path, pem_of(key), root, [root])
        issued = an_authority(tmp_path).sign(a_csr(), REVIEWS, now=NOW)
        issued.certificate.verify_directly_issued_by(root)

    def test_the_chain_file_is_optional(self, tmp_path):
        (plug_in_root(tmp_path) / "cert-chain.pem").unlink()
        assert an_authority(tmp_path).intermediates == ()

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
    def test_a_key_that_others_can_read_is_refused(self, tmp_path, mode):
        key = plug_in_root(tmp_path) / "ca-key.pem"
        key.chmod(mode)
        assert refusal(tmp_path) == f"other users can read {key} (mode {mode:04o}): run `chmod 600 {key}`"

    def test_an_unreadable_file(self, tmp_path):
        key = plug_in_root(tmp_path) / "ca-key.pem"
        key.unlink()
        key.mkdir()
        assert refusal(tmp_path) == (
            f"cannot read {key} (Is a directory): make it readable to the user who runs Mizzen"
        )

    def test_a_missing_file_is_named_and_nothing_is_overwritten(self, tmp_path):
        folder = plug_in_root(tmp_path)
        (folder / "ca-key.pem").unlink()
        (folder / "root-cert.pem").unlink()
        left = {file: file.read_bytes() for file in folder.iterdir()}
        assert refusal(tmp_path) == (
            f"{folder} lacks ca-key.pem and root-cert.pem: add what is missing, or move the folder away to have a"
            " new root made"
        )
        assert left == {file: file.read_bytes() for file in folder.iterdir()}

    def test_a_key_of_another_certificate(self, tmp_path):
        root = a_ca("root")
        folder = plug_in(tmp_path, pem_of(a_key("other")), root, [root])
        assert refusal(tmp_path) == (
            f"{folder / 'ca-key.pem'} is not the key of {folder / 'ca-cert.pem'}: put the two files of one CA there"
        )

    def test_an_expired_ca(self, tmp_path):
        plug_in_root(tmp_path, not_after=NOW)
        assert "'CN=root'" in refusal(tmp_path)
        assert "expired on 2026-03-01 12:00 UTC: put a new one there" in refusal(tmp_path)

    def test_an_expired_root_above(self, tmp_path):
        root = a_ca("root", not_after=NOW)
        signer = a_ca("signer", root, a_key("root"))
        plug_in(tmp_path, pem_of(a_key("signer")), signer, [root])
        assert "'CN=root'" in refusal(tmp_path)

    def test_a_ca_of_the_future(self, tmp_path):
        plug_in_root(tmp_path, not_before=NOW + timedelta(days=1))
        assert "is not valid before 2026-03-02 12:00 UTC: check this machine's clock" in refusal(tmp_path)

    def test_a_chain_with_a_gap(self, tmp_path):
        root = a_ca("root")
        signer = a_ca("signer", a_ca("middle", root, a_key("root")), a_key("middle"))
        plug_in(tmp_path, pem_of(a_key("signer")), signer, [root])
        assert "does not lead to" in refusal(tmp_path)
        assert refusal(tmp_path).endswith(
            "has signed 'CN=signer': add the certificates between to cert-chain.pem"
        )

    def test_a_root_of_the_same_name_with_another_key(self, tmp_path):
        signer = a_ca("signer", a_ca("root"), a_key("root"))
        plug_in(tmp_path, pem_of(a_key("signer")), signer, [a_ca("root", key=a_key("impostor"))])
        assert "does not lead to" in refusal(tmp_path)

    def test_certificates_that_sign_each_other(self, tmp_path):
        one = a_ca("one", a_ca("two"), a_key("two"))
        two = a_ca("two", a_ca("one"), a_key("one"))
        plug_in(tmp_path, pem_of(a_key("one")), one, [a_ca("root")], [one, two])
        assert "does not lead to" in refusal(tmp_path)

    def test_a_certificate_that_is_no_cas(self, tmp_path):
        plug_in_root(tmp_path, ca=False)
        assert refusal(tmp_path).endswith("is not a CA's: it needs CA:TRUE and the key usage keyCertSign")

    def test_a_root_that_allows_no_ca_below_it(self, tmp_path):
        root = a_ca("root", path_length=0)
        signer = a_ca("signer", root, a_key("root"))
        plug_in(tmp_path, pem_of(a_key("signer")), signer, [root])
        assert "allows 0 CAs below it, but 1 are: raise its pathlen" in refusal(tmp_path)

    @pytest.mark.parametrize("name", ["ca-cert.pem", "root-cert.pem", "cert-chain.pem"])
    def test_a_file_without_a_certificate(self, tmp_path, name):
        file = plug_in_root(tmp_path) / name
        file.write_text("nothing")
        assert refusal(tmp_path) == f"{file} holds no certificate in PEM form: put the right file there"

    @pytest.mark.parametrize(
        ("key", "why"),
        [
            (b"nothing", "it holds no private key in PEM form, put the right file there"),
            (
                a_key("root").private_bytes(
                    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
                ),
                "it is encrypted, decrypt it (`openssl pkey -in OLD -out NEW`)",
            ),
            (
                pem_of(rsa.generate_private_key(65537, 1024)),
                "RSA keys need at least 2048 bits, this one has 1024",
            ),
            (
                pem_of(ed25519.Ed25519PrivateKey.generate()),
                "use an ECDSA or RSA key, Envoy verifies no other by default",
            ),
            (b"x" * (1 << 20) + b"x", ""),
        ],
        ids=["none", "encrypted", "small", "ed25519", "huge"],
    )
    def test_a_key_that_cannot_be_used(self, tmp_path, key, why):
        file = plug_in_root(tmp_path) / "ca-key.pem"
        file.write_bytes(key)
        if why:
            assert refusal(tmp_path) == f"cannot use {file}: {why}"
        else:
            assert "is larger than" in refusal(tmp_path)
