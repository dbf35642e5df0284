"""What Prometheus gets: the mesh's names, and "unknown" for empty labels of the mesh's metrics."""

from mizzen.agent.dns import DnsFigures
from mizzen.agent.metrics import (
    RESERVED,
    AgentFigures,
    ScrapeFigures,
    exposition_of,
    exposition_of_scrapes,
    with_mesh_names,
)
from tests.support.exposition import read_strictly, value_of


def test_names_and_empty_labels_of_the_mesh_alone_are_changed():
    envoy = b"""# TYPE envoy_istio_requests_total counter
envoy_istio_requests_total{source_app="",response_code="200",flags="-"} 3
# TYPE envoy_server_state gauge
envoy_server_state{x=""} 0
# TYPE envoy_mizzen_x counter
envoy_mizzen_x{} 1
envoy_cluster_istio_named_thing{a=""} 1
"""
    assert (
        with_mesh_names(envoy)
        == b"""# TYPE istio_requests_total counter
istio_requests_total{source_app="unknown",response_code="200",flags="-"} 3
# TYPE envoy_server_state gauge
envoy_server_state{x=""} 0
# TYPE mizzen_x counter
mizzen_x{} 1
envoy_cluster_istio_named_thing{a=""} 1
"""
    )


def test_what_a_caller_sent_that_is_no_text_hides_nothing_from_prometheus():
    envoy = 'envoy_istio_x{a="ä"} 1\nenvoy_istio_x{a="'.encode() + b'\xff\xc3"} 2\n'
    text = with_mesh_names(envoy).decode()
    assert text == 'istio_x{a="ä"} 1\nistio_x{a="\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"} 2\n'


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
