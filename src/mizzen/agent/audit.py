"""Keeps the audit log bounded: a file that is full is moved aside, the oldest goes.

Envoy writes the file (`translate/audit.py`), which must be there before it opens it: on a full disk an existing file can be
opened, a new one cannot be made, and a listener whose log cannot be opened is refused as a whole. What cannot be written for
lack of room is lost and counted (`envoy_filesystem_write_failed`); requests go on.
"""

import asyncio
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mizzen.agent.envoy_admin import AdminError, EnvoyAdmin
from mizzen.errors import UserError

FOLDER: Final = "audit"
"""In the state folder, where Envoy works: the folder of the log, or a link to it."""

FILE: Final = "audit.log"
_EVERY_SECONDS: Final = 5.0

_log = logging.getLogger("mizzen.agent")


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The file, and at most `files` older ones of about `bytes_each`: audit.log.1 is the youngest of them. Paths are relative to the
    state folder.
    """

    folder: Path  # where the files are; FOLDER leads there
    admin: EnvoyAdmin
    uid: int | None  # Envoy's user; None: the agent's own
    bytes_each: int = 10 << 20
    files: int = 5

    def prepare(self) -> None:
        """Make the folder and the file, private to Envoy's user. Raises UserError."""
        try:
            self._prepare_folder()
            self._make_file()
        except OSError as error:
            raise UserError(
                f"the audit log cannot be written to {self.folder.absolute()}: {error.strerror}",
                "free the disk, or choose another folder with --audit-dir",
            ) from None

    def _prepare_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        if self.uid is not None:
            os.chown(self.folder, self.uid, -1)
        link = Path(FOLDER)
        if self.folder != link:
            link.unlink(missing_ok=True)
            link.symlink_to(self.folder)

    def _make_file(self) -> None:
        descriptor = os.open(self.folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            if self.uid is not None:
                os.fchown(descriptor, self.uid, -1)
        finally:
            os.close(descriptor)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Move the file aside if it is full."""
        current = self.folder / FILE
        try:
            if current.stat().st_size < self.bytes_each:
                return
            for number in range(self.files, 1, -1):
                younger = self._aside(number - 1)
                if younger.exists():
                    younger.replace(self._aside(number))
            current.rename(self._aside(1))
            try:
                self._make_file()
            except OSError:
                self._aside(1).rename(current)  # Envoy goes on writing to it
                raise
            # Until it hears of it, Envoy writes to the file that it has open, which is the one aside: no line is lost.
            await self.admin.post("/reopen_logs")
        except (OSError, AdminError) as error:
            _log.warning("the audit log is not moved aside: %s", error)

    def _aside(self, number: int) -> Path:
        return self.folder / f"{FILE}.{number}"
