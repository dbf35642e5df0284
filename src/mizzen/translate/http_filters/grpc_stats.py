"""How many messages a gRPC call has carried, for the metrics that count them; no statistics of its own."""

from mizzen.proto.api import GrpcStats, HttpFilter
from mizzen.translate.built import pack
from mizzen.translate.filter_order import GRPC_STATS


def grpc_stats_filter() -> HttpFilter:
    return HttpFilter(name=GRPC_STATS, typed_config=pack(GrpcStats(emit_filter_state=True)))
