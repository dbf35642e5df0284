"""Rotation of a self-signed root, step by step, in the CA's folder.

    trusted     the next root is in the trust bundle; the old one signs. Until whoever has a certificate has got it, or a renewal
                of it, with this bundle.
    promoting   the next root takes the place of the old one; a moment
    signing     the next root signs; the old one stays in the bundle, until the last certificate that it signed has ended

Each of the two waits is as long as a certificate can live, and a margin: by then nobody's certificate is older than the step
before. Every daemon that has the folder may take a step that is due; whoever does holds the folder's lock. Files are written in
an order in which a crash between any two of them leaves a state from which `advance` goes on.

A CA that the user plugged in is the user's to rotate: its new files are read when they change (`live`).
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from mizzen.ca.authority import RandomBytes
from mizzen.ca.files import StateError, read_private, read_public, write_private
from mizzen.ca.plugged import CERTIFICATE, KEY, ROOTS, is_self_signed, self_signed_root

FILE = "rotation.json"
WAIT_FILE = "rotation-wait-seconds"
NEXT_CERTIFICATE, NEXT_KEY = "next-cert.pem", "next-key.pem"
_ROTATED_BEFORE_END = timedelta(days=365)


class Stage(Enum):
    TRUSTED = "trusted"
    PROMOTING = "promoting"
    SIGNING = "signing"


@dataclass(frozen=True, slots=True)
class Rotation:
    """Where a rotation stands, and when its next step is due."""

    stage: Stage
    until: datetime


def rotation(folder: Path) -> Rotation | None:
    """The rotation that is under way. Raises StateError."""
    file = folder / FILE
    if not file.exists():
        return None
    try:
        document = json.loads(read_private(file))
        return Rotation(Stage(document["stage"]), datetime.fromtimestamp(document["until"], UTC))
    except (ValueError, KeyError, TypeError):
        raise StateError(f"{file} cannot be read", "restore it from a backup (mizzen ca restore)") from None


def begin(
    folder: Path, trust_domain: str, *, now: datetime, random_bytes: RandomBytes, wait: timedelta
) -> Rotation:
    """Make the next root and put it into the trust bundle. Raises StateError where that is not for Mizzen to do."""
    if rotation(folder) is not None:
        raise StateError(
            "a rotation is under way already", "`mizzen ca status` shows when its next step is due"
        )
    certificates = read_public(folder / CERTIFICATE)
    if not is_self_signed(x509.load_pem_x509_certificate(certificates)):
        raise StateError(
            f"the CA in {folder} was plugged in",
            f"add its next root to {ROOTS} first, and change {CERTIFICATE} and {KEY} when all certificates were renewed",
        )
    made = self_signed_root(trust_domain, now, random_bytes)
    write_private(folder / NEXT_KEY, made[KEY])
    write_private(folder / NEXT_CERTIFICATE, made[CERTIFICATE])
    write_private(folder / ROOTS, read_public(folder / ROOTS) + made[CERTIFICATE])
    return _enter(folder, Stage.TRUSTED, now + wait)


def advance(folder: Path, *, now: datetime, wait: timedelta) -> Rotation | None:
    """Take the steps that are due. Returns where the rotation stands then. Raises StateError."""
    found = rotation(folder)
    if found is None:
        return None
    if found.stage is Stage.TRUSTED and now >= found.until:
        found = _enter(folder, Stage.PROMOTING, now)
    if found.stage is Stage.PROMOTING:
        write_private(folder / KEY, read_private(folder / NEXT_KEY))
        write_private(folder / CERTIFICATE, read_public(folder / NEXT_CERTIFICATE))
        found = _enter(folder, Stage.SIGNING, now + wait)
    if found.stage is Stage.SIGNING and now >= found.until:
        write_private(folder / ROOTS, read_public(folder / CERTIFICATE))
        for name in (FILE, NEXT_KEY, NEXT_CERTIFICATE):
            (folder / name).unlink(missing_ok=True)
        return None
    return found


def _enter(folder: Path, stage: Stage, until: datetime) -> Rotation:
    write_private(folder / FILE, json.dumps({"stage": stage.value, "until": until.timestamp()}).encode())
    return Rotation(stage, until)


def is_due(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether a self-signed root is so old that the next one should be made."""
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    before_end = min(_ROTATED_BEFORE_END, life / 4)
    return is_self_signed(certificate) and now >= certificate.not_valid_after_utc - before_end


def longest_wait(folder: Path, configured: timedelta = timedelta()) -> timedelta:
    """How long a step lasts: the longest that any certificate of this CA may live, whichever daemon signed it with whatever
    setting, and its margin. A daemon tells with what it is `configured`, which is remembered. Raises StateError.
    """
    file = folder / WAIT_FILE
    try:
        known = timedelta(seconds=float(read_private(file))) if file.exists() else timedelta()
    except ValueError:
        known = timedelta()
    if configured > known:
        write_private(file, f"{configured.total_seconds()}\n".encode())
    return max(known, configured)


def fingerprint(certificate: x509.Certificate) -> str:
    """By which people tell roots apart: the beginning of the SHA-256."""
    return certificate.fingerprint(hashes.SHA256()).hex(":", 1)[:23].upper()


def in_words(stage: Stage) -> str:
    return {
        Stage.TRUSTED: "the next root is being distributed; the old one signs",
        Stage.PROMOTING: "the next root takes its place",
        Stage.SIGNING: "the next root signs; the old one is trusted until the last certificate that it signed has ended",
    }[stage]
