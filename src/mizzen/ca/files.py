"""Files of the state folder that hold secrets: who may read them, and how they are written whole or not at all."""

import errno
import os
import stat
from pathlib import Path

from mizzen.errors import UserError

_LIMIT_BYTES = 1 << 20  # the longest chain of certificates is far below


class StateError(UserError):
    """What the state folder holds cannot be used, or nothing can be written there."""


def read_public(path: Path) -> bytes:
    return _read(path)[0]


def read_private(path: Path) -> bytes:
    """The content of a file that nobody but its owner may read; others are refused, as ssh does with its keys."""
    content, mode = _read(path)
    if mode & 0o077:
        raise StateError(f"other users can read {path} (mode {mode:04o})", f"run `chmod 600 {path}`")
    return content


def _read(path: Path) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise StateError(
            f"cannot read {path} ({error.strerror})", "make it readable to the user who runs Mizzen"
        ) from error
    if len(content) > _LIMIT_BYTES:
        raise StateError(f"{path} is larger than {_LIMIT_BYTES} bytes", "put the right file there")
    return content, mode


def write_private(path: Path, content: bytes) -> None:
    """Create or replace a file of mode 0600: after a crash it holds the old content or the new, never a part."""
    unfinished = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished.unlink(missing_ok=True)
        _write_durably(unfinished, content)
        unfinished.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path.parent, error) from error


def write_private_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Create a folder of mode 0700 with all its files at once; the folder must be absent or empty."""
    unfinished = folder.with_name(f".{folder.name}.new")
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _discard(unfinished)
        unfinished.mkdir(mode=0o700)
        for name, content in files.items():
            _write_durably(unfinished / name, content)
        _sync_folder(unfinished)
        unfinished.replace(folder)
        _sync_folder(folder.parent)
    except OSError as error:
        raise cannot_write(folder.parent, error) from error


def cannot_write(folder: Path, error: OSError) -> StateError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StateError(f"cannot write to {folder}, the disk is full", "free some space and start again")
    return StateError(
        f"cannot write to {folder} ({error.strerror})",
        "make it a folder that the user who runs Mizzen may write to, or choose another state folder",
    )


def _write_durably(path: Path, content: bytes) -> None:
    # O_EXCL: never write a secret into a file that somebody else has put there and may have open.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _discard(folder: Path) -> None:
    """Remove what a crash left of an earlier attempt."""
    if not folder.is_dir():
        return
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
