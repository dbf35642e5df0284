"""The program as a whole: its first page, its exit codes, and one line for whatever goes wrong."""

import os
import resource
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from mizzen.cli import main as entry
from mizzen.cli.main import COMMANDS, run
from mizzen.errors import UserError

# What the first page is promised to cost, in seconds of CPU.
HELP_SECONDS = 0.1


@pytest.fixture
def failing(monkeypatch):
    """A command that raises what it is told to."""

    def install(error):
        @click.command("boom")
        def boom():
            raise error

        class Boom(entry.Entry):
            def load(self):
                return boom

        monkeypatch.setitem(COMMANDS, "boom", Boom("boom", "fails"))

    return install


def said(capsys):
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, "one line"
    return err.strip()


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_first_page_shows_every_command_in_its_group(arguments, capsys):
    assert run(arguments) == 0
    page = capsys.readouterr().out
    for title, entries in entry.GROUPS:
        _, _, below = page.partition(f"{title}:")
        for one in entries:
            assert f"  {one.name} " in below
            assert one.summary in below


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_has_its_module(name):
    command = COMMANDS[name].load()
    assert command.name == name


def test_the_first_page_imports_no_mesh_and_is_fast():
    heavy = [
        "aiohttp",
        "rich",
        "cryptography",
        "google.protobuf",
        "msgspec",
        "grpclib",
        "mizzen.admin",
        "mizzen.lab",
    ]
    script = (
        "import sys; from mizzen.cli.main import run; run(['--help']);"
        f"sys.exit(','.join(name for name in {heavy!r} if name in sys.modules) or None)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, "")
    assert after.ru_utime - before.ru_utime < 10 * HELP_SECONDS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["versoin"], "there is no command 'versoin': did you mean 'version'? (see 'mizzen --help')"),
        (["qqqq"], "there is no command 'qqqq': 'mizzen --help' lists the commands (see 'mizzen --help')"),
        (["version", "--bad"], "No such option '--bad' (see 'mizzen version --help')"),
        (["--bad"], "No such option '--bad' (see 'mizzen --help')"),
        (
            ["completion"],
            "Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish (see 'mizzen completion --help')",
        ),
    ],
)
def test_misuse_is_one_line_and_code_2(arguments, words, capsys):
    assert run(arguments) == 2
    assert said(capsys) == f"mizzen: {words}"


def test_an_error_that_the_user_can_mend_is_one_line(failing, capsys):
    failing(UserError("port 8080 is in use", "choose another with --port"))
    assert run(["boom"]) == 1
    assert said(capsys) == "mizzen: port 8080 is in use: choose another with --port"


def test_an_error_that_nobody_foresaw_is_one_line_and_a_private_file(failing, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(RuntimeError("the\nsky fell"))
    assert run(["boom"]) == 1
    line = said(capsys)
    (report,) = tmp_path.iterdir()
    assert line == (
        "mizzen: unexpected error: RuntimeError: the sky fell "
        f"(this is a bug of Mizzen: please report it with the file {report})"
    )
    assert "Traceback" in report.read_text()
    assert report.stat().st_mode & 0o077 == 0


def test_a_crash_whose_report_cannot_be_written_is_one_line_too(failing, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    failing(RuntimeError())
    assert run(["boom"]) == 1
    assert "could not be written: No such file or directory" in said(capsys)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_is_silent(failing, capsys, error):
    failing(error)
    assert run(["boom"]) == 130
    out, err = capsys.readouterr()
    assert (out, err.strip()) == ("", "")


def test_a_reader_that_leaves_gets_no_complaint():
    script = "import sys; from mizzen.cli.main import main; sys.stdin.read(); main(['--help'])"
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    os.close(reader)
    _, errors = process.communicate(b"")
    assert (process.returncode, errors) == (1, b"")


def test_versions(capsys):
    assert run(["version"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["mizzen", "envoy", "python"]
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"{' '.join(lines[0].split())}\n"


def test_completion_knows_the_commands_without_loading_them(monkeypatch):
    environment = os.environ | {
        "_MIZZEN_COMPLETE": "fish_complete",
        "COMP_WORDS": "mizzen ",
        "COMP_CWORD": "s",
    }
    script = "import sys; from mizzen.cli.main import main; main([])"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    offered = {
        line.split(",")[1].split("\t")[0] for line in done.stdout.splitlines() if line.startswith("plain")
    }
    assert offered == {name for name in COMMANDS if name.startswith("s")}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_scripts(shell, capsys):
    assert run(["completion", shell]) == 0
    assert "_MIZZEN_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(("command", "module"), [("serve", "mizzen.daemon"), ("agent", "mizzen.agent")])
def test_programs_of_their_own_get_all_their_arguments(command, module, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "execv", lambda path, arguments: calls.append((path, arguments)))
    run([command, "--help", "--listen", "a:1", "--", "x"])
    assert calls == [(sys.executable, [sys.executable, "-m", module, "--help", "--listen", "a:1", "--", "x"])]


def test_python_m_mizzen_is_mizzen():
    assert "from mizzen.cli.main import main" in Path(find_spec("mizzen.__main__").origin).read_text()
