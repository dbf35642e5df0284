"""gRPC-Web: browsers' gRPC, turned into gRPC for the services of a port that says it takes gRPC-Web."""

from mizzen.proto.api import GrpcWeb, HttpFilter
from mizzen.translate.built import pack
from mizzen.translate.filter_order import GRPC_WEB


def grpc_web_filter() -> HttpFilter:
    return HttpFilter(name=GRPC_WEB, typed_config=pack(GrpcWeb()))
