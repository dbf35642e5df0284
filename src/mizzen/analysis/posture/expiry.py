"""Are the certificates that gateways and callers present good for some time yet?"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from mizzen.analysis.certificates import Held, in_secret, read_certificate
from mizzen.analysis.inputs import FILES, TODAY
from mizzen.analysis.objects import resources
from mizzen.analysis.posture.check import Weakness, Weaknesses, check
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path, Resource, ResourceKey
from mizzen.config.types.networking import Gateway
from mizzen.incremental import Database

_SOON: Final = timedelta(days=30)


@check(
    "Are certificates good for thirty days and more?",
    why="clients refuse an expired certificate, and people then turn verification off",
    codes="MZ0310 MZ0311",
)
def certificate_expiry(db: Database) -> Weaknesses:
    today = TODAY(db, "today")
    if today is None:
        return
    for secret in resources(db, "Secret"):
        held = in_secret(db, secret.key)
        if held is not None:
            yield from _judged(secret.key, held, ("metadata", "name"), "its certificate", today)
    for gateway in resources(db, "Gateway"):
        for file, path in named_files(gateway):
            content = FILES(db, file)
            if content is not None:
                yield from _judged(
                    gateway.key, read_certificate(content), path, f"the certificate {file}", today
                )


def named_files(gateway: Resource[Gateway]) -> Iterator[tuple[str, Path]]:
    """The certificate files that a Gateway names, with the fields that do."""
    for index, server in enumerate(gateway.spec.servers):
        if server.tls is not None and server.tls.server_certificate:
            yield server.tls.server_certificate, ("spec", "servers", index, "tls", "serverCertificate")


def _judged(key: ResourceKey, held: Held, path: Path, what: str, today: datetime) -> Iterator[Weakness]:
    if held.not_after is None:
        return
    if held.not_after <= today:
        yield key, Finding("MZ0311", path, f"{what} expired on {held.not_after:%Y-%m-%d}", "renew it now")
    elif held.expires_within(today, _SOON):
        days = (held.not_after - today).days
        message = f"{what} expires on {held.not_after:%Y-%m-%d}, in {days} days"
        yield key, Finding("MZ0310", path, message, "renew it, and let a program do it from now on")
