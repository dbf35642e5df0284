"""The logs of the daemon and of agents: one format for people and one for machines, and levels by scope.

A scope is a part of the program ("xds"), and all loggers of its package write in it. Levels and their words are Istio's
(`--log-level xds:debug,ca:warn`). What a line is about can go with it as fields, which machines find without reading the message:

    _log.info("%s is %s", key, reason, extra=fields(workload=str(key)))

Libraries are no scopes, and are never below "info": hpack's debug lines have every header in them, join tokens included.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from mizzen.errors import UserError
from mizzen.frozen import FrozenMap

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}
"""From the most that is said to the least. Source of the words: Istio's `--log_output_level`."""

DAEMON_SCOPES: Final = ("admin", "ca", "daemon", "rpc", "xds")
AGENT_SCOPES: Final = ("agent", "rpc")
FORMATS: Final = ("text", "json")

_ALL: Final = frozenset({"all", "default"})
_PACKAGE: Final = "mizzen"


def fields(**found: str | float) -> dict[str, Any]:
    """What a line is about, as `extra` of a logger's call. By name, because a log record has attributes of its own."""
    return {"fields": found}


def parse_levels(text: str) -> FrozenMap[str, str]:
    """`xds:debug,ca:warn`, or one level for all. Scope to level, in this order; neither is known yet to exist. Raises UserError."""
    found = {}
    for part in text.split(","):
        scope, colon, level = part.strip().rpartition(":")
        if not level or (colon and not scope):
            raise UserError(
                f"{part.strip()!r} is not SCOPE:LEVEL", "such as xds:debug,ca:warn, or debug for all"
            )
        found[scope or "all"] = level
    return FrozenMap(found)


@dataclass(frozen=True, slots=True)
class LogLevels:
    """The levels of a process's scopes. `started`: those with which it started, where they are not "info". The levels themselves
    are `logging`'s, which a process has once.
    """

    scopes: tuple[str, ...] = ()
    started: Mapping[str, str] = FrozenMap()

    def current(self) -> Mapping[str, str]:
        return {scope: _level_of(_logger(scope)) for scope in self.scopes}

    def change(self, levels: Mapping[str, str]) -> None:
        """One after the other: `all` first, and then what is to differ. Raises UserError, and then nothing has changed."""
        for scope, level in levels.items():
            if scope not in _ALL and scope not in self.scopes:
                raise UserError(f"there is no scope {scope!r}", f"these are: {', '.join(self.scopes)}, all")
            if level not in LEVELS:
                raise UserError(f"there is no level {level!r}", f"these are: {', '.join(LEVELS)}")
        for scope, level in levels.items():
            for each in self.scopes if scope in _ALL else (scope,):
                _logger(each).setLevel(LEVELS[level])

    def reset(self) -> None:
        """To those with which the process started. Raises UserError."""
        self.change({"all": "info", **self.started})


def set_up(log_format: str) -> None:
    """Write to standard error from here on. Called once, by the process's entry point."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class TextFormatter(logging.Formatter):
    """`2026-07-01T12:00:00.000Z INFO xds: words`. A line is a line: what somebody else sent cannot look like one of ours."""

    def format(self, record: logging.LogRecord) -> str:
        words = _one_line(redacted(record.getMessage()))
        line = f"{_time(record)} {record.levelname} {scope_of(record.name)}: {words}"
        stack = _stack(self, record)
        return f"{line}\n{stack}" if stack else line


class JsonFormatter(logging.Formatter):
    """An object to a line. `time`, `level`, `scope`, `msg` and `stack` as in Istio's logs, and the fields beside them."""

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, str | float] = {
            "time": _time(record),
            "level": _name_of(record.levelno),
            "scope": scope_of(record.name),
            "msg": redacted(record.getMessage()),
        }
        if stack := _stack(self, record):
            found["stack"] = stack
        for key, value in getattr(record, "fields", {}).items():
            found.setdefault(key, _plain(value))
        return json.dumps(found)


def scope_of(logger: str) -> str:
    """`xds` for mizzen.xds.server; of a library its own name."""
    package, *rest = logger.split(".")
    return rest[0] if package == _PACKAGE and rest else package


def redacted(text: str) -> str:
    """Without what must not be in a log. Nobody logs it; this is for the day on which somebody does."""
    return _SECRET.sub("<redacted>", text)


# A private key in PEM, a join token (ca.tokens), a JWT, whatever follows "Bearer".
_SECRET: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\bmzj1\.[\w-]+\.[\w-]+"
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]*"
    r"|(?i:(?<=\bbearer ))\S+",
    re.DOTALL,
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _one_line(text: str) -> str:
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def _plain(value: str | float) -> str | float:
    return redacted(value) if isinstance(value, str) else value


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


def _stack(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return redacted(formatter.formatException(record.exc_info)) if record.exc_info else ""


def _logger(scope: str) -> logging.Logger:
    return logging.getLogger(f"{_PACKAGE}.{scope}")


def _level_of(logger: logging.Logger) -> str:
    return _name_of(logger.getEffectiveLevel())


def _name_of(number: int) -> str:
    return next((name for name, least in LEVELS.items() if number <= least), "none")
