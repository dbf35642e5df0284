"""lab.yaml: what it may say, and what a user is told where it says something else."""

import pytest

from mizzen.config.decode import decode
from mizzen.errors import UserError
from mizzen.lab.definition import Port, command_for, extra_workload
from mizzen.lab.reading import check_extra, read_definition
from tests.support.lab import BOOKINFO

GOOD = """\
name: shop
workloads:
- name: web
  command: python app.py --motto "two words"
  ports: [8000, {name: admin, number: 9000}]
- name: gateway
  gateway: true
ingress: {workload: gateway, port: 8080}
traffic:
- {from: ingress, url: "http://localhost/"}
"""


def read(tmp_path, text):
    path = tmp_path / "lab.yaml"
    path.write_text(text)
    return read_definition(path)


def test_what_is_left_out_has_a_default(tmp_path):
    web = read(tmp_path, GOOD).workloads[0]
    assert (web.namespace, web.service_account, web.replicas, web.labels) == ("default", "default", 1, {})
    assert web.argv() == ("python", "app.py", "--motto", "two words")
    assert web.declared_ports() == (Port(number=8000), Port(number=9000, name="admin"))


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("ports:", "prots:", 5, "unknown field 'prots'"),
        ("name: gateway\n", "namespace: x\n", 6, "the field 'name' is missing"),
        ("gateway: true", "replicas: many", 7, "expected int, got str"),
        ("gateway: true", "gateway: true\n  replicas: 0", 8, "1 to 50 replicas are possible"),
        ("[8000,", "[80000,", 5, "80000 is no port"),
        ("name: gateway", "name: web", 6, "there are two workloads named web"),
        ("name: web", "name: Web", 3, "'Web' is no name: small letters, digits and dashes make one"),
        ("  gateway: true\n", "", 6, "a command is missing"),
        ("gateway: true", "gateway: true\n  command: x", 8, "a gateway runs no command"),
        ('"two words"', '"two words', 4, "the command cannot be split into words: No closing quotation"),
        (
            "  gateway: true",
            "  gateway: true\n  annotations: {traffic.sidecar.istio.io/excludeInboundPorts: '80,x'}",
            8,
            "'x' is no port",
        ),
        (
            "  command:",
            "  annotations: {prometheus.io/scrape: 'true', prometheus.io/port: metrics}\n  command:",
            4,
            "'metrics' is no port",
        ),
        (
            "  command:",
            "  annotations: {prometheus.istio.io/merge-metrics: 'off'}\n  command:",
            4,
            "'off' is neither true nor false",
        ),
        (
            "  gateway: true",
            "  gateway: true\n  annotations: {sidecar.istio.io/interceptionMode: NONE}",
            8,
            "'NONE' is no mode that a lab has: REDIRECT or TPROXY",
        ),
        ("{workload: gateway,", "{workload: door,", 8, "there is no workload named door"),
        ("{from: ingress,", "{from: nobody,", 10, "there is no workload named nobody"),
        ("ingress: {workload: gateway, port: 8080}\n", "", 9, "the lab has no ingress"),
        ('url: "http://localhost/"', "url: x, rps: 0", 10, "requests per second are more than 0"),
        ("name: shop", "name: [shop", 1, ""),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path, old, new, line, message):
    assert old in GOOD
    with pytest.raises(UserError) as raised:
        read(tmp_path, GOOD.replace(old, new, 1))
    place, _, said = raised.value.message.partition(": ")
    # A syntax error is noticed where the parser gives up, not where the bracket stands.
    assert place.startswith(str(tmp_path / "lab.yaml"))
    assert not message or place.split(":")[1] == str(line)
    assert said.startswith(message)


def test_a_folder_without_one(tmp_path):
    with pytest.raises(UserError, match=r"has no lab.yaml: write one, or name a workload with --workload"):
        read_definition(tmp_path / "lab.yaml")


def test_a_workload_of_the_command_line():
    web = extra_workload('web=python -c "print(1)":8000')
    assert web.argv() == ("python", "-c", "print(1)")
    assert web.labels == {"app": "web"}
    assert web.declared_ports() == (Port(number=8000, name="http"),)


@pytest.mark.parametrize("option", ["web", "web=python app.py", "web=:8000", "web=python app.py:http"])
def test_a_workload_that_is_misspelt(option):
    with pytest.raises(ValueError, match=r"is not NAME=COMMAND:PORT"):
        extra_workload(option)


def test_a_workload_of_the_command_line_obeys_the_same_rules(tmp_path):
    definition = read(tmp_path, GOOD)
    with pytest.raises(UserError, match="--workload: there are two workloads named web"):
        check_extra(definition, (extra_workload("web=python x.py:8000"),))
    with pytest.raises(UserError, match="--workload: 99999 is no port"):
        check_extra(definition, (extra_workload("late=python x.py:99999"),))


def test_commands_run_with_this_interpreter_in_the_folder(tmp_path):
    assert command_for(("python", "app.py"), tmp_path, "/opt/python") == ("/opt/python", "app.py")
    assert command_for(("bin/server",), tmp_path, "/opt/python") == (f"{tmp_path}/bin/server",)
    assert command_for(("/bin/sh",), tmp_path, "/opt/python") == ("/bin/sh",)
    assert command_for(("node", "x"), tmp_path, "/opt/python") == ("node", "x")


def test_a_gateway_is_a_proxy(tmp_path):
    with pytest.raises(UserError, match="a gateway is a proxy"):
        read(tmp_path, "workloads: [{name: edge, gateway: true, sidecar: false}]")


def test_the_sample_is_right():
    definition = read_definition(BOOKINFO / "lab.yaml")
    assert len(definition.workloads) == 7
    for path in BOOKINFO.glob("*.yaml"):
        if path.name != "lab.yaml":
            assert decode(path.read_text(), path.name).diagnostics == ()
