"""Child processes: how they are started, kept, ended, and what is said about it."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from mizzen.processes import (
    ALWAYS,
    CAP_NET_ADMIN,
    NEVER,
    Command,
    Exit,
    Restart,
    StartError,
    Supervised,
    ToFile,
    ToLines,
    bound_file,
    run,
    start,
)


def python(code: str, *arguments: str, **options) -> Command:
    return Command(name="child", argv=(sys.executable, "-c", code, *arguments), **options)


async def until(condition, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_lines_go_to_the_callback_and_long_ones_are_cut():
    lines: list[str] = []
    child = start(
        python(
            "print('a'); print('b' * 100); print('c', end='')", stdout=ToLines(lines.append, limit_bytes=10)
        )
    )
    assert await child.wait() == Exit(0)
    assert lines == ["a", "b" * 10, "c"]


async def test_output_to_one_file_keeps_both_streams(tmp_path):
    log = ToFile(tmp_path / "log")
    child = start(
        python("import sys; print('out', flush=True); print('err', file=sys.stderr)", stdout=log, stderr=log)
    )
    await child.wait()
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_a_file_beyond_its_limit_moves_aside(tmp_path):
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"x" * 10 + b"y" * 10)
        bound_file(ToFile(path, limit_bytes=10))
        writer.write(b"z")
    assert path.read_bytes() == b"z"
    assert path.with_name("log.1").read_bytes() == b"y" * 10


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise SystemExit(3)", "exited with status 3"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
    ],
)
async def test_the_end_in_words(code, words):
    assert str(await start(python(code)).wait()) == words


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (Command(name="app", argv=("/no/such",)), "app cannot start: /no/such does not exist"),
        (
            Command(name="app", argv=(sys.executable,), cwd=Path("/no")),
            "app cannot start: /no does not exist",
        ),
        (Command(name="app", argv=("/etc/passwd",)), "app cannot start: no right to execute /etc/passwd"),
        (
            python("", netns_fd=0),
            "app cannot start: no right to enter its network namespace or to change to its user",
        ),
    ],
)
async def test_what_cannot_start_says_why_in_one_line(command, words):
    with pytest.raises(StartError) as caught:
        start(command)
    assert str(caught.value) == words.replace("app", command.name)


async def test_stop_asks_first_and_kills_afterwards():
    lines: list[str] = []
    stubborn = "import signal, time; signal.signal(15, lambda *a: print('asked', flush=True)); print('up', flush=True)\nwhile True: time.sleep(9)"
    child = start(python(stubborn, stdout=ToLines(lines.append)))
    await until(lambda: lines == ["up"])
    assert await child.stop(grace_seconds=0.2) == Exit(-signal.SIGKILL)
    assert lines == ["up", "asked"]


async def test_a_helper_gets_its_input_and_gives_its_output():
    finished = await run(python("import sys; print(sys.stdin.read()[::-1]); sys.exit('no')"), b"abc")
    assert (finished.exit, finished.stdout, finished.stderr) == (Exit(1), b"cba\n", "no")


async def test_a_helper_that_hangs_is_killed():
    with pytest.raises(StartError, match="did not finish within"):
        await run(python("import time; time.sleep(60)"), timeout_seconds=0.05)


async def test_no_child_outlives_its_parent():
    """The middle process starts a child and is killed before it can do anything about it."""
    middle_code = (
        "import asyncio, sys\nfrom mizzen.processes import *\n"
        "async def main():\n"
        " child = start(Command(name='x', argv=(sys.executable, '-c', 'import time; time.sleep(60)')))\n"
        " print(child.pid, flush=True); await child.wait()\n"
        "asyncio.run(main())"
    )
    lines: list[str] = []
    middle = start(python(middle_code, stdout=ToLines(lines.append)))
    await until(lambda: lines)
    grandchild = int(lines[0])
    assert alive(grandchild)
    middle.send_signal(signal.SIGKILL)
    await until(lambda: not alive(grandchild))
    await middle.wait()


@pytest.mark.skipif(
    os.getuid() != 0 or not Path("/etc").exists(), reason="could not run here: only root can change its user"
)
async def test_another_user_works_in_a_folder_it_could_not_reach(tmp_path):
    lines: list[str] = []
    tmp_path.chmod(0o700)
    inner = tmp_path / "inner"
    inner.mkdir()
    os.chown(inner, 1337, 1337)
    code = "import os; print(os.getuid(), os.getgid(), os.getgroups()); open('made', 'w').close()"
    child = start(
        Command(
            name="x",
            argv=("/usr/bin/env", "python3", "-c", code),
            cwd=inner,
            uid=1337,
            gid=1337,
            stdout=ToLines(lines.append),
        )
    )
    await child.wait()
    assert lines == ["1337 1337 []"]
    assert (inner / "made").stat().st_uid == 1337


@pytest.mark.skipif(os.getuid() != 0, reason="could not run here: only root can change its user")
@pytest.mark.parametrize(("kept", "effective"), [((), 0), ((CAP_NET_ADMIN,), 1 << CAP_NET_ADMIN)])
async def test_another_user_keeps_those_of_roots_rights_that_it_is_given(kept, effective):
    lines: list[str] = []
    argv = ("/bin/sh", "-c", "exec grep -E '^(Uid|CapEff|CapPrm)' /proc/self/status")  # over another exec
    child = start(
        Command(name="x", argv=argv, uid=1337, gid=1337, capabilities=kept, stdout=ToLines(lines.append))
    )
    await child.wait()
    uid, *capabilities = lines
    assert uid.split() == ["Uid:", "1337", "1337", "1337", "1337"]
    assert {int(line.split()[1], 16) for line in capabilities} == {effective}


def test_the_pause_doubles_up_to_a_limit_with_jitter_on_top():
    restart = Restart(first_seconds=1, max_seconds=5, jitter=0.5)
    assert [restart.delay_seconds(n, 0.0) for n in (1, 2, 3, 4, 99)] == [1, 2, 4, 5, 5]
    assert restart.delay_seconds(1, 1.0) == 1.5


class Story:
    """What a Supervised told, with a clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[tuple[str, float | None]] = []

    def supervised(self, command, restart: Restart) -> Supervised:
        return Supervised(
            command, restart, on_exit=lambda *event: self.told.append(event),
            sleep=self.sleep, monotonic=lambda: self.now, chance=lambda: 0.0,
        )  # fmt: skip

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


