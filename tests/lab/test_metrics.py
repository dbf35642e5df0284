"""What Prometheus gets of workloads: the application's metrics with the proxy's, as annotations and the mesh say."""

import pytest

from mizzen.lab.definition import LabDefinition, Workload
from mizzen.lab.modes import Mode
from tests.support.exposition import read_strictly, value_of
from tests.support.lab import Lab, running_lab

pytestmark = pytest.mark.lab

APPLICATION = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"# TYPE shop_orders_total counter\\nshop_orders_total 3\\n"
        self.send_response(200 if self.path == "/m" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
AT = {"prometheus.io/scrape": "true", "prometheus.io/port": "8000", "prometheus.io/path": "/m"}
OFF = {"prometheus.istio.io/merge-metrics": "false"}
ON = {"prometheus.istio.io/merge-metrics": "true"}


def workload(name: str, annotations: dict[str, str]) -> Workload:
    command = ("python", "-c", APPLICATION)
    return Workload(name=name, labels={"app": name}, command=command, ports=(8000,), annotations=annotations)


def merges(lab: Lab, name: str) -> bool:
    """Whether the scrape of a workload has its application's metrics; it has the proxy's in any case."""
    address = lab.address(name)
    status, _, body = lab.request("outside", f"http://{address}:15020/stats/prometheus")
    assert status == 200
    families = read_strictly(body.decode())
    assert value_of(families, "envoy_server_live") == 1
    assert value_of(families, "istio_agent_scrape_failures_total", type="application") == 0
    return "shop_orders_total" in families


@pytest.mark.parametrize("mode", [None, Mode.LOOPBACK], ids=["best", "loopback"])
def test_annotations_say_whether_and_where_the_application_is_asked(tmp_path, mode):
    workloads = (workload("with", AT), workload("apart", {**AT, **OFF}), workload("none", {}))
    with running_lab(tmp_path, mode, definition=LabDefinition(name="scraped", workloads=workloads)) as lab:
        assert {one.name: merges(lab, one.name) for one in workloads} == {
            "with": True,
            "apart": False,
            "none": False,
        }


def test_the_mesh_says_so_for_all_that_do_not_say_it_themselves(tmp_path):
    config = "apiVersion: mesh.istio.io/v1alpha1\nkind: MeshConfig\nmetadata: {name: mesh}\nspec: {enablePrometheusMerge: false}\n"
    (tmp_path / "mesh.yaml").write_text(config)
    workloads = (workload("plain", AT), workload("own", {**AT, **ON}))
    with running_lab(tmp_path, definition=LabDefinition(name="scraped", workloads=workloads)) as lab:
        assert not merges(lab, "plain")
        assert merges(lab, "own")
