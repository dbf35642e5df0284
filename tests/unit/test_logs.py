"""Levels by scope, and lines for people and machines."""

import json
import logging
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from mizzen.ca.tokens import JoinToken, JoinTokenKey
from mizzen.errors import UserError
from mizzen.logs import (
    AGENT_SCOPES,
    DAEMON_SCOPES,
    JsonFormatter,
    LogLevels,
    TextFormatter,
    fields,
    parse_levels,
    scope_of,
)
from tests.support.certificates import a_key, pem_of
from tests.support.daemon import identity
from tests.support.repository import python_files, read


@pytest.fixture
def levels():
    """Of scopes that nobody else has."""
    return LogLevels(("one", "two", "three"), {"two": "warn"})


def lines_of(formatter, levels, log):
    """What `log` makes of a logger of the scope "one"."""
    written = []

    class Handler(logging.Handler):
        def emit(self, record):
            written.append(self.format(record))

    handler, logger = Handler(), logging.getLogger("mizzen.one.part")
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    try:
        log(logger)
    finally:
        logger.removeHandler(handler)
    return written


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("debug", {"all": "debug"}),
        ("xds:debug", {"xds": "debug"}),
        ("all:warn, xds:debug,ca:none", {"all": "warn", "xds": "debug", "ca": "none"}),
    ],
)
def test_how_levels_are_written(text, found):
    assert list(parse_levels(text).items()) == list(found.items())


@pytest.mark.parametrize("text", ["", "xds:", ":debug", "xds:debug,", ","])
def test_what_is_no_level(text):
    with pytest.raises(UserError, match=r"is not SCOPE:LEVEL: such as xds:debug,ca:warn"):
        parse_levels(text)


def test_levels_are_changed_one_after_the_other_and_reset_to_those_of_the_start(levels):
    levels.reset()
    assert levels.current() == {"one": "info", "two": "warn", "three": "info"}
    levels.change(parse_levels("all:error,three:debug"))
    assert levels.current() == {"one": "error", "two": "error", "three": "debug"}
    levels.change({"one": "none"})
    assert levels.current() == {"one": "none", "two": "error", "three": "debug"}
    levels.reset()
    assert levels.current() == {"one": "info", "two": "warn", "three": "info"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"one": "debug", "four": "info"}, "there is no scope 'four': these are: one, two, three, all"),
        (
            {"one": "debug", "two": "loud"},
            "there is no level 'loud': these are: debug, info, warn, error, fatal, none",
        ),
    ],
)
def test_a_wrong_level_changes_nothing(levels, wrong, words):
    levels.reset()
    with pytest.raises(UserError, match=re.escape(words)):
        levels.change(wrong)
    assert levels.current() == {"one": "info", "two": "warn", "three": "info"}


def test_a_level_holds_for_what_is_logged(levels):
    def log(logger):
        logger.debug("a")
        logger.warning("b")
        logger.critical("c")

    said = {}
    for level in ("debug", "warn", "none"):
        levels.change({"one": level})
        said[level] = [line[-1] for line in lines_of(TextFormatter(), levels, log)]
    assert said == {"debug": ["a", "b", "c"], "warn": ["b", "c"], "none": []}


def test_a_line_for_people(levels):
    levels.reset()
    (line,) = lines_of(
        TextFormatter(),
        levels,
        lambda logger: logger.info("%s is %s", "cart", "well", extra=fields(workload="cart")),
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO one: cart is well", line)


def test_a_line_for_machines(levels):
    levels.reset()

    def log(logger):
        logger.warning("no:\n%s", "two lines", extra=fields(proxy="shop/cart", seconds=1.5))
        try:
            int("boom")
        except ValueError:
            logger.exception("it failed")

    first, second = map(json.loads, lines_of(JsonFormatter(), levels, log))
    assert abs(datetime.fromisoformat(first.pop("time")) - datetime.now(UTC)) < timedelta(minutes=1)
    assert first == {
        "level": "warn",
        "scope": "one",
        "msg": "no:\ntwo lines",
        "proxy": "shop/cart",
        "seconds": 1.5,
    }
    assert (second["level"], second["msg"]) == ("error", "it failed")
    assert second["stack"].endswith("'boom'")


def test_a_field_cannot_take_the_place_of_what_every_line_has(levels):
    levels.reset()
    (line,) = lines_of(
        JsonFormatter(), levels, lambda logger: logger.info("right", extra=fields(msg="wrong", scope="wrong"))
    )
    assert (json.loads(line)["msg"], json.loads(line)["scope"]) == ("right", "one")


def test_who_sends_line_breaks_writes_no_line_of_its_own(levels):
    levels.reset()
    forged = "bad\n2026-07-01T12:00:00.000Z INFO ca: all is well\x1b[2J"
    (line,) = lines_of(TextFormatter(), levels, lambda logger: logger.info("refused: %s", forged))
    assert "\n" not in line
    assert "\x1b" not in line
    assert line.endswith(r"refused: bad\n2026-07-01T12:00:00.000Z INFO ca: all is well\x1b[2J")


def test_secrets_are_taken_out_whoever_logs_them(levels, tmp_path):
    levels.reset()
    token = JoinTokenKey.open(tmp_path / "key", os.urandom).issue(
        JoinToken(identity("shop"), "cart-0", datetime.now(UTC) + timedelta(hours=1), "t")
    )
    key = pem_of(a_key()).decode()
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYXJ0In0.c2lnbmF0dXJl"
    basic = "Authorization: bearer s3cr3t"

    def log(logger):
        for secret in (token, key, jwt, basic):
            logger.info("it sent %s, so", secret, extra=fields(sent=secret))
            try:
                int(secret)
            except ValueError:
                logger.exception("failed")

    for formatter in (TextFormatter(), JsonFormatter()):
        text = "\n".join(lines_of(formatter, levels, log))
        assert text.count("<redacted>") >= 8
        for secret in (token, jwt, "s3cr3t", key.splitlines()[1]):
            assert secret not in text


def test_scopes():
    assert [scope_of(name) for name in ("mizzen.xds.server", "mizzen.agent", "mizzen", "hpack.table")] == [
        *("xds", "agent", "mizzen", "hpack")
    ]


def test_every_logger_is_in_a_scope_and_every_scope_has_one():
    used = set()
    for path in python_files("src"):
        for name in re.findall(r"getLogger\(([^)]+)\)", read(path)):
            module = ".".join(path.with_suffix("").parts[1:])
            if name == "__name__":
                used.add(scope_of(module))
            elif name.startswith('"mizzen'):
                used.add(scope_of(name.strip('"')))
    assert used == {*DAEMON_SCOPES, *AGENT_SCOPES}


def test_libraries_say_no_more_than_they_must_at_any_level():
    """hpack's debug lines have the headers in them."""
    script = (
        "import logging; from mizzen.logs import *; set_up('text');"
        "LogLevels(DAEMON_SCOPES, {'all': 'debug'}).reset();"
        "print([logging.getLogger(n).isEnabledFor(logging.DEBUG) for n in ('hpack', 'grpclib', 'mizzen.ca.x')])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, False, True]"
