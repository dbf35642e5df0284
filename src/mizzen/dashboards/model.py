"""What a dashboard is made of, and Grafana's JSON of it. Pure: the same dashboard is the same text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_SCHEMA: Final = 39  # of Grafana 11, which newer ones read, too
_WIDTH: Final = 24  # of Grafana's grid
_HEIGHT: Final = 8
_STAT_HEIGHT: Final = 4
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and what its lines are called (`{{label}}` is a label's value)."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph over time, or with `now` the last values: a number, or with several labels a table."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"  # Grafana's: reqps, percentunit, ms, s, bytes, Bps, short
    now: bool = False
    table: bool = False
    width: int = 8


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """What the reader chooses: one of the values that a label has, of the series that a selector picks."""

    name: str
    label: str
    selector: str


@dataclass(frozen=True, slots=True)
class Dashboard:
    uid: str
    title: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()

    def queries(self) -> Iterator[str]:
        """The PromQL of all panels."""
        return (query.expression for row in self.rows for panel in row.panels for query in panel.queries)

    def to_json(self) -> dict[str, Any]:
        """As Grafana imports it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["mizzen"],
            "schemaVersion": _SCHEMA,
            "version": 1,
            "editable": True,
            "refresh": "15s",
            "time": {"from": "now-15m", "to": "now"},
            "templating": {"list": [_DATASOURCE_VARIABLE, *map(_variable, self.variables)]},
            "panels": list(_panels(self.rows)),
        }


_DATASOURCE_VARIABLE: Final = {
    "name": "datasource",
    "label": "Prometheus",
    "type": "datasource",
    "query": "prometheus",
}


def _variable(variable: Variable) -> dict[str, Any]:
    query = f"label_values({variable.selector}, {variable.label})"
    return {
        "name": variable.name,
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": query, "refId": variable.name},
        "definition": query,
        "refresh": 2,  # when the time range changes
        "sort": 1,
    }


def _panels(rows: tuple[Row, ...]) -> Iterator[dict[str, Any]]:
    """From left to right and from top to bottom."""
    number, top = 0, 0
    for row in rows:
        number += 1
        place = {"x": 0, "y": top, "w": _WIDTH, "h": 1}
        yield {"id": number, "type": "row", "title": row.title, "gridPos": place, "panels": []}
        top += 1
        left, tallest = 0, 0
        for panel in row.panels:
            height = _STAT_HEIGHT if panel.now and not panel.table else _HEIGHT
            if left + panel.width > _WIDTH:
                left, top, tallest = 0, top + tallest, 0
            number += 1
            place = {"x": left, "y": top, "w": panel.width, "h": height}
            yield _panel(panel, number, place)
            left, tallest = left + panel.width, max(tallest, height)
        top += tallest


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    kind = "table" if panel.table else "stat" if panel.now else "timeseries"
    return {
        "id": number,
        "type": kind,
        "title": panel.title,
        "datasource": _DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _DATASOURCE,
                "expr": query.expression,
                "legendFormat": query.legend or "__auto",
                "instant": panel.now,
                "range": not panel.now,
                **({"format": "table"} if panel.table else {}),
            }
            for index, query in enumerate(panel.queries)
        ],
        **({"transformations": [_WITHOUT_TIME]} if panel.table else {}),
    }


_WITHOUT_TIME: Final = {"id": "organize", "options": {"excludeByName": {"Time": True}}}
