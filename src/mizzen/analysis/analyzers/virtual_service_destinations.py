"""Does a VirtualService route to services that exist, at ports that they have?"""

from collections.abc import Iterator

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.hosts import destination, readers
from mizzen.analysis.routes import Target, targets
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import VirtualService
from mizzen.derive.hosts import qualified
from mizzen.derive.inputs import RESOURCES
from mizzen.incremental import Database, Index

_MOST_RIVALS = 16  # VirtualServices that one finding each is worth


@analyzer("VirtualService", codes="IST0101 IST0112 IST0140")
def virtual_service_destinations(db: Database, resource: Resource[VirtualService]) -> Findings:
    namespaces = readers(resource.key.namespace, resource.spec.export_to)
    for target in targets(resource.spec):
        yield from _destination(db, resource.key, target, namespaces)
    if resource.spec.gateways:
        yield from _subsets_elsewhere(db, resource)


def _destination(db: Database, key: ResourceKey, target: Target, namespaces: tuple[str, ...]) -> Findings:
    host = target.destination.host
    found = destination(db, qualified(host, key.namespace), namespaces)
    if found is None:
        what = "mirror host" if target.mirror else "host"
        message = f'no service has the {what} "{host}"'
        hint = "create the Service or ServiceEntry, export it to this namespace, or correct the name"
        yield Finding("IST0101", (*target.path, "host"), message, hint)
        return
    if found.external_name:
        return  # its ports say nothing, and what it stands for may be no service of the mesh
    port = target.destination.port
    listed = ", ".join(map(str, found.ports))
    if port is None:
        if len(found.ports) > 1:
            message = f'the service "{host}" has several ports ({listed}), and the destination names none'
            yield Finding("IST0112", target.path, message, "add port.number")
    elif port.number not in found.ports:
        message = f'the service "{host}" has no port {port.number}'
        yield Finding("IST0101", (*target.path, "port"), message, f"its ports: {listed or 'none'}")


def _subset_hosts(key: ResourceKey, resource: Resource[object]) -> Iterator[str]:
    """Hosts of a VirtualService for which it splits traffic by subset itself."""
    if isinstance(resource.spec, VirtualService):
        own = {qualified(host, key.namespace) for host in resource.spec.hosts}
        for target in targets(resource.spec):
            host = qualified(target.destination.host, key.namespace)
            if target.path[1] == "http" and not target.mirror and target.destination.subset and host in own:
                yield host


SPLITTERS = Index("virtual_service_by_subset_host", RESOURCES, _subset_hosts)


def _subsets_elsewhere(db: Database, resource: Resource[VirtualService]) -> Findings:
    """A gateway does not consult the VirtualService of the host to which it routes: its subsets have no effect there."""
    for target in targets(resource.spec):
        if target.path[1] != "http" or target.mirror or target.destination.subset:
            continue
        splitters = SPLITTERS(db, qualified(target.destination.host, resource.key.namespace))
        for key in splitters[:_MOST_RIVALS]:
            if key != resource.key:
                message = f"the subsets that {key} chooses have no effect on requests through the gateway"
                hint = "name the subset here too, or route by it in this VirtualService"
                yield Finding("IST0140", target.path, message, hint)
