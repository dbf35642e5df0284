"""Commands that are programs of their own: the daemon and the agent parse their own arguments, in one place."""

import os
import sys

import click


def run_module(name: str, module: str) -> click.Command:
    """A command that becomes `python -m module` with all its arguments, --help among them."""

    @click.command(
        name,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - no shell is what we want

    return command