async def test_it_is_started_again_until_it_succeeds_with_growing_pauses(tmp_path):
    code = "import sys, pathlib; p = pathlib.Path(sys.argv[1]); n = len(p.read_text()) if p.exists() else 0; p.write_text('x' * (n + 1)); sys.exit(n < 3)"
    story = Story()
    supervised = story.supervised(
        python(code, str(tmp_path / "runs")), Restart(on_success=False, first_seconds=1)
    )
    supervised.start()
    assert await supervised.wait() == Exit(0)
    assert story.told == [
        ("child exited with status 1", 1.0),
        ("child exited with status 1", 2.0),
        ("child exited with status 1", 4.0),
        ("child exited with status 0", None),
    ]
    assert supervised.restarts == 3


async def test_a_restart_that_cannot_start_is_tried_again(tmp_path):
    commands = iter([python("raise SystemExit(1)"), Command(name="child", argv=("/no/such",)), python("")])
    story = Story()
    supervised = story.supervised(lambda: next(commands), Restart(on_success=False))
    supervised.start()
    await supervised.wait()
    assert [why for why, _ in story.told] == [
        "child exited with status 1",
        "child cannot start: /no/such does not exist",
        "child exited with status 0",
    ]


async def test_a_killed_process_comes_back_and_stop_ends_it_for_good():
    pids: list[int] = []
    supervised = Supervised(
        python("import time; time.sleep(60)"),
        Restart(first_seconds=0.01),
        on_start=lambda child: pids.append(child.pid),
    )
    supervised.start()
    assert supervised.child is not None
    supervised.child.send_signal(signal.SIGKILL)
    await until(lambda: len(pids) == 2)
    await supervised.stop()
    assert supervised.pid is None
    assert not any(alive(pid) for pid in pids)
    assert ALWAYS.wanted(Exit(0))
    assert not NEVER.wanted(Exit(1))
