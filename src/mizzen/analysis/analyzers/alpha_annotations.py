"""Does an object use annotations that Istio may still change? Runs only where it is asked for: most of them are."""

from typing import Any

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.analyzers.annotations import KINDS
from mizzen.analysis.istio_annotations import ANNOTATIONS, Maturity
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.kubernetes import PodSpec
from mizzen.incremental import Database

_BY_INJECTOR = "sidecar.istio.io/status"
# Istio's CNI plug-in writes these on every Pod; there is then no init container that does its work.
_BY_CNI = frozenset(
    {
        "sidecar.istio.io/interceptionMode",
        "traffic.sidecar.istio.io/includeInboundPorts",
        "traffic.sidecar.istio.io/excludeInboundPorts",
        "traffic.sidecar.istio.io/includeOutboundIPRanges",
    }
)


@analyzer(*KINDS, codes="IST0136", asked_for=True)
def alpha_annotations(_db: Database, resource: Resource[Any]) -> Findings:
    spec = resource.spec
    by_plugin = isinstance(spec, PodSpec) and all(each.name != "istio-init" for each in spec.init_containers)
    for name in sorted(resource.annotations):
        known = ANNOTATIONS.get(name)
        if known is None or known.maturity is not Maturity.ALPHA or name == _BY_INJECTOR:
            continue
        if not (by_plugin and name in _BY_CNI):
            message = f'the annotation "{name}" is alpha: its meaning may change'
            yield Finding("IST0136", ("metadata", "annotations", name), message)
