"""The lab itself, with stand-ins for daemon and agent: it comes up, and whatever kills it, nothing of it stays."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mizzen.lab.modes import Mode
from mizzen.lab.state import running_labs
from tests.support.lab import running_lab, until
from tests.support.lab_launcher import EXIT_UNSUPPORTED
from tests.support.lab_standins import NAMES, TWO_WORKLOADS, application, programs
from tests.support.lab_traces import Traces, descendants, interfaces, traces_of

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]


A = "a.demo.svc.cluster.local"


@pytest.fixture(scope="module", params=list(Mode))
def mode(request) -> Mode:
    return request.param


@pytest.fixture(scope="module")
def lab(mode):
    """One for all the tests of a mode that leave it as it was."""
    with running_lab(definition=TWO_WORKLOADS, programs=programs(), mode=mode) as lab:
        yield lab


def test_everything_answers(lab, mode):
    status = lab.status()
    assert status.ready
    assert status.mode == mode
    assert [instance.name for instance in status.instances] == ["web-0", "gateway-0"]
    assert lab.admin("/api/v1/names") == {"names": NAMES}
    # The ingress: from the host's socket through the relay to the gateway's address.
    assert lab.ingress("/whoami")[2] == b'"gateway-0"'


def test_a_request_starts_inside_the_workload(lab, mode):
    address = lab.status().instances[0].address
    code, _, body = lab.request("gateway", f"http://{address}:9080/")
    if mode is Mode.LOOPBACK:
        assert code == 0, (
            "in loopback mode a request goes to the sidecar's proxy, which the stand-in does not have"
        )
    else:
        assert (code, body) == (200, b"web-0")


def test_without_a_sidecar_names_and_addresses_of_services_work(lab, mode):
    """As in a pod of Kubernetes without a sidecar. The stand-ins capture nothing."""
    if mode is Mode.LOOPBACK:
        assert lab.request("outside", f"http://{A}/")[0] == 0
        return
    for caller in ("gateway", "web"):  # web calls itself: it must not see its own address as the caller's
        found = until(lambda caller=caller: lab.request(caller, f"http://{A}/")[2], "an answer")
        assert found == b"web-0"
        assert lab.request(caller, "http://a.example/")[0] == 0, "a ServiceEntry is known to the mesh alone"


def test_what_is_killed_comes_back(lab):
    before = lab.status().instances[0].application.pid
    lab.signal("app", "web")
    until(lambda: lab.status().instances[0].application.restarts, "the application is started again")
    assert lab.status().instances[0].application.pid != before
    lab.signal("daemon")
    until(
        lambda: lab.status().daemon.restarts == 1 and lab.status().daemon.pid, "the daemon is started again"
    )


def test_a_workload_comes_and_goes(lab):
    lab.add(application("late"))
    assert [instance.name for instance in lab.status().instances] == ["web-0", "gateway-0", "late-0"]
    registry = Path(lab.file.state) / "registry"
    assert (registry / "default.late-0.yaml").exists()
    lab.remove("late")
    assert [instance.name for instance in lab.status().instances] == ["web-0", "gateway-0"]
    assert not (registry / "default.late-0.yaml").exists()
    assert lab.log("late-0.proxy").splitlines()[-1] == "drained"


def test_nothing_stays_after_down(mode):
    before = interfaces()
    with running_lab(definition=TWO_WORKLOADS, programs=programs(), mode=mode) as lab:
        traces = traces_of(lab.handle.keeper_pid, lab.file.control)
        assert len(traces.processes) >= 5, "init, daemon, two agents, an application"
        log = Path(lab.file.state) / "logs" / "gateway-0.proxy.log"
        lab.handle.stop()
        assert traces.left() == []
        assert interfaces() == before
        assert log.read_text().splitlines()[-1] == "drained", "the agents were asked, not killed"
        assert running_labs(Path(lab.file.state).parents[1]) == ()


@dataclass(frozen=True)
class Held:
    """A launcher in a process of its own, which a test may kill."""

    process: subprocess.Popen[str]
    file: dict[str, str]

    def traces(self) -> Traces:
        return traces_of(self.process.pid, self.file["control"])


@pytest.fixture
def held(mode, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.lab_launcher", str(mode), str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        line = process.stdout.readline()
        if not line.startswith("{"):
            assert process.wait() == EXIT_UNSUPPORTED, line
            pytest.skip(f"could not run here: {line.strip()}")
        yield Held(process, json.loads(line))
        process.kill()


def test_kill_9_of_the_launcher_ends_everything(held):
    before = interfaces()
    traces = held.traces()
    assert len(traces.processes) >= 6, "keeper, init, daemon, two agents, an application"
    held.process.kill()
    until(lambda: traces.left() == [], "everything is gone")
    assert interfaces() == before


@pytest.mark.parametrize("victim", ["keeper", "first process"])
def test_the_launcher_says_when_the_lab_dies(held, victim):
    traces = held.traces()
    keeper, first = descendants(held.process.pid)[:2]
    os.kill(keeper if victim == "keeper" else first, signal.SIGKILL)
    said = held.process.stdout.readline()
    assert said == "the lab's first process was killed by SIGKILL\n"
    assert held.process.wait() == 0
    until(lambda: traces.left() == [], "everything is gone")


def test_two_labs_beside_each_other(mode, tmp_path):
    same = {"definition": TWO_WORKLOADS, "programs": programs(), "mode": mode, "state_root": tmp_path}
    with running_lab(**same) as one, running_lab(**same) as two:
        assert (one.file.name, two.file.name) == ("two", "two-2")
        assert one.file.ingress_url != two.file.ingress_url
        assert one.file.admin_url != two.file.admin_url
        assert [lab.name for lab in running_labs(tmp_path)] == ["two", "two-2"]
        for lab in (one, two):
            assert lab.ingress("/whoami")[0] == 200
    assert running_labs(tmp_path) == ()
