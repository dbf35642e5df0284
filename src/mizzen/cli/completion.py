"""`mizzen completion`: the script that makes a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

from mizzen.errors import UserError

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash:  eval "$(mizzen completion bash)"     in ~/.bashrc
    zsh:   eval "$(mizzen completion zsh)"      in ~/.zshrc
    fish:  mizzen completion fish | source      in ~/.config/fish/config.fish
    """  # noqa: D301  # click keeps the lines after a real backspace as they are
    completion = get_completion_class(shell)
    if completion is None:
        raise UserError(f"click knows no completion for {shell}", f"use one of {', '.join(SHELLS)}")
    try:
        click.echo(completion(ctx.find_root().command, {}, "mizzen", "_MIZZEN_COMPLETE").source())
    except RuntimeError as error:  # click's word for "no bash, or older than 4.4"
        raise UserError(str(error).rstrip("."), "install a newer shell") from error
