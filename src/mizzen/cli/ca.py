"""`mizzen ca`: the certificate authority of a mesh, by its folder: status, rotation, revocation, backup."""

import os
import stat
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from mizzen.errors import UserError

_STATE_DIR = click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The daemon's state folder, or the one that several share.",
)
_LARGEST_FILE = 1 << 20


@click.group("ca")
def command() -> None:
    """Look at the certificate authority of a mesh, rotate its root, revoke, back up.

    Works on the daemon's state folder, by whoever may read it; running daemons notice within seconds.
    """


@command.command()
@_STATE_DIR
def status(state_dir: Path) -> None:
    """Show what signs, what is trusted, when it ends, and where a rotation stands."""
    from mizzen.ca import rotation
    from mizzen.ca.plugged import CERTIFICATE, KEY, ROOTS, is_self_signed, read_certificates
    from mizzen.ca.revocation import read_revocations

    folder = _ca(state_dir)
    kind = "external (--ca-command)"
    rows = []
    if (folder / KEY).exists():
        signer = read_certificates(folder / CERTIFICATE)[0]
        kind = "self-signed by Mizzen" if is_self_signed(signer) else "plugged in"
        rows.append(("signs", signer))
    rows += [("trusted", root) for root in read_certificates(folder / ROOTS)]
    click.echo(f"CA: {kind}")
    for role, certificate in rows:
        ends = certificate.not_valid_after_utc
        days = (ends - datetime.now(UTC)).days
        name = certificate.subject.rfc4514_string() or "(no name)"
        click.echo(
            f"{role:8} {rotation.fingerprint(certificate)}  until {ends:%Y-%m-%d} ({days} days)  {name}"
        )
    under_way = rotation.rotation(folder)
    if under_way is None:
        click.echo("rotation: none under way")
    else:
        click.echo(
            f"rotation: {rotation.in_words(under_way.stage)}; next step at {under_way.until:%Y-%m-%d %H:%M:%S} UTC"
        )
    revoked = read_revocations(folder)
    for kind, entries in (("token", revoked.tokens), ("identity", revoked.identities)):
        for entry in sorted(entries):
            click.echo(f"revoked {kind}: {entry}")


@command.command()
@_STATE_DIR
@click.option("--trust-domain", default="cluster.local", show_default=True, help="As the daemon's.")
def rotate(state_dir: Path, trust_domain: str) -> None:
    """Begin the rotation of a self-signed root. The daemons take the further steps when they are due."""
    from mizzen.ca import rotation
    from mizzen.daemon.lock import shared_folder

    folder = _ca(state_dir)
    with shared_folder(state_dir):
        wait = rotation.longest_wait(folder)
        begun = rotation.begin(
            folder, trust_domain, now=datetime.now(UTC), random_bytes=os.urandom, wait=wait
        )
    click.echo(f"{rotation.in_words(begun.stage)}; it signs from {begun.until:%Y-%m-%d %H:%M:%S} UTC on")


@command.command()
@_STATE_DIR
@click.option("--token", "tokens", multiple=True, metavar="ID", help="A join token, by its ID. Repeatable.")
@click.option(
    "--workload",
    "workloads",
    multiple=True,
    metavar="NAMESPACE/ACCOUNT",
    help="Whoever runs as this service account. Repeatable.",
)
@click.option("--undo", is_flag=True, help="Take the revocation back.")
@click.option("--trust-domain", default="cluster.local", show_default=True, help="As the daemon's.")
def revoke(
    state_dir: Path, tokens: tuple[str, ...], workloads: tuple[str, ...], undo: bool, trust_domain: str
) -> None:
    """Refuse join tokens or workloads: no new certificate, no configuration.

    A certificate that was issued before stays good between sidecars until it ends (a day at most by default); an
    AuthorizationPolicy that denies the identity holds at once.
    """
    from mizzen.ca.revocation import Revocations, read_revocations, write_revocations
    from mizzen.daemon.lock import shared_folder

    if not tokens and not workloads:
        raise click.UsageError("name what to revoke with --token or --workload")
    identities = frozenset(_identity(text, trust_domain) for text in workloads)
    folder = _ca(state_dir)
    with shared_folder(state_dir):
        known = read_revocations(folder)
        ids = frozenset(tokens)
        changed = (
            Revocations(known.tokens - ids, known.identities - identities)
            if undo
            else Revocations(known.tokens | ids, known.identities | identities)
        )
        write_revocations(folder, changed)
    what = "admitted again" if undo else "revoked"
    for name in (*sorted(tokens), *sorted(identities)):
        click.echo(f"{what}: {name}")


