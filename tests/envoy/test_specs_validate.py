"""A real Envoy takes everything that the specs produce."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mizzen.proto.api import Cluster
from mizzen.xds.resource import CLUSTER, ENDPOINT, DiscoveryResource, discovery_resource
from tests.support import specs
from tests.support.validate import validate

PAGES = specs.pages(Path(__file__).parents[1] / "specs")


def batches(page: Path) -> Iterator[tuple[list[str], list[DiscoveryResource]]]:
    """The resources of a page's specs, in as few batches as names allow: what has the same bytes is asked for once, what has
    the same name but other bytes needs a batch of its own. Every batch has a cluster of each name: a tracer wants its own.
    """
    waiting: dict[tuple[str, str, str], tuple[str, DiscoveryResource]] = {}
    for spec in specs.parse(page.read_text()):
        for item in spec.resources():
            if item.type_url != ENDPOINT:  # Envoy takes them by discovery alone
                waiting.setdefault((item.type_url, item.name, item.version), (spec.title, item))
    clusters = {key[1]: found for key, found in reversed(waiting.items()) if key[0] == CLUSTER}
    while waiting:
        batch: dict[tuple[str, str], tuple[str, str, str]] = {}
        for key in waiting:
            batch.setdefault(key[:2], key)
        taken = [waiting.pop(key) for key in batch.values()]
        taken += [found for name, found in clusters.items() if (CLUSTER, name) not in batch]
        yield [title for title, _ in taken], [item for _, item in taken]


def culprits(titles: list[str], resources: list[DiscoveryResource]) -> list[str]:
    """Which resource Envoy refuses, asked for one by one."""
    found = []
    for title, item in zip(titles, resources, strict=True):
        clusters = [one for one in resources if one.type_url == CLUSTER and one is not item]
        if objection := validate([item, *clusters]):
            found.append(f"{title}: {item.type_url.rpartition('.')[2]} {item.name}: {objection}")
    return found


@pytest.mark.envoy
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_envoy_takes_what_the_specs_produce(page: Path) -> None:
    for titles, resources in batches(page):
        if objection := validate(resources):
            pytest.fail("\n".join(culprits(titles, resources)) or objection)


def test_there_are_pages() -> None:
    assert PAGES


@pytest.mark.envoy
def test_envoy_refuses_what_it_should() -> None:
    """Or the tests above would pass for the wrong reason. It is what PASSTHROUGH balancing once became."""
    discovery = {"ads": {}, "resource_api_version": "V3"}
    wrong = Cluster(
        name="wrong",
        type="EDS",
        lb_policy="CLUSTER_PROVIDED",
        connect_timeout={"seconds": 1},
        eds_cluster_config={"service_name": "wrong", "eds_config": discovery},
    )
    resource = discovery_resource(CLUSTER, "wrong", wrong.SerializeToString())
    assert "cluster provided LB" in validate([resource])
    assert culprits(["spec"], [resource])
