"""One daemon to a state folder: two would sign with one key and write over each other."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mizzen.errors import UserError

_LOCK_FILE = "daemon.lock"


@contextmanager
def state_folder(path: Path) -> Iterator[Path]:
    """Make the folder (0700) and hold it. Raises UserError where it is another daemon's or cannot be written.

    The kernel lets go of the lock when the process ends, however it ends.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UserError(
            f"cannot write to the state folder {path} ({error.strerror or error})",
            "choose another with --state-dir, or free the disk",
        ) from error
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
