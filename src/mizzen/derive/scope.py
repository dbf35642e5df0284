"""Which scope a proxy belongs to."""

from dataclasses import replace

from mizzen.derive.destination_rules import selector_label_names
from mizzen.derive.sidecars import sidecar_for
from mizzen.derive.virtual_services import source_label_names
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope, ProxyKind


@query
def outbound_scope(
    db: Database, kind: ProxyKind, namespace: str, labels: FrozenMap[str, str]
) -> OutboundScope:
    """The scope of a proxy in a namespace with these labels. No Sidecar narrows what a gateway sees (Istio's rule)."""
    narrowed_by = sidecar_for(db, namespace, labels) if kind is ProxyKind.SIDECAR else None
    scope = OutboundScope(namespace, sidecar=narrowed_by)
    telling = sorted({*source_label_names(db, scope), *selector_label_names(db, namespace)})
    return replace(scope, labels=FrozenMap({name: labels[name] for name in telling if name in labels}))
