"""Filters of access loggers by a CEL expression over Envoy's attributes."""

from typing import Any

from mizzen.proto.api import ExpressionFilter
from mizzen.translate.built import pack


def where(expression: str) -> dict[str, Any]:
    """Envoy's AccessLogFilter: only for what the expression is true."""
    config = pack(ExpressionFilter(expression=expression))
    return {
        "extension_filter": {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": config}
    }
