"""What an annotation and a ProxyConfig set for one proxy, seen at the Envoy that runs."""

from pathlib import Path

import pytest

from mizzen.lab.definition import LabDefinition, Workload
from tests.support.lab import running_lab
from tests.support.lab_traces import descendants

pytestmark = pytest.mark.lab

ANNOTATION = """
concurrency: 1
drainDuration: 7s
holdApplicationUntilProxyStarts: true
proxyMetadata: {FROM: annotation}
proxyStatsMatcher: {inclusionPrefixes: [http.]}
"""
MESH = """
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: all, namespace: default}
spec: {concurrency: 3, environmentVariables: {FROM: object, ALSO: object}}
"""
SERVER = ("python", "-m", "http.server", "8000")


def workload(name: str, **fields) -> Workload:
    return Workload(name=name, labels={"app": name}, command=SERVER, ports=(8000,), **fields)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "mesh.yaml").write_text(MESH)
    own = workload("own", annotations={"proxy.istio.io/config": ANNOTATION})
    with running_lab(folder, definition=LabDefinition(name="set", workloads=(own, workload("plain")))) as lab:
        yield lab


def processes(lab, word: str) -> dict[str, int]:
    """By instance name: the process whose command line holds the word."""
    found = {}
    for pid in descendants(lab.handle.keeper_pid):
        line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        if word in line and "mizzen.agent" not in line:
            found[environment(pid).get("MIZZEN_WORKLOAD", "")] = pid
    return found


def environment(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def arguments(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")


def started(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def option(pid: int, name: str) -> str:
    line = arguments(pid)
    return line[line.index(name) + 1]


def test_envoy_runs_with_what_is_set(lab):
    envoys = processes(lab, "--config-yaml")
    assert {name: option(pid, "--concurrency") for name, pid in envoys.items()} == {
        "own-0": "1",
        "plain-0": "3",
    }
    assert option(envoys["own-0"], "--drain-time-s") == "7"
    assert environment(envoys["own-0"])["FROM"] == "annotation"
    assert environment(envoys["plain-0"])["FROM"] == "object"
    assert environment(envoys["own-0"])["ALSO"] == "object"
    assert '"prefix": "http."' in option(envoys["own-0"], "--config-yaml")


def test_an_application_waits_for_its_proxy(lab):
    envoys, applications = processes(lab, "--config-yaml"), processes(lab, "http.server")
    ready = lab.log("own-0.proxy")
    assert "ready after" in ready
    waited = started(applications["own-0"]) - started(envoys["own-0"])
    assert waited > 10, "hundredths of a second: Envoy does not start in a tenth of one"
    assert started(applications["plain-0"]) - started(envoys["plain-0"]) < waited
