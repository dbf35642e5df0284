"""How workloads are named, addressed and started; all from the plan, nothing runs."""

import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import yaml

from mizzen.config.decode import decode
from mizzen.config.resource import ResourceKey
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.workloads import workload
from mizzen.incremental import Database
from mizzen.lab import commands, registry
from mizzen.lab.commands import Instance, Layout, agent_command, application_environment, private_port
from mizzen.lab.definition import LabDefinition, Port, Workload, extra_workload
from mizzen.lab.modes import LADDER, Mode, attempts, limits
from mizzen.lab.network import LoopbackNetwork, Place
from mizzen.lab.plan import Descriptors, Plan, Programs
from mizzen.lab.services import ServiceAddress, service_table

ROOTED, ROOTLESS, *_, BARE = LADDER
WEB = Workload(
    name="web", namespace="shop", labels={"app": "web"}, ports=(8000, Port(number=9000, name="grpc-api"))
)
INSTANCE = Instance("web-0", WEB, Place("127.77.0.10"))


def plan(isolation=ROOTED, state="/state"):
    return Plan(
        name="shop",
        isolation=isolation,
        definition=LabDefinition(),
        folder="/folder",
        config=("/folder",),
        state=state,
        run="/tmp/mizzen-x",
        network="10.77.0.0/16",
        programs=Programs(daemon=("daemon",), agent=("agent",)),
        descriptors=Descriptors(launcher=3, control=4, admin=5),
    )


def options(command):
    """The command line as (option, value) pairs."""
    return list(zip(command.argv[1::2], command.argv[2::2], strict=True))


def test_a_plan_survives_the_way_to_the_keeper():
    assert msgspec.json.decode(msgspec.json.encode(plan()), type=Plan) == plan()


def test_an_instance_has_four_names():
    for name in ("web", "web-0", "shop/web", "shop/web-0"):
        assert INSTANCE.is_called(name)
    for name in ("we", "web-1", "default/web", "/web"):
        assert not INSTANCE.is_called(name)


def test_where_the_kernel_has_namespaces_the_application_listens_where_the_mesh_expects_it():
    environment = application_environment(plan(ROOTED), INSTANCE)
    assert (environment["HOST"], environment["PORT"], environment["PORT_GRPC_API"]) == (
        "0.0.0.0",
        "8000",
        "9000",
    )
    assert "http_proxy" not in environment


def test_without_namespaces_it_listens_on_a_private_port_and_calls_through_the_sidecar():
    environment = application_environment(plan(BARE), INSTANCE)
    assert (environment["HOST"], environment["PORT"]) == ("127.77.0.10", "28000")
    assert environment["http_proxy"] == "http://127.77.0.10:15002"
    assert "127.77.0.10" in environment["no_proxy"]
    given = options(agent_command(plan(BARE), Layout.of(plan(BARE)), INSTANCE, "127.77.0.1"))
    assert ("--app-port", "8000=28000") in given
    assert ("--interception", "none") in given
    assert ("--daemon", "127.77.0.1:15012") in given


def test_short_names_are_completed_as_in_a_pod_of_the_namespace():
    wanted = {
        "LOCALDOMAIN": "shop.svc.cluster.local svc.cluster.local cluster.local",
        "RES_OPTIONS": "ndots:5",
    }
    environment = application_environment(plan(ROOTED), INSTANCE)
    assert {name: environment[name] for name in wanted} == wanted
    given = options(agent_command(plan(), Layout.of(plan()), INSTANCE, "10.77.0.1"))
    assert [value for option, value in given if option == "--env"] == [
        f"{name}={value}" for name, value in wanted.items()
    ]
    assert "LOCALDOMAIN" not in application_environment(plan(BARE), INSTANCE)


def test_private_ports_are_ports():
    assert private_port(9080) == 29080
    assert private_port(50051) == 30051


@pytest.mark.parametrize(
    ("uid", "mapped", "mark", "envoy"),
    [(0, True, "0", "1337"), (0, False, "1338", "0"), (7, True, "1338", "7")],
)
def test_envoys_traffic_is_told_by_its_user_where_more_than_one_exists(monkeypatch, uid, mapped, mark, envoy):
    monkeypatch.setattr(commands.os, "geteuid", lambda: uid)
    monkeypatch.setattr(commands.kernel, "is_mapped", lambda _uid: mapped)
    given = options(agent_command(plan(), Layout.of(plan()), INSTANCE, "10.77.0.1"))
    assert ("--mark", mark) in given
    assert ("--envoy-uid", envoy) in given
    assert ("--interception", "redirect") in given


def test_annotations_of_capture_become_options_of_the_agent():
    annotations = {
        "sidecar.istio.io/interceptionMode": "TPROXY",
        "traffic.sidecar.istio.io/excludeInboundPorts": "9090,9091",
        "traffic.sidecar.istio.io/includeOutboundIPRanges": "10.0.0.0/8",
        "prometheus.io/scrape": "true",
    }
    workload = Workload(name="web", command="x", annotations=annotations)
    given = options(
        agent_command(plan(), Layout.of(plan()), replace(INSTANCE, workload=workload), "10.77.0.1")
    )
    assert [pair for pair in given if "clude" in pair[0] or pair[0] == "--interception"] == [
        ("--interception", "tproxy"),
        ("--exclude-inbound-ports", "9090,9091"),
        ("--include-outbound-cidrs", "10.0.0.0/8"),
    ]


