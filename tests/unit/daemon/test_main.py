"""`python -m mizzen.daemon`: what the user can mend is one line on stderr and exit status 1, never a traceback."""

import asyncio
import json
import signal
import socket
import sys
from contextlib import asynccontextmanager

import pytest

from mizzen.cli.main import run
from mizzen.daemon.__main__ import main

CONFIG = """
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
"""


@pytest.fixture
def options(tmp_path):
    """A command line that works."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "mesh.yaml").write_text(CONFIG)
    return {
        "--config": str(tmp_path / "config"),
        "--state-dir": str(tmp_path / "state"),
        "--listen": "127.0.0.1:0",
        "--admin-address": "127.0.0.1:0",
    }


@asynccontextmanager
async def started(options):
    words = [word for pair in options.items() for word in pair if word is not None]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mizzen.daemon", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def failure(options) -> str:
    """What it says before it ends; its log stands before that."""
    async with started(options) as process, asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode == 1, err.decode()
    assert out == b""
    *log, line = err.decode().splitlines()
    assert all(" INFO " in each or " WARNING " in each for each in log), log
    assert line.startswith("mizzen serve: ")
    return line.removeprefix("mizzen serve: ")


def refusal(options, capsys) -> str:
    """The same, in this process: for what is noticed before anything runs."""
    assert main([word for pair in options.items() for word in pair]) == 1
    line = capsys.readouterr().err
    assert line.startswith("mizzen serve: ")
    assert line.count("\n") == 1
    return line.removeprefix("mizzen serve: ").rstrip()


async def test_it_says_ready_serves_and_ends_well(options, tmp_path):
    async with started(options) as process, asyncio.timeout(30):
        assert await process.stdout.readline() == b"ready\n"
        assert (tmp_path / "state" / "admin.sock").is_socket()
        second = await failure(options)
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
    assert process.returncode == 0
    assert out == b""
    assert b"Traceback" not in err
    assert not (tmp_path / "state" / "admin.sock").exists()
    assert second == (
        f"another daemon runs on the state folder {tmp_path / 'state'}: "
        "stop it, or choose another with --state-dir"
    )


async def test_its_log_for_machines_changes_its_levels_while_it_runs(options, tmp_path, capsys):
    options |= {"--log-format": "json", "--log-level": "admin:warn"}
    socket_option = ["--socket", str(tmp_path / "state" / "admin.sock")]

    async def log(*words):
        assert await asyncio.to_thread(run, ["log", *socket_option, "--json", *words]) == 0
        return json.loads(capsys.readouterr().out)

    async with started(options) as process, asyncio.timeout(60):
        assert await process.stdout.readline() == b"ready\n"
        at_start = {"admin": "warn", "ca": "info", "daemon": "info", "rpc": "info", "xds": "info"}
        assert await log() == at_start
        assert await log("--level", "xds:debug,ca:none") == {**at_start, "xds": "debug", "ca": "none"}
        assert await asyncio.to_thread(run, ["log", *socket_option, "--level", "sdx:debug"]) == 1
        said = capsys.readouterr().err
        assert said == "mizzen: there is no scope 'sdx': these are: admin, ca, daemon, rpc, xds, all\n"
        assert await log("--reset") == at_start
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
    lines = [json.loads(line) for line in err.decode().splitlines()]
    assert [line["msg"] for line in lines if line["scope"] == "admin"][-1] == f"log levels are now {at_start}"
    assert {"time", "level", "scope", "msg"} <= lines[0].keys()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loud", "there is no level 'loud': these are: debug, info, warn, error, fatal, none"),
        ("sdx:debug", "there is no scope 'sdx': these are: admin, ca, daemon, rpc, xds, all"),
        ("xds:", "'xds:' is not SCOPE:LEVEL: such as xds:debug,ca:warn, or debug for all"),
    ],
)
def test_levels_that_there_are_not(options, text, said, capsys):
    options["--log-level"] = text
    assert refusal(options, capsys) == said


async def test_a_missing_folder(options):
    options["--config"] += "/none"
    assert await failure(options) == (
        f"there is no {options['--config']}: name an existing folder or file with --config"
    )


@pytest.mark.parametrize("option", ["--listen", "--admin-address"])
@pytest.mark.parametrize("text", ["15012", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536"])
def test_what_is_no_address(options, option, text, capsys):
    options[option] = text
    assert refusal(options, capsys) == f"{text!r} is not HOST:PORT: correct {option}"


@pytest.mark.parametrize("option", ["--listen", "--admin-address"])
async def test_a_taken_port(options, option):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options[option] = f"127.0.0.1:{taken.getsockname()[1]}"
        said = await failure(options)
    assert options[option] in said
    assert "Address already in use" in said
    assert option in said


async def test_a_host_that_does_not_exist(options):
    options["--listen"] = "nowhere.invalid:15012"
    said = await failure(options)
    assert said.startswith("cannot listen on nowhere.invalid:15012: ")


async def test_a_state_folder_that_cannot_be_written(options, tmp_path):
    options["--state-dir"] = str(tmp_path / "config" / "mesh.yaml" / "state")
    assert "Not a directory" in await failure(options)


async def test_a_state_folder_whose_path_is_too_long_for_a_socket(options, tmp_path):
    options["--state-dir"] = str(tmp_path / ("x" * 100))
    assert "the path of a socket has at most 107 bytes" in await failure(options)


async def test_a_descriptor_that_is_no_socket(options):
    options["--admin-fd"] = "77"
    assert await failure(options) == "descriptor 77 is not a socket (Bad file descriptor): correct --admin-fd"


async def test_a_damaged_key(options, tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "join-token.key").write_text("not a key\n")
    (tmp_path / "state" / "join-token.key").chmod(0o600)
    assert "join-token.key" in await failure(options)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--certificate-ttl", "0", "certificates cannot live for 0 seconds: correct --certificate-ttl"),
        ("--certificate-ttl", "-5", "certificates cannot live for -5 seconds: correct --certificate-ttl"),
        (
            *("--trust-domain", "not a domain/"),
            "'not a domain/' is no trust domain: correct --trust-domain, or trustDomain of MeshConfig",
        ),
        ("--name", "not a name", "'not a name' is neither a DNS name nor an address: correct --name"),
        (
            "--name",
            "b\u00fccher.example",
            "'b\u00fccher.example' is neither a DNS name nor an address: correct --name",
        ),
    ],
)
def test_settings_that_cannot_be_meant(options, capsys, option, value, said):
    options[option] = value
    assert refusal(options, capsys) == said
