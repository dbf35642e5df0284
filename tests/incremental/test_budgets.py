"""How many queries a change of a usual, scoped mesh may run, and whose configuration it may make anew.

The budgets are numbers of this mesh, the same for four times as many services. Who has to raise one explains why.
"""

from dataclasses import dataclass
from functools import cached_property

import pytest

from benchmarks.load.layout import Service
from benchmarks.load.meshes import Concern, Mesh, MeshShape
from tests.support.offline_mesh import Effect, OfflineMesh

SMALL, LARGE = (MeshShape(services=services, proxies=2 * services) for services in (40, 160))

OF_AN_ENDPOINT, OF_A_SUBSET = 6, 2  # the endpoints of a service, and those of each of its subsets
OF_A_ROUTE, OF_A_CALLERS_NAMESPACE = 8, 8
OF_A_POLICY, OF_A_POLICYS_VIEW = 2, 4


@dataclass(frozen=True)
class Case:
    """A change of something of a service, and what became of it."""

    service: Service
    concern: Concern
    effect: Effect

    @property
    def namespaces(self) -> int:
        return len({namespace for namespace, _ in self.concern.workloads})


class Changes:
    """Changes of a mesh, one after the other; each kind once, since what is written again is no change."""

    def __init__(self, folder, shape):
        self.mesh = Mesh(folder, shape)
        self.mesh.write()
        self.computed = OfflineMesh(self.mesh)
        self._ruled = frozenset(self.mesh.layout.ruled)

    def subsets(self, service):
        return len({each.version for each in service.endpoints}) if service in self._ruled else 0

    @cached_property
    def endpoints(self):
        """Of the first few services with each number of subsets."""
        by_subsets = {}
        for number, endpoint in enumerate(self.mesh._http_endpoints):
            numbers = by_subsets.setdefault(self.subsets(endpoint.service), [])
            if len(numbers) < 5:
                numbers.append((number, endpoint.service))
        return [
            self._case(service, self.mesh.change_endpoint, number)
            for numbers in by_subsets.values()
            for number, service in numbers
        ]

    @cached_property
    def virtual_services(self):
        return self._each(self.mesh.layout.routed, self.mesh.change_virtual_service)

    @cached_property
    def policies(self):
        return self._each(self.mesh.layout.guarded, self.mesh.change_policy)

    def _each(self, services, change):
        return [self._case(services[number % len(services)], change, number) for number in range(12)]

    def _case(self, service, change, number):
        return Case(service, change(number), self.computed.take_in())


@pytest.fixture(scope="module")
def changes(tmp_path_factory):
    return {shape: Changes(tmp_path_factory.mktemp("mesh"), shape) for shape in (SMALL, LARGE)}


@pytest.fixture(params=[SMALL, LARGE], ids=["40 services", "160 services"])
def of_a_size(request, changes):
    return changes[request.param]


def test_an_endpoint_stays_within_its_budget(of_a_size):
    for case in of_a_size.endpoints:
        budget = OF_AN_ENDPOINT + OF_A_SUBSET * of_a_size.subsets(case.service)
        assert 0 < case.effect.query_runs <= budget


def test_an_endpoint_costs_the_same_in_a_larger_mesh(changes):
    small, large = (
        {of.subsets(case.service): case.effect.query_runs for case in of.endpoints} for of in changes.values()
    )
    both = small.keys() & large.keys()
    assert len(both) >= 2, "services with and without subsets"
    assert {subsets: small[subsets] for subsets in both} == {subsets: large[subsets] for subsets in both}


def test_a_virtual_service_costs_what_its_callers_make_it_cost(of_a_size):
    for case in of_a_size.virtual_services:
        assert 0 < case.effect.query_runs <= OF_A_ROUTE + OF_A_CALLERS_NAMESPACE * case.namespaces


def test_a_virtual_service_that_nobody_else_calls_costs_the_same_in_a_larger_mesh(changes):
    small, large = (
        max(case.effect.query_runs for case in of.virtual_services if case.namespaces == 1)
        for of in changes.values()
    )
    assert small == large


def test_a_policy_stays_within_its_budget(of_a_size):
    for case in of_a_size.policies:
        assert 0 < case.effect.query_runs <= OF_A_POLICY + OF_A_POLICYS_VIEW * len(case.effect.views)


def test_a_policy_costs_the_same_in_a_larger_mesh(changes):
    small, large = (
        {len(case.effect.views): case.effect.query_runs for case in of.policies} for of in changes.values()
    )
    both = small.keys() & large.keys()
    assert both
    assert {views: small[views] for views in both} == {views: large[views] for views in both}


@pytest.mark.parametrize("kind", ["endpoints", "virtual_services", "policies"])
def test_exactly_the_views_of_those_concerned_get_a_new_snapshot(of_a_size, kind):
    for case in getattr(of_a_size, kind):
        assert case.effect.workloads == case.concern.workloads
        assert case.effect.views == {of_a_size.computed.view_of[key] for key in case.concern.workloads}


def test_a_policy_of_one_workload_makes_new_snapshots_for_its_views_alone(of_a_size):
    before = {view: view.snapshot for view in of_a_size.computed.views}
    number = 1234
    service = of_a_size.mesh.layout.guarded[number % len(of_a_size.mesh.layout.guarded)]
    case = of_a_size._case(service, of_a_size.mesh.change_policy, number)
    others = before.keys() - case.effect.views
    assert {view.key.labels["app"] for view in case.effect.views} == {service.name}
    assert {view.key.namespace for view in case.effect.views} == {service.namespace}
    assert len(others) >= len(before) - 2, "one for each version"
    assert all(view.snapshot is before[view] for view in others)
