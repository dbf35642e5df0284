"""Columns for the terminal and for pipes."""

import pytest

from mizzen.cli.columns import print_columns


def test_each_column_is_as_wide_as_its_longest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_columns([("name", "state"), ("a-long-name", "well"), ("b", "")])
    assert capsys.readouterr().out == "name         state\na-long-name  well\nb\n"


def test_what_a_caller_wrote_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A path in the audit log is whatever somebody sent."""
    print_columns([("/\x1b[2J\x07\n/forged",)])
    assert capsys.readouterr().out == "/ [2J  /forged\n"
