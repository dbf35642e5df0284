"""`mizzen token`: join tokens, by which a workload on a plain host proves itself the first time."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from mizzen.errors import UserError

_DURATION = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=30)


class _Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = _DURATION.fullmatch(value)
        if found is None or len(found[1]) > 9:
            self.fail(f"{value!r} is not a duration such as 30m, 12h or 7d", param, ctx)
        duration = timedelta(**{_UNITS[found[2]]: int(found[1])})
        if not timedelta(0) < duration <= _LONGEST:
            self.fail(f"{value!r} is not between 1s and {_LONGEST.days}d", param, ctx)
        return duration


@click.command("token")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    required=True,
    help="The daemon's state folder, or the one that several share: it holds the key that signs tokens.",
)
@click.option("--namespace", required=True, help="The workload's namespace.")
@click.option("--service-account", default="default", show_default=True, help="Who the workload is to be.")
@click.option(
    "--workload", default="", help="Only for the workload of this name; any of the account if left out."
)
@click.option("--trust-domain", default="cluster.local", show_default=True, help="As the daemon's.")
@click.option(
    "--ttl", type=_Duration(), default="1h", show_default=True, help="How long it can be used: 30m, 12h, 7d."
)
def command(
    state_dir: Path, namespace: str, service_account: str, workload: str, trust_domain: str, ttl: timedelta
) -> None:
    """Issue a join token for a workload and print it.

    The token is a secret until it expires: hand it to the workload in a file (mizzen agent --token-file).
    """
    from mizzen.ca.tokens import KEY_FILE, JoinToken, JoinTokenKey, new_token_id
    from mizzen.model.identity import SpiffeId

    key_file = state_dir / KEY_FILE
    if not key_file.exists():
        raise UserError(
            f"{key_file} does not exist", "name the state folder of a daemon that has run (mizzen serve)"
        )
    identity = SpiffeId(trust_domain, namespace, service_account)
    token = JoinToken(identity, workload, datetime.now(UTC) + ttl, new_token_id(os.urandom))
    try:
        click.echo(JoinTokenKey.load(key_file).issue(token))
    except ValueError as error:
        raise UserError(str(error), "check --namespace, --service-account and --trust-domain") from error
