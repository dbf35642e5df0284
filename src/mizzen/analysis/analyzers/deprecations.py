"""Does an object use what Istio has given up?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.networking import Sidecar, VirtualService
from mizzen.incremental import Database


@analyzer("VirtualService", "Sidecar", codes="IST0002")
def deprecations(_db: Database, resource: Resource[VirtualService | Sidecar]) -> Findings:
    spec = resource.spec
    if isinstance(spec, VirtualService):
        for index, http in enumerate(spec.http):
            if http.fault is not None and http.fault.delay is not None and http.fault.delay.percent > 0:
                delay = ("spec", "http", index, "fault", "delay", "percent")
                yield Finding("IST0002", delay, "percent is deprecated", "write percentage: {value: 50}")
    elif spec.outbound_traffic_policy is not None and spec.outbound_traffic_policy.egress_proxy is not None:
        path = ("spec", "outboundTrafficPolicy", "egressProxy")
        yield Finding("IST0002", path, "egressProxy is ignored", "remove it, and route by a VirtualService")
