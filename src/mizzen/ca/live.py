"""The CA as its folder has it now: read anew when the files change, rotated when a root grows old, watched for its end."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from mizzen.ca import rotation
from mizzen.ca.authority import Authority, Issued, Lifetimes, RandomBytes
from mizzen.ca.files import StateError
from mizzen.ca.plugged import CERTIFICATE, CHAIN, KEY, ROOTS, open_authority
from mizzen.ca.revocation import FILE as REVOKED
from mizzen.ca.revocation import read_revocations
from mizzen.model.identity import SpiffeId
from mizzen.model.subject import Subject

_log = logging.getLogger(__name__)
_ALARM_AGAIN = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Watching:
    """How often the folder is looked at; how much longer than a certificate lives a step of a rotation lasts, for daemons that look
    later and clocks that differ; how long before the end of a CA certificate an alarm is raised.
    """

    every: timedelta = timedelta(seconds=5)
    margin: timedelta = timedelta(minutes=5)
    alarm_before: timedelta = timedelta(days=30)


class LiveAuthority:
    """`lock` holds the folder above against other daemons. What cannot be used is said in the log, and the last good CA
    stays in force.
    """

    def __init__(
        self,
        folder: Path,
        trust_domain: str,
        lifetimes: Lifetimes,
        lock: Callable[[], AbstractContextManager[Path]],
        *,
        clock: Callable[[], datetime],
        random_bytes: RandomBytes,
        watching: Watching | None = None,
    ) -> None:
        self._folder = folder
        self._trust_domain = trust_domain
        self.lifetimes = lifetimes
        self._lock = lock
        self._clock = clock
        self._random_bytes = random_bytes
        self._watching = watching or Watching()
        self._alarmed_at: datetime | None = None
        self._complaint = ""
        with lock():
            if (folder / KEY).exists():
                rotation.advance(folder, now=clock(), wait=self._wait())
            self.current = self._opened()
            self._wait()  # remembers how long certificates live now
            self.revocations = read_revocations(folder)
            self._seen = self._contents()

    @property
    def expires(self) -> datetime:
        return self.current.expires

    async def issue(
        self, csr_pem: bytes, identity: SpiffeId, *, now: datetime, subject: Subject, ttl: timedelta
    ) -> Issued:
        return self.current.sign(csr_pem, identity, now=now, subject=subject, ttl=ttl)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(self._watching.every.total_seconds())

    def look(self) -> None:
        """Take the steps that are due, and what has changed."""
        try:
            self._look()
        except StateError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.error("the CA stays as it was: %s", error)
        else:
            self._complaint = ""
        self._raise_alarm()

    def _look(self) -> None:
        now = self._clock()
        under_way = rotation.rotation(self._folder)
        if under_way is not None or rotation.is_due(self.current.certificate, now):
            with self._lock():
                self._rotate(now)
        seen = self._contents()
        if seen == self._seen:
            return
        with self._lock():
            self.current = self._opened()
            self.revocations = read_revocations(self._folder)
            self._seen = self._contents()
        _log.info("the CA was read anew: %s signs", rotation.fingerprint(self.current.certificate))

    def _rotate(self, now: datetime) -> None:
        before = rotation.rotation(self._folder)
        after = rotation.advance(self._folder, now=now, wait=self._wait())
        if before is None and rotation.is_due(self.current.certificate, now):
            after = rotation.begin(
                self._folder,
                self._trust_domain,
                now=now,
                random_bytes=self._random_bytes,
                wait=self._wait(),
            )
        if before != after:
            told = rotation.in_words(after.stage) if after else "the old root is dropped: it is done"
            _log.info("rotation of the root: %s", told)

    def _wait(self) -> timedelta:
        return rotation.longest_wait(self._folder, self.lifetimes.maximum + self._watching.margin)

    def _opened(self) -> Authority:
        return open_authority(
            self._folder,
            self._trust_domain,
            now=self._clock(),
            random_bytes=self._random_bytes,
            lifetimes=self.lifetimes,
        )

    def _contents(self) -> bytes:
        """Tells whether anything has changed. Four small files: cheaper to read than to reason about times of change."""
        digest = hashlib.sha256()
        for name in (KEY, CERTIFICATE, CHAIN, ROOTS, REVOKED):
            file = self._folder / name
            try:
                digest.update(name.encode() + b"\0" + file.read_bytes())
            except OSError:
                digest.update(b"\1")
        return digest.digest()

    def _raise_alarm(self) -> None:
        now, ends = self._clock(), self.expires
        if now < ends - self._watching.alarm_before:
            self._alarmed_at = None
            return
        if self._alarmed_at is None or now >= self._alarmed_at + _ALARM_AGAIN:
            self._alarmed_at = now
            _log.error(
                "a certificate of the CA ends at %s UTC: %s",
                f"{ends:%Y-%m-%d %H:%M}",
                "afterwards nobody gets a certificate; replace it now (docs/certificates.md)",
            )
