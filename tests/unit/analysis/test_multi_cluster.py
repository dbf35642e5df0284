"""Services that several clusters have."""

import pytest

from mizzen.analysis.analyzers.multi_cluster_services import multi_cluster_services
from mizzen.analysis.inputs import REMOTE
from mizzen.config.decode import decode
from mizzen.config.resource import ResourceKey
from mizzen.derive.inputs import RESOURCES
from mizzen.incremental import Database

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {%s}\n"
HERE = "ports: [{name: http, port: 80}, {name: grpc, port: 90}]"


def resource(spec):
    (located,) = decode(SERVICE % spec, "x.yaml").located
    return located.resource


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (HERE, None),
        ("ports: [{name: grpc, port: 90}, {name: http, port: 80}]", None),
        ("ports: [{name: http, port: 80}]", "other ports in west"),
        (f"clusterIP: None, {HERE}", "headless here or there only in west"),
        (f"type: LoadBalancer, {HERE}", "another type in west"),
    ],
)
def test_what_differs(there, said):
    db = Database()
    key = ResourceKey("Service", "default", "web")
    db.set(RESOURCES, key, resource(HERE))
    db.set(REMOTE, ("west", key), resource(there))
    found = multi_cluster_services(db, key)
    assert [each.message for each in found] == (
        [f"it differs from the Service of other clusters: {said}"] if said else []
    )
