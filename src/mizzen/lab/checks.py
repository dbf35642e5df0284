"""`mizzen up --check`: proves what the lab claims, by real requests. One function, one statement."""

import http
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from mizzen.errors import UserError
from mizzen.lab.client import ask
from mizzen.lab.definition import INGRESS, OUTSIDE, Expectation, LabDefinition
from mizzen.lab.expectations import call_of, judge
from mizzen.lab.modes import Mode
from mizzen.lab.protocol import CallRequest, LabStatus, Response, Responses, StatusRequest
from mizzen.lab.request import exchange
from mizzen.lab.state import LabFile

# Configuration must be in force a second after it was saved; a check fails at ten times what is promised.
_IN_FORCE_SECONDS = 10.0
_SYNC_SECONDS = 20.0
_BESIDE_SECONDS = 60.0


class CheckState(Enum):
    PROVED = "proved"
    FAILED = "failed"
    NOT_SHOWN = "not shown"


@dataclass(frozen=True, slots=True)
class Check:
    """One statement about the mesh, what became of it, and the evidence (or the reason why there is none)."""

    statement: str
    state: CheckState
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class _Outcome:
    state: CheckState
    evidence: str


@dataclass(frozen=True, slots=True)
class Bench:
    """What the checks work on: a lab that is up, and where its configuration can be edited."""

    lab: LabFile
    definition: LabDefinition
    admin: Callable[[str], Any]  # a document of the daemon's admin API, by path

    @property
    def captures(self) -> bool:
        return self.lab.mode is not Mode.LOOPBACK

    def status(self) -> LabStatus:
        return ask(self.lab.control, StatusRequest(), LabStatus)

    @property
    def edits(self) -> Path:
        """A folder of YAML that the daemon watches, and that is not the user's."""
        return Path(self.lab.state) / "registry"

    def responses(self, expectation: Expectation) -> tuple[Response, ...]:
        request = call_of(expectation, self.lab.ingress_url, secrets.token_hex(4))
        if expectation.source == OUTSIDE:
            request = replace(request, url=self._with_address(request.url))
        if expectation.source == INGRESS:
            return tuple(exchange(request) for _ in range(request.count))
        return ask(self.lab.control, request, Responses).responses

    def _with_address(self, url: str) -> str:
        """Outside the mesh no DNS knows workloads: put the address of the workload that the URL names."""
        parts = urlsplit(url)
        for one in self.status().instances:
            if parts.hostname in {one.workload, one.name}:
                return parts._replace(netloc=f"{one.address}:{parts.port or 80}").geturl()
        return url


def run_checks(bench: Bench, say: Callable[[str], None]) -> Iterator[Check]:
    """Every statement in turn; progress goes to `say`. A check that breaks has failed: it says how."""
    steps: list[tuple[str, Callable[[Bench], _Outcome]]] = [
        ("every workload runs, with a sidecar and an agent of its own", _workloads),
        ("every proxy has taken the whole configuration", _synchronised),
        ("workloads have network namespaces and addresses of their own", _isolated),
        *((found.name, _expectation(found)) for found in bench.definition.checks),
        ("all traffic between workloads is mTLS with SPIFFE identities that the daemon signed", _mutual_tls),
        ("the daemon names the policy that refused a request", _denial),
        ("an edited YAML is in force, and known to be delivered", _edit),
        ("the console is served", _console),
        ("a second lab runs beside the first, and kill -9 leaves nothing of it behind", _beside),
    ]
    for statement, step in steps:
        say(f"checking: {statement}")
        try:
            outcome = step(bench)
            yield Check(statement, outcome.state, outcome.evidence)
        except (UserError, OSError, TimeoutError) as error:
            yield Check(statement, CheckState.FAILED, str(error) or type(error).__name__)


def _found(holds: bool, evidence: str) -> _Outcome:
    return _Outcome(CheckState.PROVED if holds else CheckState.FAILED, evidence)


def _not_shown(reason: str) -> _Outcome:
    return _Outcome(CheckState.NOT_SHOWN, reason)


