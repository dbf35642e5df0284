"""The folders of labs: `<root>/labs/<name>` with logs, registry, the daemon's state, and `lab.json` while it runs.

A lab holds a lock on its folder for as long as any process of it lives, so a folder without the lock is a dead lab's and
is used again. Its logs stay until then.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mizzen.errors import UserError
from mizzen.lab.modes import Mode

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_MAX_LABS = 32
_LAB_FILE = "lab.json"
_LOCK_FILE = "lock"


class LabFile(msgspec.Struct, frozen=True):
    """How to reach a running lab."""

    name: str
    mode: Mode
    folder: str
    state: str
    control: str  # path of the control socket
    admin_url: str
    ingress_url: str  # "" where nothing enters from the host
    launcher_pid: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A lab's folder, ours while `lock` (a descriptor) is open in any process."""

    name: str
    folder: Path
    lock: int

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def registry(self) -> Path:
        return self.folder / "registry"


def state_root(option: Path | None, environment: Mapping[str, str]) -> Path:
    """`--state-dir`, or mizzen/ in the user's state folder (XDG)."""
    if option is not None:
        return option.absolute()
    home = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "mizzen"


def claim(root: Path, name: str, *, exact: bool) -> Claim:
    """Take the folder of that name, or of name-2, name-3 where a lab of the name runs (not if `exact`)."""
    names = [name] if exact else [name, *(f"{name}-{number}" for number in range(2, _MAX_LABS + 1))]
    try:
        for candidate in names:
            folder = root / "labs" / candidate
            folder.mkdir(parents=True, exist_ok=True)
            lock = _lock(folder)
            if lock is not None:
                _clear(folder)
                return Claim(candidate, folder, lock)
    except OSError as error:
        raise cannot_write(root, error) from None
    if exact:
        raise UserError(
            f"a lab named {name} is running", f"stop it with `mizzen down {name}` or choose another --name"
        )
    raise UserError(f"{_MAX_LABS} labs named {name} are running", "stop some with `mizzen down`")


def cannot_write(folder: Path, error: OSError) -> UserError:
    if error.errno in DISK_FULL:
        return UserError(f"the disk is full: cannot write to {folder}", "free some space and start again")
    return UserError(
        f"cannot write to {folder}: {error.strerror}",
        "choose another folder for the lab's state with --state-dir",
    )


def publish(lab: LabFile) -> None:
    """From now on `status`, `curl` and `down` find the lab."""
    path = Path(lab.state) / _LAB_FILE
    unfinished = path.with_suffix(".new")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(lab)))
    unfinished.replace(path)


def forget(folder: Path) -> None:
    (folder / _LAB_FILE).unlink(missing_ok=True)


def running_labs(root: Path) -> tuple[LabFile, ...]:
    """The labs that run, by name."""
    found = []
    for path in sorted((root / "labs").glob(f"*/{_LAB_FILE}")):
        lab = _read(path)
        if lab is not None and _is_locked(path.parent):
            found.append(lab)
    return tuple(found)


def find_lab(root: Path, name: str | None) -> LabFile:
    """The lab of that name, or the only one. Raises UserError."""
    labs = running_labs(root)
    names = ", ".join(lab.name for lab in labs)
    if not labs:
        raise UserError("no lab is running", "start one with `mizzen up FOLDER`")
    if name is None:
        if len(labs) > 1:
            raise UserError(f"several labs are running ({names})", "choose one by its name")
        return labs[0]
    for lab in labs:
        if lab.name == name:
            return lab
    raise UserError(f"no lab named {name} is running", f"these are: {names}")


def _read(path: Path) -> LabFile | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=LabFile)
    except (OSError, msgspec.DecodeError):  # it has just ended, or another version wrote it
        return None


def _lock(folder: Path) -> int | None:
    lock = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _is_locked(folder: Path) -> bool:
    try:
        lock = _lock(folder)
    except OSError:  # another user's lab: it is not ours to reach
        return False
    if lock is None:
        return True
    os.close(lock)
    return False


def _clear(folder: Path) -> None:
    """Remove what an earlier lab left, keys and certificates included."""
    forget(folder)
    for part in ("logs", "registry", "daemon"):
        shutil.rmtree(folder / part, ignore_errors=True)
    (folder / "logs").mkdir()
    (folder / "registry").mkdir()
    (folder / "daemon").mkdir(mode=0o700)
