"""What decides on a request before anything else acts on it: the filters that every inbound chain and every gateway begins with."""

from mizzen.frozen import FrozenMap
from mizzen.incremental import Database
from mizzen.proto.api import HttpFilter, NetworkFilter
from mizzen.translate.authorization.filters import authorization_filters, http_filters, network_filters
from mizzen.translate.http_filters.jwt_authn import jwt_filters


def http_security(
    db: Database, namespace: str, labels: FrozenMap[str, str], *, edge: bool = False
) -> list[HttpFilter]:
    """The filters of HTTP that hold for a workload; `filter_order` has their order. `edge`: at a gateway."""
    return [
        *jwt_filters(db, namespace, labels, edge=edge),
        *http_filters(authorization_filters(db, namespace, labels, True)),
    ]


def stream_security(db: Database, namespace: str, labels: FrozenMap[str, str]) -> list[NetworkFilter]:
    """The filters of plain TCP that hold for a workload, in their order."""
    return network_filters(authorization_filters(db, namespace, labels, False))
