"""The order of HTTP filters: one table. A chain takes from it what it needs and never reorders.

Source: Istio's chains: authentication and authorization first, then what acts on the request, the router last.
"""

from collections.abc import Iterable

from mizzen.proto.api import HttpFilter

RBAC = "envoy.filters.http.rbac"
CORS = "envoy.filters.http.cors"
FAULT = "envoy.filters.http.fault"
GRPC_WEB = "envoy.filters.http.grpc_web"
DYNAMIC_DNS = "envoy.filters.http.dynamic_forward_proxy"
ROUTER = "envoy.filters.http.router"

HTTP_FILTERS = (RBAC, GRPC_WEB, CORS, FAULT, DYNAMIC_DNS, ROUTER)


def in_order(filters: Iterable[HttpFilter]) -> list[HttpFilter]:
    """Filters as Envoy must meet them. Those of one name keep the order in which they were given."""
    return sorted(filters, key=lambda found: HTTP_FILTERS.index(found.name))
