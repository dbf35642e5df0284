"""Generated meshes: the same for the same seed, in realistic proportions, and true in what they say that a change concerns."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from benchmarks.load.layout import CONCERNED_AT_MOST, plan
from benchmarks.load.meshes import Mesh, MeshShape
from mizzen.analysis.findings import diagnose, findings
from mizzen.analysis.offline import database, read
from mizzen.config.diagnostics import Severity
from tests.support.offline_mesh import OfflineMesh

SMALL = MeshShape(services=50, proxies=100)
SHAPES = (
    MeshShape(),
    SMALL,
    MeshShape(services=1, proxies=1),
    MeshShape(services=7, proxies=200),
    MeshShape(services=300, proxies=100),
    MeshShape(services=100, proxies=2000, namespaces=20, seed=3),
)


def written(folder, shape):
    Mesh(folder, shape).write()
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.yaml")}


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path):
    assert plan(SMALL) == plan(SMALL)
    first = written(tmp_path / "first", SMALL)
    assert first == written(tmp_path / "second", SMALL)
    assert first != written(tmp_path / "third", MeshShape(services=50, proxies=100, seed=2))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_there_are_as_many_workloads_as_proxies_and_each_is_an_endpoint(shape):
    layout = plan(shape)
    assert len(layout.everybody) == len(layout.workloads) == shape.proxies
    assert layout.everybody <= {endpoint.workload for endpoint in layout.endpoints}
    assert len({endpoint.place for endpoint in layout.endpoints}) == max(shape.proxies, shape.services)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_endpoint_of_a_scoped_mesh_concerns_few_proxies(shape):
    layout = plan(shape)
    for service in layout.services:
        own = len(layout.proxies_of[service.namespace])
        assert own <= len(layout.importers(service)) <= max(CONCERNED_AT_MOST, own)


def test_no_namespace_of_the_usual_mesh_is_larger_than_what_an_endpoint_may_concern():
    layout = plan(MeshShape())
    assert max(map(len, layout.proxies_of.values())) < CONCERNED_AT_MOST / 2
    assert {len(imports) for imports in layout.imports.values()} == {10}
    assert max(map(len, layout.callers.values())) >= 8, "a few services are popular"
    assert len(layout.callers) > 300, "and many are called by somebody"


def test_in_an_unscoped_mesh_everybody_has_every_service(tmp_path):
    shape = MeshShape(services=50, proxies=100, scoped=False)
    assert len(plan(shape).importers(plan(shape).services[7])) == 100
    assert not any("sidecar-" in name for name in written(tmp_path / "mesh", shape))


def test_the_proportions_are_those_of_a_usual_mesh(tmp_path):
    kinds = Counter(name.split("/")[1].split("-")[0] for name in written(tmp_path / "mesh", MeshShape()))
    assert kinds == {
        "service": 1000,
        "workloadentry": 2000,
        "virtualservice": 200,
        "destinationrule": 300,
        "authorizationpolicy": 200 + 100,
        "sidecar": 100,
        "serviceentry": 20,
        "peerauthentication": 1,
        "meshconfig": 1,
    }
    layout = plan(MeshShape())
    assert Counter(service.protocol for service in layout.services) == {"http": 750, "grpc": 150, "tcp": 100}
    replicas = Counter(service.replicas for service in layout.services)
    assert replicas.most_common(1)[0][0] == 2
    assert sum(count for number, count in replicas.items() if number > 10) == 20


@pytest.mark.parametrize("scoped", [True, False], ids=["scoped", "unscoped"])
def test_nothing_is_wrong_with_it(tmp_path, scoped):
    written(tmp_path, MeshShape(services=50, proxies=100, scoped=scoped))
    reading = read([str(tmp_path)])
    found = database(reading.located, datetime.now(UTC)).value(findings)
    told = (*reading.diagnostics, *diagnose(found, reading.located.get))
    assert [each for each in told if each.severity is not Severity.INFO] == []


@pytest.fixture(scope="module", params=[True, False], ids=["scoped", "unscoped"])
def offline(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mesh")
    mesh = Mesh(folder, MeshShape(services=50, proxies=100, scoped=request.param))
    mesh.write()
    return mesh, OfflineMesh(mesh)


def nothing(_mesh, _number):
    """No change must come before."""


def scale_up(mesh, number):
    return mesh.scale_up(number, 3)


CHANGES = {
    "endpoint": (nothing, Mesh.change_endpoint),
    "churn": (nothing, lambda mesh, number: mesh.churn(5, number)),
    "up": (nothing, scale_up),
    "down": (scale_up, lambda mesh, number: mesh.scale_down(number, 3)),
    "virtual service": (nothing, Mesh.change_virtual_service),
    "policy": (nothing, Mesh.change_policy),
    "new": (nothing, Mesh.new_service),
    "removed": (Mesh.new_service, Mesh.remove_new_service),
    "setting": (nothing, Mesh.change_mesh_setting),
}


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize(("before", "change"), CHANGES.values(), ids=CHANGES)
def test_a_change_concerns_whom_it_says_with_the_types_that_it_says(offline, before, change, number):
    mesh, computed = offline
    before(mesh, number)
    computed.take_in()
    concern = change(mesh, number)
    assert concern.workloads
    effect = computed.take_in()
    assert (effect.workloads, effect.type_urls) == (concern.workloads, concern.type_urls)
