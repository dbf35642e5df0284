"""`mizzen validate`: what is wrong with each object by itself."""

import click

from mizzen.cli.analyze import Choice, finish, of_a_report, read


@click.command("validate")
@of_a_report
def command(
    *, paths: tuple[str, ...], output: str, fail_on: str, suppress: tuple[str, ...], namespace: str
) -> int:
    """Check every object by itself: its YAML, its fields, its values.

    PATHs are files, folders, or "-" for standard input; without any, the folder that you are in. What is wrong between objects
    is told by "mizzen analyze".
    """
    reading = read(paths)
    return finish(reading, reading.diagnostics, Choice(output, fail_on, suppress, namespace))
