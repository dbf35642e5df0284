"""The agent's own metrics, as Prometheus gets them."""

from mizzen.agent.dns import DnsFigures
from mizzen.agent.metrics import (
    RESERVED,
    AgentFigures,
    ScrapeFigures,
    exposition_of,
    exposition_of_scrapes,
)
from tests.support.exposition import read_strictly, value_of


def test_the_agents_own():
    figures = AgentFigures(
        version="1.2.3",
        envoy_version="1.40.0",
        envoy_restarts=2,
        certificates_issued=3,
        certificate_expires=4.5,
        ready=True,
        resident_bytes=6,
        dns=DnsFigures(asked=9, asked_on=8, failed=7),
    )
    families = read_strictly(exposition_of(figures).decode())
    assert families["mizzen_agent_envoy_restarts_total"].type == "counter"
    assert value_of(families, "mizzen_agent_build_info", version="1.2.3", envoy_version="1.40.0") == 1
    assert value_of(families, "mizzen_agent_envoy_restarts_total") == 2
    assert value_of(families, "mizzen_agent_certificate_expiry_timestamp_seconds") == 4.5
    assert value_of(families, "mizzen_agent_ready") == 1
    assert value_of(families, "mizzen_agent_dns_upstream_requests_total") == 8


def test_every_name_of_the_agents_own_is_reserved():
    """So that an application cannot have a metric of the same name."""
    figures = AgentFigures("", "", 0, 0, 0.0, True, 0, DnsFigures())
    text = exposition_of(figures) + exposition_of_scrapes(ScrapeFigures())
    names = list(read_strictly(text.decode()))
    assert names
    assert [name for name in names if not name.encode().startswith(RESERVED)] == []
