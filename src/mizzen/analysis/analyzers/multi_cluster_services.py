"""Is a Service the same in all clusters that have it?"""

from collections.abc import Iterator

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.inputs import REMOTE, REMOTE_BY_KEY
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path, Resource
from mizzen.config.types.core import ServicePort, ServiceSpec
from mizzen.incremental import Database


@analyzer("Service", codes="IST0170")
def multi_cluster_services(db: Database, resource: Resource[ServiceSpec]) -> Findings:
    differences: dict[str, list[str]] = {}
    path: Path = ("spec",)
    for cluster, key in REMOTE_BY_KEY(db, resource.key):
        other = REMOTE(db, (cluster, key))
        if other is not None and isinstance(other.spec, ServiceSpec):
            for field, what in _differences(resource.spec, other.spec):
                differences.setdefault(what, []).append(cluster)
                path = ("spec", field)
    if differences:
        told = "; ".join(f"{what} in {', '.join(clusters)}" for what, clusters in differences.items())
        hint = "make the Service the same in all clusters"
        yield Finding("IST0170", path, f"it differs from the Service of other clusters: {told}", hint)


def _differences(one: ServiceSpec, other: ServiceSpec) -> Iterator[tuple[str, str]]:
    if (one.cluster_ip == "None") != (other.cluster_ip == "None"):
        yield "clusterIP", "headless here or there only"
    if one.type is not other.type:
        yield "type", "another type"
    if _by_name(one) != _by_name(other):
        yield "ports", "other ports"


def _by_name(spec: ServiceSpec) -> list[ServicePort]:
    return sorted(spec.ports, key=lambda port: port.name)
