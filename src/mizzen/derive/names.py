"""The mesh's names: what DNS answers about each service."""

from mizzen.config.validation.hosts import is_address
from mizzen.derive.addresses import virtual_addresses
from mizzen.derive.endpoints import service_endpoints
from mizzen.derive.services import all_services, service
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.name import Name
from mizzen.model.service import ServiceRef

NameMap = FrozenMap[str, Name]
"""Names in lower case; a leading "*." stands for one label or more."""


@query
def service_names(db: Database, ref: ServiceRef) -> NameMap:
    """The names of one service. Only for a headless one do they depend on its endpoints.

    A headless service answers with all of them, and each that has a host name of its own has a name below the
    service's, by which the members of a stateful set are called (Kubernetes' DNS specification, 2.4).
    """
    found = service(db, ref)
    if found is None:
        return FrozenMap()
    host = ref.host.lower()
    if found.external_name:
        return FrozenMap({host: Name(external_name=found.external_name.lower().rstrip("."))})
    if not found.headless:
        addresses = virtual_addresses(db, ref)
        return FrozenMap({host: Name(addresses)} if addresses else {})
    endpoints = service_endpoints(db, ref, found.ports[0].number) if found.ports else ()
    instances: dict[str, dict[str, None]] = {}
    for endpoint in endpoints:
        # A WorkloadEntry may have a host name for its address, or a socket's path.
        usable = dict.fromkeys(filter(is_address, (endpoint.address, *endpoint.more)))
        for name in (host, *((f"{endpoint.hostname.lower()}.{host}",) if endpoint.hostname else ())):
            instances.setdefault(name, {}).update(usable)
    return FrozenMap({name: Name(tuple(known)) for name, known in instances.items() if known})


@query
def names(db: Database) -> NameMap:
    """All names of the mesh, whoever may see them; the first service of a host holds."""
    table: dict[str, Name] = {}
    for ref, _ in all_services(db):
        for name, answer in service_names(db, ref).items():
            table.setdefault(name, answer)
    return FrozenMap(table)
