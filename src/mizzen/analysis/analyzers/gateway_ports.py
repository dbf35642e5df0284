"""Do workloads run a Gateway, and can its ports be reached through a Service of theirs?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.selectors import selector_text
from mizzen.analysis.workloads import reachable_ports, selected
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.networking import Gateway
from mizzen.incremental import Database


@analyzer("Gateway", codes="IST0101 IST0162")
def gateway_ports(db: Database, resource: Resource[Gateway]) -> Findings:
    selector = resource.spec.selector
    workloads = selected(db, "", selector)
    if not workloads:
        yield no_workload(selector_text(selector))
        return
    if any(workload.kind == "WorkloadEntry" for workload in workloads):
        return  # a host is reached at its own address, without a Service
    reachable = {port for workload in workloads for port in reachable_ports(db, workload)}
    for index, server in enumerate(resource.spec.servers):
        if server.port.number not in reachable:
            message = f"no Service of the gateway's workloads ({selector_text(selector)}) leads to port {server.port.number}"
            hint = "add the port to the gateway's Service, or listen on one that it has"
            yield Finding("IST0162", ("spec", "servers", index, "port", "number"), message, hint)


def no_workload(selector: str) -> Finding:
    hint = "correct the labels, or start a gateway workload that has them"
    return Finding("IST0101", ("spec", "selector"), f"no workload has the labels {selector}", hint)
