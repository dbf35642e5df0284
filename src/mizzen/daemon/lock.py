"""Who may write where: one daemon to a state folder, one at a time to what several share."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mizzen.errors import UserError

_LOCK_FILE = "daemon.lock"
_SHARED_LOCK_FILE = "shared.lock"


@contextmanager
def state_folder(path: Path) -> Iterator[Path]:
    """Make the folder (0700) and hold it. Raises UserError where it is another daemon's or cannot be written.

    The kernel lets go of the lock when the process ends, however it ends.
    """
    descriptor = _open(path, _LOCK_FILE, "--state-dir")
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another daemon runs on the state folder {path}",
                "stop it, or choose another with --state-dir",
            ) from None
        yield path
    finally:
        os.close(descriptor)


@contextmanager
def shared_folder(path: Path) -> Iterator[Path]:
    """Make the folder (0700) that several daemons share, and have it alone for a moment: who comes second finds the CA
    and the key that the first has made, whole. Raises UserError where it cannot be written.
    """
    descriptor = _open(path, _SHARED_LOCK_FILE, "--shared-dir")
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise UserError(
                f"the shared folder {path} cannot be locked ({error.strerror})",
                "put it on a file system with locks",
            ) from error
        yield path
    finally:
        os.close(descriptor)


def _open(folder: Path, name: str, option: str) -> int:
    """`option` names the folder."""
    kind = option.removeprefix("--").removesuffix("-dir")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UserError(
            f"cannot write to the {kind} folder {folder} ({error.strerror or error})",
            f"choose another with {option}, or free the disk",
        ) from error
