"""Is a DestinationRule for a service that exists, and does each of its subsets have workloads?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.hosts import destination, readers
from mizzen.analysis.workloads import selected
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.networking import DestinationRule
from mizzen.derive.hosts import qualified
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database


@analyzer("DestinationRule", codes="IST0173 IST0174")
def destination_rule_subsets(db: Database, resource: Resource[DestinationRule]) -> Findings:
    spec, owner = resource.spec, resource.key.namespace
    found = destination(db, qualified(spec.host, owner), readers(owner, spec.export_to))
    if found is None:
        message = f'no service has the host "{spec.host}"'
        hint = "create the Service or ServiceEntry, or correct the name"
        yield Finding("IST0174", ("spec", "host"), message, hint)
        return
    for index, subset in enumerate(spec.subsets):
        wanted = FrozenMap({**found.selector, **subset.labels})
        if not selected(db, "", wanted):
            message = f'no workload belongs to the subset "{subset.name}": requests to it get 503'
            hint = "correct the subset's labels, or start workloads that have them"
            yield Finding("IST0173", ("spec", "subsets", index), message, hint)
