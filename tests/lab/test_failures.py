"""What a user meets when a lab does not come up: one line that says what to do."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mizzen.errors import UserError
from mizzen.lab.launcher import Options, launch
from mizzen.lab.modes import Mode
from mizzen.lab.plan import Programs
from mizzen.lab.startup import StartupError
from tests.support.lab import running_lab
from tests.support.lab_launcher import EXIT_UNSUPPORTED
from tests.support.lab_standins import TWO_WORKLOADS, LabDefinition, application, programs
from tests.support.lab_traces import interfaces

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]


def up(tmp_path, *workloads, **changes):
    values = {
        "definition": LabDefinition(workloads=workloads),
        "folder": tmp_path,
        "config": (),
        "state_root": tmp_path,
        "programs": programs(),
        **changes,
    }
    return launch(Options(**values), lambda _text: None)


def test_an_application_that_exits_at_once(tmp_path):
    broken = application("web", ("python", "-c", "import sys; sys.exit('no configuration')"))
    with pytest.raises(StartupError, match="web-0 exited with status 1 as soon as it started") as raised:
        up(tmp_path, broken)
    assert set(raised.value.lines) == {"no configuration"}


def test_a_command_that_does_not_exist(tmp_path):
    with pytest.raises(UserError, match="web-0 cannot start: no-such-program does not exist"):
        up(tmp_path, application("web", ("no-such-program",)))


def test_a_daemon_that_does_not_start(tmp_path):
    silent = Programs(
        daemon=(sys.executable, "-c", "import sys; sys.exit('the lock is taken')"), agent=programs().agent
    )
    with pytest.raises(StartupError, match="the daemon exited with status 1 as soon as it started") as raised:
        up(tmp_path, programs=silent)
    assert raised.value.lines == ("the lock is taken",)


def test_an_agent_that_does_not_start(tmp_path):
    broken = Programs(
        daemon=programs().daemon, agent=(sys.executable, "-c", "import sys; sys.exit('no Envoy')")
    )
    with pytest.raises(StartupError, match="the sidecar of web-0 exited with status 1") as raised:
        up(tmp_path, application("web"), programs=broken)
    assert set(raised.value.lines) == {"no Envoy"}


def test_a_lab_that_does_not_get_ready(tmp_path):
    deaf = application("web", ("python", "-c", "import time; time.sleep(60)"))
    with pytest.raises(StartupError, match=r"not ready after 1 s: web-0 \(application\)"):
        up(tmp_path, deaf, ready_seconds=1)


def test_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            UserError, match=f"port {port} for the ingress is in use: choose another with --port"
        ):
            up(tmp_path, definition=TWO_WORKLOADS, port=port)


def test_a_name_that_is_taken(tmp_path):
    with (
        running_lab(definition=TWO_WORKLOADS, programs=programs(), state_root=tmp_path, name="mine"),
        pytest.raises(UserError, match="a lab named mine is running: stop it with `mizzen down mine`"),
    ):
        up(tmp_path, name="mine")


@pytest.mark.parametrize("forced", [Mode.ROOTED, Mode.ROOTLESS])
def test_a_machine_without_namespaces_says_so(forced, tmp_path):
    finished = _without_namespaces(str(forced), tmp_path)
    assert finished.returncode == EXIT_UNSUPPORTED
    assert finished.stdout.startswith("this machine cannot run the lab (")
    assert "leave out --mode" in finished.stdout


def test_loopback_needs_no_namespaces(tmp_path):
    before = interfaces()
    finished = _without_namespaces("loopback", tmp_path)
    assert '"mode":"loopback"' in finished.stdout
    assert interfaces() == before


def _without_namespaces(mode: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Launch where the kernel grants none, as in a plain container, and stop the lab at once."""
    script = (
        "import sys; from tests.support.no_namespaces import forbid_namespaces; forbid_namespaces();"
        "from tests.support.lab_launcher import main; sys.exit(main())"
    )
    return subprocess.run(
        [sys.executable, "-c", script, mode, str(root), "once"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
