"""The router: the last filter of every chain."""

from mizzen.proto.api import HttpFilter, Router
from mizzen.translate.built import pack
from mizzen.translate.filter_order import ROUTER


def router_filter() -> HttpFilter:
    return HttpFilter(name=ROUTER, typed_config=pack(Router()))