def _until(condition: Callable[[], str], seconds: float) -> tuple[bool, str, float]:
    """Wait until `condition` finds nothing wrong: (whether, what was wrong last, seconds taken)."""
    started = time.monotonic()
    while True:
        wrong = condition()
        taken = time.monotonic() - started
        if not wrong or taken > seconds:
            return not wrong, wrong, taken
        time.sleep(0.02)


def _workloads(bench: Bench) -> _Outcome:
    status = bench.status()
    down = [one.name for one in status.instances if not one.ready]
    evidence = f"{len(status.instances)} workloads are ready" if not down else f"not ready: {', '.join(down)}"
    return _found(not down, evidence)


def _synchronised(bench: Bench) -> _Outcome:
    def wrong() -> str:
        workloads = bench.admin("/api/v1/workloads")["workloads"]
        late = [
            w["name"]
            for w in workloads
            if not w["connected"] or any(s["state"] != "synced" for s in w["sync"])
        ]
        return f"not synchronised: {', '.join(late)}" if late else ""

    holds, last, _ = _until(wrong, _SYNC_SECONDS)
    count = len(bench.admin("/api/v1/workloads")["workloads"])
    return _found(holds, last or f"{count} proxies are in sync")


def _isolated(bench: Bench) -> _Outcome:
    if not bench.captures:
        return _not_shown("loopback mode: all share the host's network")
    addresses = [one.address for one in bench.status().instances]
    return _found(len(set(addresses)) == len(addresses), ", ".join(addresses))


def _expectation(expectation: Expectation) -> Callable[[Bench], _Outcome]:
    def check(bench: Bench) -> _Outcome:
        if expectation.needs_capture and not bench.captures:
            return _not_shown("loopback mode captures no traffic")
        verdict = judge(expectation, bench.responses(expectation))
        return _found(verdict.holds, verdict.evidence)

    return check


def _mutual_tls(bench: Bench) -> _Outcome:
    if not bench.definition.traffic and not bench.definition.checks:
        return _not_shown("lab.yaml names no traffic and no checks")

    def wrong() -> str:
        edges = answered_edges()
        plain = [f"{edge['source']} -> {edge['destination']}" for edge in edges if not edge["mutualTls"]]
        return "no traffic was seen" if not edges else f"plaintext: {', '.join(plain)}" if plain else ""

    def answered_edges() -> list[dict[str, Any]]:
        """Requests that no workload answered (a fault, a timeout) say nothing about mTLS."""
        status = bench.admin("/api/v1/status")
        known = {found["name"] for found in status["workloads"]}
        return [edge for edge in status["traffic"]["edges"] if edge["destination"] in known]

    holds, last, _ = _until(wrong, _SYNC_SECONDS)
    edges = answered_edges()
    pairs = sorted(
        {f"{_account(e['sourcePrincipal'])} -> {_account(e['destinationPrincipal'])}" for e in edges}
    )
    domain = bench.admin("/api/v1/status")["trustDomain"]
    return _found(holds, last or f"in {domain}: {'; '.join(pairs)}")


def _account(principal: str) -> str:
    return principal.rpartition("/sa/")[2] or "unknown"


def _denial(bench: Bench) -> _Outcome:
    if not any(found.status == http.HTTPStatus.FORBIDDEN for found in bench.definition.checks):
        return _not_shown("no check of lab.yaml expects a refusal")
    found: list[str] = []

    def wrong() -> str:
        denials = bench.admin("/api/v1/traffic")["denials"]
        found[:] = [f"{_account(d['sourcePrincipal'])} -> {d['destination']}: {d['policy']}" for d in denials]
        return "" if found else "no refused request was reported"

    holds, last, _ = _until(wrong, _SYNC_SECONDS)
    return _found(holds, last or found[0])


