"""Do the Services of a Deployment agree on its ports?"""

from collections import defaultdict
from typing import Any

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.workloads import in_mesh, pickers
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.protocols import port_protocol
from mizzen.incremental import Database

_WAYPOINT = ("gateway.istio.io/managed", "istio.io-mesh-controller")


@analyzer("Deployment", codes="IST0116 IST0137")
def deployment_services(db: Database, resource: Resource[Any]) -> Findings:
    if resource.labels.get(_WAYPOINT[0]) == _WAYPOINT[1] or not in_mesh(db, resource.key):
        return
    protocols: defaultdict[int, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    numbers: defaultdict[str, defaultdict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for key in pickers(db, "Service", resource.key):
        service = RESOURCES(db, key)
        for port in service.spec.ports if service is not None else ():
            protocol = port_protocol(port.name, port.app_protocol, port.protocol.value)
            protocols[port.port][protocol.value].append(key.name)
            numbers[str(port.target_port or port.port)][port.port].append(key.name)
    for number, by_protocol in sorted(protocols.items()):
        if len(by_protocol) > 1:
            message = f"its Services disagree on the protocol of port {number}: {_told_apart(by_protocol)}"
            yield Finding(
                "IST0116", ("metadata", "name"), message, "give the port one protocol in all Services"
            )
    for target, by_number in sorted(numbers.items()):
        if len(by_number) > 1:
            message = f"its port {target} has several numbers in its Services: {_told_apart(by_number)}"
            yield Finding("IST0137", ("metadata", "name"), message, "give it one number in all Services")


def _told_apart(by_value: "defaultdict[Any, list[str]]") -> str:
    return ", ".join(f"{value} ({', '.join(names)})" for value, names in sorted(by_value.items()))
