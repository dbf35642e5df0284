"""`mizzen crds`: the CustomResourceDefinitions by which a Kubernetes API server takes in Istio's kinds."""

from difflib import get_close_matches

import click
import yaml

from mizzen.config.crds import definition
from mizzen.config.kinds import ISTIO, Kind
from mizzen.errors import UserError


@click.command("crds")
@click.argument("kinds", metavar="[KIND]...", nargs=-1)
def command(kinds: tuple[str, ...]) -> None:
    """Print CustomResourceDefinitions of Istio's kinds, for `kubectl apply --server-side -f -`; all of them without KIND."""
    wanted = [_kind(name) for name in kinds] or ISTIO
    documents = (definition(kind) for kind in wanted)
    click.echo(yaml.dump_all(documents, Dumper=yaml.CSafeDumper, sort_keys=False, width=10_000), nl=False)


def _kind(name: str) -> Kind:
    by_name = {kind.name.lower(): kind for kind in ISTIO}
    if (kind := by_name.get(name.lower())) is not None:
        return kind
    near = get_close_matches(name.lower(), by_name, n=1)
    hint = (
        f"did you mean {by_name[near[0]].name}?"
        if near
        else f"there are {', '.join(kind.name for kind in ISTIO)}"
    )
    raise UserError(f"Istio has no kind {name}", hint)