def _edit(bench: Bench) -> _Outcome:
    """Declares a host that exists nowhere else, which a route answers itself, and waits for that answer."""
    caller = next(one for one in bench.status().instances if one.application is not None)
    text, port = secrets.token_hex(8), caller.ports[0]
    before = bench.admin("/api/v1/status")["revision"]
    file = bench.edits / "mizzen-check.yaml"
    file.write_text(_EDIT.format(namespace=caller.namespace, host=_EDIT_HOST, port=port, text=text))
    probe = _edit_probe(bench, caller.name, port)
    try:
        holds, wrong, taken = _until(
            lambda: (
                "" if text.encode() in bench.responses(probe)[0].body else "the route did not come into force"
            ),
            _IN_FORCE_SECONDS,
        )
        if not holds:
            return _found(False, wrong)
        delivered, wrong, _ = _until(lambda: _undelivered(bench, before), _IN_FORCE_SECONDS)
    finally:
        file.unlink()
    return _found(delivered, f"in force after {taken:.2f} s; {wrong or 'every proxy concerned has ACKed it'}")


_EDIT_HOST = "mizzen-check.local"
_EDIT = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: mizzen-check, namespace: {namespace}}}
spec:
  hosts: [{host}]
  resolution: STATIC
  ports: [{{name: http, number: {port}, protocol: HTTP}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: mizzen-check, namespace: {namespace}}}
spec:
  hosts: [{host}]
  http:
  - directResponse: {{status: 200, body: {{string: {text}}}}}
"""


def _edit_probe(bench: Bench, caller: str, port: int) -> Expectation:
    """With capture any address of the mesh will do: the Host header decides, and no DNS has to know the name yet."""
    if not bench.captures:
        return Expectation(name="", source=caller, url=f"http://{_EDIT_HOST}:{port}/")
    known = min(name for name in bench.admin("/api/v1/names")["names"] if not name.startswith("*"))
    return Expectation(name="", source=caller, url=f"http://{known}:{port}/", headers={"Host": _EDIT_HOST})


def _undelivered(bench: Bench, before: int) -> str:
    changes = [
        c for c in bench.admin("/api/v1/changes")["changes"] if c["revision"] > before and c["proxies"]
    ]
    if not changes:
        return "the change is not reported"
    late = [name for change in changes for name, state in change["proxies"].items() if state != "acked"]
    return f"not ACKed by {', '.join(late)}" if late else ""


def _console(bench: Bench) -> _Outcome:
    url = f"{bench.lab.admin_url}/console/"
    answer = exchange(CallRequest(INGRESS, url))
    return _found(answer.status == 200 and b"<html" in answer.body, url)


def _beside(bench: Bench) -> _Outcome:
    """A second lab of one workload is brought up as a user would, killed by SIGKILL, and looked for."""
    mark = f"mizzen-beside-{secrets.token_hex(4)}"
    command = [
        sys.executable,
        "-P",
        "-m",
        "mizzen",
        "up",
        "--no-ui",
        "--name",
        mark,
        "--mode",
        str(bench.lab.mode),
    ]
    command += ["--workload", f"{mark}={_SERVER}:8000"]
    second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert second.stdout is not None
        lines = []
        for line in second.stdout:
            lines.append(line.strip())
            if " is up " in line:
                break
        else:
            return _found(False, f"it did not come up: {lines[-1] if lines else 'no output'}")
        running = _processes_of(mark)
        second.kill()
        second.wait()
        holds, last, _ = _until(lambda: ", ".join(_processes_of(mark)), _IN_FORCE_SECONDS)
        evidence = f"{len(running)} processes ran; none is left" if holds else f"left behind: {last}"
        return _found(holds and bool(running), evidence)
    finally:
        second.kill()
        second.wait()
        if second.stdout is not None:
            second.stdout.close()


_SERVER = (
    'python -c "import http.server as h, os;'
    " h.HTTPServer((os.environ['HOST'], int(os.environ['PORT'])), h.SimpleHTTPRequestHandler).serve_forever()\""
)


def _processes_of(mark: str) -> list[str]:
    """Processes whose command line or environment has the mark, but for this one and its children by fork."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in text:
            found.append(folder.name)
    return found
