"""Every spelling of a path against every kind of path policy, through real proxies: what is let in arrives with a path that the policy
lets in, and what a policy forbids arrives in no spelling. The application says what it got; nothing else is trusted.
"""

import json
from collections.abc import Callable, Iterator

import pytest

from mizzen.lab.definition import LabDefinition, Workload
from tests.support.lab import Lab, running_lab, until
from tests.support.load import write

pytestmark = pytest.mark.lab

SERVER = """
import os, socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        path = self.rfile.readline().split(b" ")[1]
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(path) + path)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128
Server((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
# Sends what it is told, byte for byte: clients tidy paths up. Answers on standard output, a line a request.
CLIENT = """
import json, os, socket, time
done = 0
while True:
    try:
        rounds = json.load(open(os.environ["ROUNDS"]))
    except (OSError, ValueError):
        rounds = {"number": 0}
    if rounds["number"] == done:
        time.sleep(0.05)
        continue
    done, answers = rounds["number"], []
    for host, path in rounds["requests"]:
        with socket.create_connection(("web", 80), timeout=10) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode("latin-1"))
            raw = b""
            while block := connection.recv(65536):
                raw += block
        head, _, body = raw.partition(b"\\r\\n\\r\\n")
        answers.append([int(head.split()[1]), body.decode("latin-1")])
    print(json.dumps({"number": done, "answers": answers}), flush=True)
"""
SPELLINGS = [
    *(
        "/secret",
        "/secret/",
        "/secret/a",
        "/secretive",
        "/Secret",
        "/a/secret",
        "/secret?x=1",
        "/secret#x",
        "/secret;x",
    ),
    *(
        "//secret",
        "/./secret",
        "/a/../secret",
        "/a//../secret",
        "/a/b/../../secret",
        "/%2fsecret",
        "/%2Fsecret",
        "/secret%2f",
    ),
    *(
        "/%5csecret",
        "/\\secret",
        "/a/..;/secret",
        "/a/%2e%2e/secret",
        "/a/%2E%2e/secret",
        "/%73ecret",
        "/secre%74",
        "/secret%00",
    ),
    *(
        "/a/..%2fsecret",
        "/a%2f..%2fsecret",
        "/a/..%5csecret",
        "/secret/..",
        "/secret/../open",
        "/open/../secret/./",
        "/secret%3fx",
    ),
    *(
        "/secret%23x",
        "/secret/.",
        "/;/secret",
        "/a;b/../secret",
        "/secret//",
        "///secret///",
        "/%252fsecret",
        "/open",
        "/",
    ),
]
HOSTS = ("web", "WEB", "web:80", "web.shop.svc.cluster.local")
NORMALIZATIONS = ("NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES")
Matches = Callable[[str], bool]
# Kinds of values, and what they mean to a path without its query.
VALUES: dict[str, Matches] = {
    "/secret": lambda path: path == "/secret",
    "/secret*": lambda path: path.startswith("/secret"),
    "*secret": lambda path: path.endswith("secret"),
    "*": bool,
    # Templates match characters that a URL may have: a backslash is none (it is turned into a slash but under NONE).
    "/{*}": lambda path: path.count("/") == 1 and len(path) > 1 and "\\" not in path,
    "/secret/{**}": lambda path: path.startswith("/secret/"),
}
MESH = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8000}]}
"""
CASE = """
apiVersion: mesh.istio.io/v1alpha1
kind: MeshConfig
metadata: {{name: default}}
spec: {{pathNormalization: {{normalization: {normalization}}}}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: web, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  action: {action}
  rules: [{{to: [{{operation: {{{field}: ["{value}"]}}}}]}}]
"""


@pytest.fixture(scope="module")
def rounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounds")
    folder.chmod(0o755)
    for parent in folder.parents:
        if parent.stat().st_uid == folder.stat().st_uid and parent != folder.parents[-1]:
            parent.chmod(parent.stat().st_mode | 0o011)
    return folder / "rounds.json"


@pytest.fixture(scope="module")
def lab(tmp_path_factory, rounds) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "mesh.yaml").write_text(MESH)
    workloads = (
        Workload(
            name="web",
            namespace="shop",
            labels={"app": "web"},
            command=("python", "-c", SERVER),
            ports=(8000,),
        ),
        Workload(
            name="caller",
            namespace="shop",
            labels={"app": "caller"},
            command=("python", "-u", "-c", CLIENT),
            env={"ROUNDS": str(rounds)},
        ),
    )
    with running_lab(folder, definition=LabDefinition(name="paths", workloads=workloads)) as started:
        yield started


def answers(lab: Lab, rounds, requests: list[tuple[str, str]], number: int) -> list[tuple[int, str]]:
    rounds.with_suffix(".new").write_text(json.dumps({"number": number, "requests": requests}))
    rounds.with_suffix(".new").chmod(0o644)
    rounds.with_suffix(".new").replace(rounds)

    def answered():
        lines = [json.loads(line) for line in lab.log("caller-0.app").splitlines() if line.startswith("{")]
        return next((line["answers"] for line in lines if line["number"] == number), None)

    return [(status, body) for status, body in until(answered, "the caller is done")]


def meant(path: str) -> str:
    """What a policy looks at, of what arrived: no query. (Fragments and parameters of paths are the proxy's business.)"""
    return path.partition("?")[0]


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_no_spelling_gets_past_a_policy(lab: Lab, rounds, normalization: str) -> None:
    requests = [(HOSTS[number % len(HOSTS)], path) for number, path in enumerate(SPELLINGS)]
    base = 1000 * NORMALIZATIONS.index(normalization)
    wrong, passed, denied = [], 0, 0
    cases = [
        (action, field, value)
        for action in ("ALLOW", "DENY")
        for field in ("paths", "notPaths")
        for value in VALUES
    ]
    for number, (action, field, value) in enumerate(cases, 1):
        write(
            lab,
            "case.yaml",
            CASE.format(normalization=normalization, action=action, field=field, value=value),
        )
        # Connections of before the change answer once more by the policy of before: one for each thread of the caller's proxy, and
        # the kernel chooses the thread. So many requests miss none of two.
        answers(lab, rounds, [(host, "/settle") for host in HOSTS] * 5, base + 500 + number)
        for (_, sent), (status, arrived) in zip(
            requests, answers(lab, rounds, requests, base + number), strict=True
        ):
            if status == 403:
                denied += 1
                continue
            if status != 200:
                continue  # Envoy takes no such path at all
            passed += 1
            selected = VALUES[value](meant(arrived)) == (field == "paths")
            if selected != (action == "ALLOW"):
                wrong.append(f"{action} {field} {value}: {sent} arrived as {arrived}")
    assert wrong == []
    assert passed > 100
    assert denied > 100