def test_a_gateway_captures_nothing():
    gateway = replace(INSTANCE, workload=Workload(name="gateway", gateway=True, ports=(8080,)))
    given = options(agent_command(plan(BARE), Layout.of(plan(BARE)), gateway, "127.77.0.1"))
    assert ("--interception", "none") in given
    assert ("--kind", "gateway") in given
    assert not [option for option, _ in given if option == "--app-port"]


def test_a_socket_whose_path_would_be_too_long_lies_elsewhere():
    assert Layout.of(plan()).admin_socket == Path("/state/daemon/admin.sock")
    assert Layout.of(plan(state="/x" * 60)).admin_socket == Path("/tmp/mizzen-x/private/admin.sock")


def test_addresses_of_a_block():
    network = LoopbackNetwork("127.80.0.0/16")
    assert network.own_address == "127.80.0.1"
    assert [network.add_place().address for _ in range(3)] == ["127.80.0.10", "127.80.0.11", "127.80.0.12"]


def test_the_ladder_ends_where_nothing_is_needed():
    assert attempts(None) == LADDER
    assert [isolation.mode for isolation in attempts(Mode.ROOTLESS)] == [Mode.ROOTLESS]
    assert len(attempts(Mode.LOOPBACK)) == 3
    assert limits(ROOTED) == limits(ROOTLESS) == ()
    assert len(limits(BARE)) == 4


def test_a_workload_is_registered_as_istio_knows_it(tmp_path):
    registry.register(tmp_path, "web-0", WEB, ["10.77.0.10"])
    entry = yaml.safe_load((tmp_path / "shop.web-0.yaml").read_text())
    assert entry["kind"] == "WorkloadEntry"
    assert entry["metadata"]["name"] == "web-0"
    assert entry["spec"]["address"] == "10.77.0.10"
    assert entry["spec"]["serviceAccount"] == "default"
    assert entry["spec"]["ports"] == {"grpc-api": 9000}
    registry.unregister(tmp_path, "web-0", WEB)
    assert list(tmp_path.iterdir()) == []


def test_a_workload_with_both_families_is_registered_as_a_pod(tmp_path):
    registry.register(
        tmp_path, "web-0", msgspec.structs.replace(WEB, locality="r/z"), ["10.77.0.10", "fd00::10"]
    )
    decoded = decode((tmp_path / "shop.web-0.yaml").read_text(), "shop.web-0.yaml")
    assert decoded.diagnostics == ()
    db = Database()
    (located,) = decoded.located
    db.set(RESOURCES, located.resource.key, located.resource)
    found = workload(db, ResourceKey("Pod", "shop", "web-0"))
    assert found is not None
    assert found.addresses == ("10.77.0.10", "fd00::10")
    assert (found.has_proxy, found.locality, found.container_ports) == (True, "r/z", {"grpc-api": 9000})


def test_a_workload_without_a_sidecar_takes_no_mutual_tls(tmp_path):
    plain = msgspec.structs.replace(WEB, sidecar=False, locality="r/z/s", annotations={"a": "b"})
    registry.register(tmp_path, "web-0", plain, ["10.77.0.10"])
    entry = yaml.safe_load((tmp_path / "shop.web-0.yaml").read_text())
    assert entry["metadata"]["annotations"] == {"a": "b"}
    assert entry["spec"]["labels"] == {"app": "web"}
    assert entry["spec"]["locality"] == "r/z/s"


def test_without_a_sidecar_it_listens_where_it_is_called_in_every_mode():
    plain = replace(INSTANCE, workload=msgspec.structs.replace(WEB, sidecar=False))
    environment = application_environment(plan(BARE), plain)
    assert environment["PORT"] == "8000"
    assert "http_proxy" not in environment


def test_connections_to_a_service_are_spread_evenly():
    one = ServiceAddress(
        "240.240.0.1", 80, (("10.77.0.10", 9080), ("10.77.0.11", 9080), ("10.77.0.12", 9080))
    )
    text = str(service_table([one, ServiceAddress("fd00::1", 80, one.endpoints)]))
    assert [line.strip() for line in text.splitlines() if "dnat" in line] == [
        "ip daddr 240.240.0.1 th dport 80 numgen random mod 3 0 dnat to 10.77.0.10:9080",
        "ip daddr 240.240.0.1 th dport 80 numgen random mod 2 0 dnat to 10.77.0.11:9080",
        "ip daddr 240.240.0.1 th dport 80 dnat to 10.77.0.12:9080",
    ]


def test_a_workload_of_the_command_line_gets_a_service(tmp_path):
    registry.serve(tmp_path, extra_workload("web=python app.py:8000"))
    service = yaml.safe_load((tmp_path / "default.web.service.yaml").read_text())
    assert service["spec"] == {
        "selector": {"app": "web"},
        "ports": [{"name": "http", "port": 8000, "targetPort": 8000}],
    }


def test_an_application_in_a_private_home_runs_as_its_owner(tmp_path, monkeypatch):
    monkeypatch.setattr(commands.os, "geteuid", lambda: 0)
    monkeypatch.setattr(commands.kernel, "is_mapped", lambda _uid: True)
    interpreter = tmp_path / "python"
    interpreter.touch()
    monkeypatch.setattr(sys, "executable", str(interpreter))
    tmp_path.chmod(0o700)
    assert commands.application_uid(tmp_path) == tmp_path.stat().st_uid
    monkeypatch.setattr(commands, "_is_open_to_all", lambda _path: True)
    assert commands.application_uid(tmp_path) == commands.NOBODY
    monkeypatch.setattr(commands.kernel, "is_mapped", lambda _uid: False)
    assert commands.application_uid(tmp_path) is None
