"""The order of HTTP filters: one table. A chain takes from it what it needs and never reorders.

Source: Istio's chains: authentication and authorization first, then what acts on the request, the router last.
"""

from collections.abc import Iterable

from mizzen.proto.api import HttpFilter

JWT = "envoy.filters.http.jwt_authn"
RBAC = "envoy.filters.http.rbac"
EXT_AUTHZ = "envoy.filters.http.ext_authz"
CORS = "envoy.filters.http.cors"
FAULT = "envoy.filters.http.fault"
GRPC_WEB = "envoy.filters.http.grpc_web"
GRPC_STATS = "envoy.filters.http.grpc_stats"
DYNAMIC_DNS = "envoy.filters.http.dynamic_forward_proxy"
ROUTER = "envoy.filters.http.router"

HTTP_FILTERS = (JWT, RBAC, GRPC_WEB, GRPC_STATS, CORS, FAULT, DYNAMIC_DNS, ROUTER)

# An external authorizer is asked right after the filter that marks what it is asked about.
_PLACES = {EXT_AUTHZ: RBAC}


def in_order(filters: Iterable[HttpFilter]) -> list[HttpFilter]:
    """Filters as Envoy must meet them. Those of one place keep the order in which they were given."""
    return sorted(filters, key=lambda found: HTTP_FILTERS.index(_PLACES.get(found.name, found.name)))
