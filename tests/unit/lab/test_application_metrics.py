"""Which option of the agent the annotations of a workload and the mesh's switch make."""

import pytest

from mizzen.admin.schema import ProxyStart
from mizzen.lab.application_metrics import application_metrics

AT = {"prometheus.io/scrape": "true", "prometheus.io/port": "9090", "prometheus.io/path": "/m"}
ON, OFF = ({"prometheus.istio.io/merge-metrics": word} for word in ("true", "false"))
ASKED = ("--application-metrics", "http:9090/m")


@pytest.mark.parametrize(
    ("mesh", "annotations", "expected"),
    [
        (True, AT, ASKED),
        (True, {}, ()),
        (True, ON, ()),
        (True, {**AT, **OFF}, ()),
        (False, AT, ()),
        (False, {**AT, **ON}, ASKED),
        (True, {**AT, "prometheus.io/scrape": "false"}, ()),
        (
            True,
            {"prometheus.io/port": "9090", "prometheus.io/scheme": "https"},
            (ASKED[0], "https:9090/metrics"),
        ),
    ],
)
def test_the_workloads_own_word_goes_before_the_meshs(mesh, annotations, expected):
    assert application_metrics(ProxyStart(merge_metrics=mesh), annotations) == expected