@command.command()
@_STATE_DIR
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(state_dir: Path, file: Path) -> None:
    """Write the CA and the key of join tokens into FILE (a tar archive, mode 0600).

    Whoever has it can be anybody in the mesh: keep it encrypted, and elsewhere.
    """
    from mizzen.daemon.lock import shared_folder

    _ca(state_dir)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UserError(
            f"cannot write {file}: {error.strerror}", "name a file that is not there yet"
        ) from error
    with os.fdopen(descriptor, "wb") as target, shared_folder(state_dir):
        with tarfile.open(fileobj=target, mode="w") as archive:
            for name in _saved(state_dir):
                archive.add(state_dir / name, arcname=str(name), recursive=False)
        target.flush()
        os.fsync(target.fileno())
    click.echo(f"{file}: the CA and the key of join tokens; it is as secret as they are")


@command.command()
@_STATE_DIR
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def restore(state_dir: Path, file: Path) -> None:
    """Put a backup into a state folder that has no CA yet. No daemon may run on it."""
    from mizzen.ca.files import write_private
    from mizzen.daemon.lock import shared_folder, state_folder

    with state_folder(state_dir), shared_folder(state_dir):
        if any((state_dir / "ca").glob("*")):
            raise UserError(
                f"{state_dir} has a CA", "move its folder `ca` away first, or name another folder"
            )
        with _opened(file) as archive:
            contents = dict(_members(archive, file))
        # The certificate that signs comes last: until it is there the folder counts as incomplete.
        for name in sorted(contents, key=lambda name: name.endswith("ca-cert.pem")):
            write_private(state_dir / name, contents[name])
    click.echo(f"{state_dir}: restored from {file}")


def _opened(file: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(file, mode="r:")
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"{file} is no backup: {error}") from error


def _members(archive: tarfile.TarFile, file: Path) -> Iterator[tuple[str, bytes]]:
    for member in archive:
        name = Path(member.name)
        known = (name.parts[:1] == ("ca",) and len(name.parts) == 2) or name.parts == (_token_key(),)
        if not member.isfile() or not known or ".." in name.parts or member.size > _LARGEST_FILE:
            raise UserError(f"{file} is no backup of a CA: it holds {member.name!r}")
        content = archive.extractfile(member)
        assert content is not None
        yield str(name), content.read()


def _saved(state_dir: Path) -> Iterator[Path]:
    for path in sorted((state_dir / "ca").iterdir()):
        if stat.S_ISREG(path.lstat().st_mode) and not path.name.startswith("."):
            yield path.relative_to(state_dir)
    if (state_dir / _token_key()).exists():
        yield Path(_token_key())


def _token_key() -> str:
    from mizzen.ca.tokens import KEY_FILE

    return KEY_FILE


def _ca(state_dir: Path) -> Path:
    folder = state_dir / "ca"
    if not (folder / "root-cert.pem").exists():
        raise UserError(
            f"{folder} holds no CA", "name the state folder of a daemon that has run (mizzen serve)"
        )
    return folder


def _identity(text: str, trust_domain: str) -> str:
    from mizzen.model.identity import SpiffeId

    namespace, slash, account = text.partition("/")
    if not slash or not namespace or not account or "/" in account:
        raise UserError(f"{text!r} is no workload's identity", "write NAMESPACE/ACCOUNT")
    return str(SpiffeId(trust_domain, namespace, account))
