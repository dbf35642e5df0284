"""The folders of labs: claimed by a lock, used again when their lab is dead, found by name."""

import os

import pytest

from mizzen.errors import UserError
from mizzen.lab.modes import Mode
from mizzen.lab.state import LabFile, claim, find_lab, publish, running_labs, state_root


@pytest.fixture
def claims():
    held = []
    yield held
    for one in held:
        os.close(one.lock)


def published(claimed):
    lab = LabFile(
        name=claimed.name,
        mode=Mode.LOOPBACK,
        folder="/folder",
        state=str(claimed.folder),
        control="/tmp/lab.sock",
        admin_url="http://localhost:15014",
        ingress_url="",
        launcher_pid=1,
    )
    publish(lab)
    return lab


def test_a_second_lab_of_the_name_gets_a_number(tmp_path, claims):
    for _ in range(3):
        claims.append(claim(tmp_path, "shop", exact=False))
    assert [one.name for one in claims] == ["shop", "shop-2", "shop-3"]
    with pytest.raises(UserError, match="a lab named shop is running: stop it with `mizzen down shop`"):
        claim(tmp_path, "shop", exact=True)


def test_the_folder_of_a_dead_lab_is_cleaned_and_used_again(tmp_path, claims):
    dead = claim(tmp_path, "shop", exact=False)
    published(dead)
    (dead.logs / "web-0.app.log").write_text("old")
    (dead.folder / "daemon" / "ca").mkdir()
    os.close(dead.lock)
    assert running_labs(tmp_path) == ()
    claims.append(claim(tmp_path, "shop", exact=False))
    assert claims[0].folder == dead.folder
    assert not list(dead.logs.iterdir())
    assert not list((dead.folder / "daemon").iterdir())


def test_a_lab_is_found_by_its_name_or_because_it_is_the_only_one(tmp_path, claims):
    with pytest.raises(UserError, match="no lab is running"):
        find_lab(tmp_path, None)
    claims.append(claim(tmp_path, "shop", exact=False))
    shop = published(claims[0])
    assert find_lab(tmp_path, None) == find_lab(tmp_path, "shop") == shop
    with pytest.raises(UserError, match="no lab named other is running: these are: shop"):
        find_lab(tmp_path, "other")
    claims.append(claim(tmp_path, "other", exact=False))
    published(claims[1])
    with pytest.raises(UserError, match=r"several labs are running \(other, shop\)"):
        find_lab(tmp_path, None)
    assert find_lab(tmp_path, "shop") == shop


def test_a_file_that_another_version_wrote_is_no_lab(tmp_path, claims):
    claims.append(claim(tmp_path, "shop", exact=False))
    (claims[0].folder / "lab.json").write_text("{}")
    assert running_labs(tmp_path) == ()


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.mkdir", full)
    with pytest.raises(UserError, match=r"the disk is full: .*: free some space and start again"):
        claim(tmp_path, "shop", exact=False)


def test_where_state_is_kept(tmp_path):
    assert state_root(tmp_path, {}) == tmp_path
    assert str(state_root(None, {"XDG_STATE_HOME": "/s"})) == "/s/mizzen"
    assert state_root(None, {}).parts[-3:] == (".local", "state", "mizzen")
