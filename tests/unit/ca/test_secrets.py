"""Secrets never appear: not in repr, str, logs, exceptions, pickles or copies."""

import copy
import logging
import pickle
import stat
import traceback

import pytest

from mizzen.ca.files import StateError, read_private, write_private
from mizzen.ca.keys import PrivateKey
from mizzen.ca.tokens import JoinTokenKey
from tests.support.certificates import an_authority

RAW = bytes(range(65, 97))


@pytest.mark.parametrize(
    "secret", [PrivateKey.generate(), JoinTokenKey(RAW)], ids=lambda one: type(one).__name__
)
def test_a_secret_redacts_itself(secret, caplog):
    redacted = f"{type(secret).__name__}(<redacted>)"
    assert repr(secret) == str(secret) == f"{secret}" == f"{secret!r}" == redacted
    logging.getLogger("mizzen").warning("made %s %r %s", secret, secret, [secret])
    assert caplog.messages == [f"made {redacted} {redacted} [{redacted}]"]
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize(
    "secret", [PrivateKey.generate(), JoinTokenKey(RAW)], ids=lambda one: type(one).__name__
)
@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_cannot_be_copied_out(secret, leak):
    with pytest.raises(TypeError, match=r"\(<redacted>\) cannot be pickled or copied"):
        leak(secret)


def test_an_authority_prints_without_its_key(tmp_path):
    authority = an_authority(tmp_path)
    body = (tmp_path / "ca" / "ca-key.pem").read_text().splitlines()[1]
    assert "PrivateKey(<redacted>)" in repr(authority)
    assert body not in repr(authority)


def test_an_error_about_a_key_does_not_quote_it(tmp_path):
    an_authority(tmp_path)
    file = tmp_path / "ca" / "ca-key.pem"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1][:-9] + "?", *lines[2:]]))
    with pytest.raises(StateError) as caught:
        an_authority(tmp_path)
    assert lines[1][:20] not in "".join(traceback.format_exception(caught.value))


def test_a_private_file_is_replaced_whole(tmp_path):
    file = tmp_path / "state" / "secret"
    write_private(file, b"one")
    write_private(file, b"two")
    assert read_private(file) == b"two"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["secret"]


def test_a_file_that_others_prepared_is_not_written_into(tmp_path):
    """Whoever holds the temporary file open must not see the secret."""
    (tmp_path / ".secret.new").write_text("")
    (tmp_path / ".secret.new").chmod(0o666)
    with (tmp_path / ".secret.new").open() as spy:
        write_private(tmp_path / "secret", b"content")
        assert spy.read() == ""


def test_reading_says_who_else_may(tmp_path):
    file = tmp_path / "secret"
    write_private(file, b"content")
    file.chmod(0o644)
    with pytest.raises(StateError, match="run `chmod 600"):
        read_private(file)
