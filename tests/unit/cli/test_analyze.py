"""`mizzen analyze` and `mizzen validate`: what they print and how they end."""

import io
import json
import sys

import pytest

from mizzen.cli.main import run

GOOD = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
"""
UNBOUND = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web.example.com]
  gateways: [nowhere]
  http: [{route: [{destination: {host: web}}]}]
"""
WRONG = GOOD.replace("port: 80", "port: eighty")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(capsys, *arguments):
    code = run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_nothing_wrong(folder, capsys):
    (folder / "web.yaml").write_text(GOOD)
    assert ran(capsys, "analyze") == (0, "1 file, 1 object: no problems\n", "")


def test_findings_are_told_at_their_place_and_fail(folder, capsys):
    (folder / "routes.yaml").write_text(UNBOUND)
    (folder / "web.yaml").write_text(GOOD)
    code, out, err = ran(capsys, "analyze", ".")
    assert (code, err) == (1, "")
    assert out.splitlines()[:3] == [
        'routes.yaml:6:14: error IST0101: there is no gateway "nowhere"',
        "    VirtualService shop/web, spec.gateways[0]",
        "    create it or correct the name",
    ]
    assert out.splitlines()[-1] == "2 files, 2 objects: 1 error, 1 warning"


def test_validate_looks_at_each_object_by_itself(folder, capsys):
    (folder / "routes.yaml").write_text(UNBOUND)
    assert ran(capsys, "validate")[0] == 0
    (folder / "web.yaml").write_text(WRONG)
    code, out, _ = ran(capsys, "validate", "web.yaml")
    assert code == 1
    assert out.startswith("web.yaml:4:35: error MZ0021: expected a whole number")


@pytest.mark.parametrize(("fail_on", "code"), [("error", 0), ("warning", 1), ("info", 1), ("never", 0)])
def test_fail_on(folder, capsys, fail_on, code):
    (folder / "routes.yaml").write_text(UNBOUND)
    arguments = ("analyze", "-S", "IST0101=VirtualService shop/*", "--fail-on", fail_on, "routes.yaml")
    made, out, _ = ran(capsys, *arguments)
    assert made == code
    assert "1 warning (2 suppressed)" in out


def test_namespace(folder, capsys):
    (folder / "routes.yaml").write_text(UNBOUND)
    assert ran(capsys, "analyze", "-n", "other")[1] == "1 file, 1 object: no problems\n"


def test_standard_input(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(UNBOUND.encode())))
    code, out, _ = ran(capsys, "analyze", "-")
    assert code == 1
    assert out.startswith("<stdin>:6:14: error IST0101")


@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze", "absent"),
        ("analyze", "--output", "xml"),
        ("validate", "--fail-on", "fatal"),
        ("analyze", "--nope"),
    ],
)
def test_misuse(folder, capsys, arguments):
    code, out, err = ran(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_a_suppression_that_cannot_be_read_is_one_line(folder, capsys):
    code, _, err = ran(capsys, "analyze", "-S", "nonsense")
    assert code == 1
    assert err.startswith('mizzen: --suppress "nonsense" cannot be read')


@pytest.mark.parametrize("output", ["json", "sarif"])
def test_output_for_programs(folder, capsys, output):
    (folder / "routes.yaml").write_text(UNBOUND)
    code, out, _ = ran(capsys, "analyze", "--output", output)
    assert code == 1
    assert "IST0101" in json.dumps(json.loads(out))


def test_output_for_github(folder, capsys):
    (folder / "routes.yaml").write_text(UNBOUND)
    _, out, _ = ran(capsys, "analyze", "--output", "github")
    assert out.startswith("::error file=routes.yaml,line=6,")
    (folder / "routes.yaml").write_text(GOOD)
    assert ran(capsys, "analyze", "--output", "github") == (0, "", "")


def test_posture(folder, capsys):
    (folder / "web.yaml").write_text(GOOD)
    code, out, _ = ran(capsys, "analyze", "--posture")
    assert code == 0
    assert "fail  Is plain text between workloads refused?" in out
    assert "pass  Is TLS below 1.2 refused?" in out
    assert out.splitlines()[-1] == "posture: 7 of 10 checks pass (70 %); 3 warnings"
    told = json.loads(ran(capsys, "analyze", "--posture", "-o", "json")[1])
    assert told["posture"] == {"passed": 7, "checks": 10}


def test_the_workloads_of_a_lab_count(folder, capsys):
    policy = (
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop}\n"
        "spec: {selector: {matchLabels: {app: web}}}\n"
    )
    (folder / "policy.yaml").write_text(policy)
    assert "IST0127" in ran(capsys, "analyze", ".")[1]
    lab = "workloads:\n- {name: web, namespace: shop, labels: {app: web}, command: sleep 1, ports: [80]}\n"
    (folder / "lab.yaml").write_text(lab)
    assert ran(capsys, "analyze", ".")[1] == "1 file, 1 object: no problems\n"
    (folder / "lab.yaml").write_text("nonsense")
    assert "IST0127" in ran(capsys, "analyze", ".")[1]


def test_a_kind_without_effect_is_told_once(folder, capsys):
    maps = "".join(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{number}}}\n---\n" for number in range(3)
    )
    (folder / "maps.yaml").write_text(maps)
    _, out, _ = ran(capsys, "validate")
    assert out.count("MZ0103") == 1
    assert "(and so for 2 objects more)" in out
    assert out.splitlines()[-1] == "1 file, 3 objects: 1 warning"


def test_hostile_names_cannot_write_to_the_terminal(folder, capsys):
    (folder / "web.yaml").write_text(UNBOUND.replace("[nowhere]", '["\\e[31mred"]'))
    assert "\x1b" not in ran(capsys, "analyze")[1]


def test_lines_are_wrapped_for_people():
    from mizzen.cli.report import _wrapped

    lines = _wrapped("a/very/long/place.yaml:10:10: error IST0101: " + "word " * 30, 80, "")
    assert max(map(len, lines)) <= 80
    assert all(line.startswith("    ") for line in lines[1:])
