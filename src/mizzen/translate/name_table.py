"""What agents answer DNS with: Istio's name table, cut into a piece for each service, so that a change sends its own."""

from mizzen.derive.names import service_names
from mizzen.derive.visibility import visible_external_names, visible_services
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope
from mizzen.model.service import ServiceRef
from mizzen.proto.api import NameTable
from mizzen.translate.built import Built, Origin, ResourceRef, encode
from mizzen.xds.resource import discovery_resource

NAME_TABLE = f"type.googleapis.com/{NameTable.DESCRIPTOR.full_name}"


@query
def name_tables(db: Database, scope: OutboundScope) -> tuple[ResourceRef, ...]:
    """A table for every service that a proxy of the scope can call, and for every other name of one, called by the host."""
    refs = (*visible_services(db, scope), *visible_external_names(db, scope))
    return tuple(ResourceRef(NAME_TABLE, ref.host, name_table, (ref,)) for ref in refs)


@query
def name_table(db: Database, ref: ServiceRef) -> Built:
    """The names of one service; empty where DNS knows none."""
    table = NameTable()
    for name, answer in sorted(service_names(db, ref).items()):
        entry = table.table.add(key=name)
        entry.value.ips.extend(answer.addresses)
        entry.value.external_name = answer.external_name
    return Built(discovery_resource(NAME_TABLE, ref.host, encode(table)), (Origin("", ref.source),))
