"""`mizzen ca` on a state folder, as an operator uses it."""

import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from mizzen.ca.revocation import read_revocations
from mizzen.ca.tokens import KEY_FILE, JoinTokenKey
from mizzen.cli.ca import command
from mizzen.daemon.lock import state_folder
from mizzen.errors import UserError
from tests.support.certificates import an_authority


@pytest.fixture
def state(tmp_path) -> Path:
    folder = tmp_path / "state"
    an_authority(folder, datetime.now(UTC))
    JoinTokenKey.open(folder / KEY_FILE, os.urandom)
    return folder


def mizzen_ca(*arguments: object) -> str:
    """What it prints. Raises what it raises."""
    result = CliRunner().invoke(command, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_status_says_what_signs_and_until_when(state):
    first, signs, trusted, rotation = mizzen_ca("status", "--state-dir", state).splitlines()
    assert first == "CA: self-signed by Mizzen"
    assert signs.split()[1] == trusted.split()[1]
    assert (signs.split()[0], trusted.split()[0]) == ("signs", "trusted")
    assert rotation == "rotation: none under way"


def test_a_rotation_is_begun_once(state):
    assert "the old one signs" in mizzen_ca("rotate", "--state-dir", state)
    assert mizzen_ca("status", "--state-dir", state).count("trusted ") == 2
    with pytest.raises(UserError, match="under way already"):
        mizzen_ca("rotate", "--state-dir", state)


def test_revoking_and_taking_it_back(state):
    mizzen_ca(
        "revoke", "--state-dir", state, "--token", "abc", "--workload", "shop/cart", "--workload", "shop/web"
    )
    mizzen_ca("revoke", "--state-dir", state, "--workload", "shop/web", "--undo")
    found = read_revocations(state / "ca")
    assert found.tokens == {"abc"}
    assert found.identities == {"spiffe://cluster.local/ns/shop/sa/cart"}
    assert "revoked identity: spiffe://cluster.local/ns/shop/sa/cart" in mizzen_ca(
        "status", "--state-dir", state
    )
    assert (state / "ca" / "revoked.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["cart", "shop/", "/cart", "a/b/c"])
def test_what_names_no_workload_is_refused(state, name):
    with pytest.raises(UserError, match="NAMESPACE/ACCOUNT"):
        mizzen_ca("revoke", "--state-dir", state, "--workload", name)


def test_a_backup_is_private_and_brings_everything_back(state, tmp_path):
    mizzen_ca("rotate", "--state-dir", state)
    mizzen_ca("revoke", "--state-dir", state, "--token", "abc")
    archive = tmp_path / "backup.tar"
    mizzen_ca("backup", "--state-dir", state, archive)
    assert archive.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UserError, match="not there yet"):
        mizzen_ca("backup", "--state-dir", state, archive)
    restored = tmp_path / "restored"
    mizzen_ca("restore", "--state-dir", restored, archive)
    assert (restored / KEY_FILE).read_bytes() == (state / KEY_FILE).read_bytes()
    for file in (state / "ca").iterdir():
        assert (restored / "ca" / file.name).read_bytes() == file.read_bytes()
        assert (restored / "ca" / file.name).stat().st_mode & 0o777 == 0o600
    assert mizzen_ca("status", "--state-dir", restored) == mizzen_ca("status", "--state-dir", state)
    with pytest.raises(UserError, match="has a CA"):
        mizzen_ca("restore", "--state-dir", restored, archive)


def test_nothing_is_restored_under_a_running_daemon(state, tmp_path):
    archive, other = tmp_path / "backup.tar", tmp_path / "other"
    mizzen_ca("backup", "--state-dir", state, archive)
    with state_folder(other), pytest.raises(UserError, match="another daemon runs"):
        mizzen_ca("restore", "--state-dir", other, archive)


@pytest.mark.parametrize("name", ["ca/../../evil", "../evil", "/etc/passwd", "ca/deep/file", "daemon.lock"])
def test_an_archive_that_is_no_backup_writes_nothing(tmp_path, name):
    file, content = tmp_path / "backup.tar", tmp_path / "content"
    content.write_text("x")
    with tarfile.open(file, "w") as archive:
        archive.add(content, arcname=name)
    with pytest.raises(UserError, match="is no backup"):
        mizzen_ca("restore", "--state-dir", tmp_path / "other", file)
    assert not (tmp_path / "other" / "ca").exists()
    assert not (tmp_path / "evil").exists()


def test_a_link_in_an_archive_is_not_followed(tmp_path):
    file = tmp_path / "backup.tar"
    with tarfile.open(file, "w") as archive:
        link = tarfile.TarInfo("ca/ca-key.pem")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(UserError, match="is no backup"):
        mizzen_ca("restore", "--state-dir", tmp_path / "other", file)


def test_a_folder_without_a_ca(tmp_path):
    with pytest.raises(UserError, match="holds no CA"):
        mizzen_ca("status", "--state-dir", tmp_path)
