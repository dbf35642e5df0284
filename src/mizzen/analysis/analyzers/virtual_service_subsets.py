"""Does a DestinationRule define every subset that a VirtualService routes to?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.hosts import subsets_of
from mizzen.analysis.routes import targets
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.networking import VirtualService
from mizzen.derive.hosts import qualified
from mizzen.incremental import Database


@analyzer("VirtualService", codes="IST0101")
def virtual_service_subsets(db: Database, resource: Resource[VirtualService]) -> Findings:
    for target in targets(resource.spec):
        host, subset = target.destination.host, target.destination.subset
        if not subset:
            continue
        known = subsets_of(db, qualified(host, resource.key.namespace))
        if subset not in known:
            message = f'no DestinationRule defines the subset "{subset}" of "{host}"'
            hint = f"known: {', '.join(sorted(known))}" if known else "add a DestinationRule with that subset"
            yield Finding("IST0101", (*target.path, "subset"), message, hint)
