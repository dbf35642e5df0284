"""The state folder: one daemon at a time, for the owner's eyes."""

import threading
from pathlib import Path

import pytest

from mizzen.daemon.lock import shared_folder, state_folder
from mizzen.errors import UserError


def refusal(path) -> str:
    with pytest.raises(UserError) as caught, state_folder(path):
        pass
    return str(caught.value)


def open_files() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def test_the_folder_is_made_for_the_owner_alone(tmp_path):
    path = tmp_path / "deep" / "state"
    with state_folder(path) as held:
        assert held == path
        assert path.stat().st_mode & 0o777 == 0o700


def test_a_second_daemon_is_told_whose_folder_it_is(tmp_path):
    with state_folder(tmp_path / "state"):
        said = refusal(tmp_path / "state")
    assert said == (
        f"another daemon runs on the state folder {tmp_path / 'state'}: "
        "stop it, or choose another with --state-dir"
    )


def test_the_folder_is_free_again_when_its_daemon_has_ended(tmp_path):
    before = open_files()
    for _ in range(2):
        with state_folder(tmp_path / "state"):
            pass
    assert open_files() == before


def test_a_folder_that_cannot_be_made_is_named_with_the_reason(tmp_path):
    (tmp_path / "file").write_text("")
    said = refusal(tmp_path / "file" / "state")
    assert said.startswith(
        f"cannot write to the state folder {tmp_path / 'file' / 'state'} (Not a directory)"
    )
    assert "--state-dir" in said


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mizzen.daemon.lock.os.open", full)
    assert "(No space left on device): choose another with --state-dir, or free the disk" in refusal(tmp_path)


def test_what_is_shared_is_had_by_one_at_a_time(tmp_path):
    entered, order = threading.Event(), []

    def second() -> None:
        entered.set()
        with shared_folder(tmp_path / "shared"):
            order.append("second")

    with shared_folder(tmp_path / "shared") as path:
        assert path.stat().st_mode & 0o777 == 0o700
        waiting = threading.Thread(target=second)
        waiting.start()
        entered.wait()
        waiting.join(0.2)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_a_shared_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"cannot write to the shared folder .*--shared-dir"),
        shared_folder(tmp_path / "file" / "x"),
    ):
        pass
