"""Faults on purpose: the filter, and a route's delay and abort (VirtualService http[].fault)."""

from typing import Any

from mizzen.config.types.networking import HTTPFaultInjection, Percent
from mizzen.proto.api import HTTPFault, HttpFilter
from mizzen.translate.built import pack
from mizzen.translate.filter_order import FAULT

# gRPC's status codes by name, as HTTPFaultInjection.Abort.grpcStatus spells them.
_GRPC_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


def fault_filter() -> HttpFilter:
    """The filter itself injects nothing: routes do."""
    return HttpFilter(name=FAULT, typed_config=pack(HTTPFault()))


def route_fault(settings: HTTPFaultInjection) -> HTTPFault:
    """What a route injects."""
    fault: dict[str, Any] = {}
    if settings.delay is not None and settings.delay.fixed_delay is not None:
        share = settings.delay.percentage or _whole_percent(settings.delay.percent)
        fault["delay"] = {"fixed_delay": settings.delay.fixed_delay, "percentage": millionths(share)}
    if settings.abort is not None:
        abort = settings.abort
        fault["abort"] = {"percentage": millionths(abort.percentage)}
        if abort.http_status is not None:
            fault["abort"]["http_status"] = abort.http_status
        elif abort.grpc_status in _GRPC_CODES:
            fault["abort"]["grpc_status"] = _GRPC_CODES.index(abort.grpc_status)
    return HTTPFault(**fault)


def _whole_percent(percent: int) -> Percent | None:
    return Percent(value=float(percent)) if percent else None


def millionths(share: Percent | None) -> dict[str, Any]:
    """A percentage as Envoy counts it, to four decimals; 100% where none is given (Istio's default)."""
    return {"numerator": round((100.0 if share is None else share.value) * 10_000), "denominator": "MILLION"}
