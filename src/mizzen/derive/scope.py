"""Which scope a proxy belongs to."""

from mizzen.derive.virtual_services import source_label_names
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope


@query
def outbound_scope(db: Database, namespace: str, labels: FrozenMap[str, str]) -> OutboundScope:
    """The scope of a proxy in a namespace with these labels."""
    telling = source_label_names(db, namespace)
    return OutboundScope(namespace, FrozenMap({name: labels[name] for name in telling if name in labels}))
