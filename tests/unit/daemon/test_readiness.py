"""What a daemon says it lacks."""

from datetime import UTC, datetime, timedelta

import pytest

from mizzen.ca.files import StateError
from mizzen.daemon.readiness import Readiness, Step
from tests.support.repository import read

ENDS = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def now():
    return [ENDS - timedelta(days=1)]


def test_each_step_of_the_start_is_missing_until_it_is_done(now):
    readiness = Readiness(lambda: ENDS, lambda: now[0])
    for step in (Step.LISTENING, Step.CERTIFICATE, Step.CONFIGURATION):
        assert step in readiness.missing()
        readiness.done(step)
        readiness.done(step)
    assert readiness.missing() == ()


def test_an_expired_ca_is_no_ca(now):
    readiness = Readiness(lambda: ENDS, lambda: now[0])
    for step in Step:
        readiness.done(step)
    now[0] = ENDS
    assert readiness.missing() == (
        "the CA's certificate ended at 2030-01-01 00:00 UTC: nobody gets a certificate",
    )


def test_a_ca_that_cannot_be_read_is_no_ca(now):
    def ends():
        raise StateError("there is no root-cert.pem")

    readiness = Readiness(ends, lambda: now[0])
    for step in Step:
        readiness.done(step)
    (reason,) = readiness.missing()
    assert "root-cert.pem" in reason


def test_every_reason_is_documented():
    page = read("docs/daemon-observability.md")
    assert [step for step in Step if f"| `{step}` |" not in page] == []
