"""One answer of three parts over real sockets: what is missing is counted, and the rest is there."""

import asyncio
import logging
import re
from functools import partial
from urllib.parse import unquote

import pytest

from mizzen.admin.traffic import COUNTERS
from mizzen.agent.application_metrics import ApplicationMetrics, fetch
from mizzen.agent.cardinality import Budget
from mizzen.agent.envoy_admin import EnvoyAdmin
from mizzen.agent.http import Request
from mizzen.agent.metrics import Part
from mizzen.agent.scrape import CONTENT_TYPE, READ_BY_THE_DAEMON, Scrapes, Sources, patience
from tests.support.agent_mesh import until
from tests.support.exposition import read_strictly, value_of
from tests.support.metrics_servers import answering, ok

ENVOY = b"""# TYPE envoy_istio_requests_total counter
envoy_istio_requests_total{source_app="",response_code="200"} 7
# TYPE envoy_server_live gauge
envoy_server_live{} 1
"""
AGENT = b"# TYPE mizzen_agent_ready gauge\nmizzen_agent_ready 1\n"
APPLICATION = b"# TYPE shop_orders_total counter\nshop_orders_total 3\n"
PROMETHEUS = Request("/stats/prometheus")


def agent() -> bytes:
    return AGENT


def of(app):
    return partial(fetch, ApplicationMetrics(app.port), "127.0.0.1", app.port)


@pytest.fixture
async def envoy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with answering(ok(ENVOY), path="admin") as one:
        one.admin = EnvoyAdmin(tmp_path / "admin")
        yield one


async def scraped(scrapes: Scrapes, request: Request = PROMETHEUS):
    response = await scrapes.merged(request)
    assert response.content_type == CONTENT_TYPE
    return read_strictly(response.body.decode())


async def test_envoys_the_agents_and_the_applications_are_one_answer(envoy):
    async with answering(ok(APPLICATION)) as app:
        families = await scraped(Scrapes(Sources(envoy.admin, {}, Budget(100), agent, of(app))))
    assert value_of(families, "istio_requests_total", source_app="unknown") == 7
    assert value_of(families, "envoy_server_live") == 1
    assert value_of(families, "mizzen_agent_ready") == 1
    assert value_of(families, "shop_orders_total") == 3
    assert value_of(families, "istio_agent_scrapes_total") == 1
    for part in ("envoy", "application", "agent"):
        assert value_of(families, "istio_agent_scrape_failures_total", type=part) == 0


async def test_openmetrics_of_the_application_leaves_the_answer_valid(envoy):
    answer = b'# TYPE shop_orders counter\nshop_orders_total 3.0 # {t="a"} 1.0\n# EOF\n'
    async with answering(ok(answer, "application/openmetrics-text; version=1.0.0")) as app:
        families = await scraped(Scrapes(Sources(envoy.admin, {}, Budget(100), agent, of(app))))
    assert value_of(families, "shop_orders_total") == 3
    assert value_of(families, "istio_requests_total") == 7


async def test_what_the_proxy_has_itself_the_application_cannot_replace(envoy):
    answer = b"# TYPE envoy_server_live counter\nenvoy_server_live 9\n# TYPE mizzen_agent_ready gauge\nmizzen_agent_ready 0\n"
    async with answering(ok(answer + APPLICATION)) as app:
        scrapes = Scrapes(Sources(envoy.admin, {}, Budget(100), agent, of(app)))
        families = await scraped(scrapes)
    assert value_of(families, "envoy_server_live") == 1
    assert value_of(families, "mizzen_agent_ready") == 1
    assert value_of(families, "shop_orders_total") == 3
    assert value_of(families, "mizzen_agent_application_metrics_left_out") == 2


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 500 No\r\n\r\n", ok(b"a 1\nno metrics")])
async def test_an_application_that_fails_is_counted_and_costs_nothing_else(envoy, answer, caplog):
    async with answering(answer) as app:
        scrapes = Scrapes(Sources(envoy.admin, {}, Budget(100), agent, of(app)))
        await scraped(scrapes)
        families = await scraped(scrapes)
    assert value_of(families, "istio_requests_total") == 7
    assert value_of(families, "istio_agent_scrape_failures_total", type="application") == 2
    assert value_of(families, "istio_agent_scrape_failures_total", type="envoy") == 0
    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 1, "one line at the first time, and not again each scrape"
    assert "no metrics of the application" in said[0].getMessage()


async def test_an_application_that_hangs_does_not_hide_the_proxy_from_prometheus(envoy):
    request = Request("/stats/prometheus", {"x-prometheus-scrape-timeout-seconds": "1.5"})
    async with answering(ok(APPLICATION), at_once=False) as app:
        scrapes = Scrapes(Sources(envoy.admin, {}, Budget(100), agent, of(app)))
        async with asyncio.timeout(1.5):  # as Prometheus does
            families = await scraped(scrapes, request)
    assert b"x-prometheus-scrape-timeout-seconds: 1.2\r\n" in app.heard[0].lower()
    assert value_of(families, "istio_requests_total") == 7
    assert value_of(families, "istio_agent_scrape_failures_total", type="application") == 1


async def test_the_application_is_asked_beside_envoy_and_not_after_it(envoy):
    envoy.let.clear()
    async with answering(ok(APPLICATION)) as app:
        scrape = asyncio.create_task(scraped(Scrapes(Sources(envoy.admin, {}, Budget(100), agent, of(app)))))
        await until(lambda: envoy.waiting and app.heard, "both are asked")
        envoy.let.set()
        assert value_of(await scrape, "shop_orders_total") == 3


async def test_the_application_is_asked_by_two_at_a_time_and_the_others_lose_only_it(envoy):
    request = Request("/stats/prometheus", {"x-prometheus-scrape-timeout-seconds": "1.5"})
    async with answering(ok(APPLICATION), at_once=False) as app:
        scrapes = Scrapes(Sources(envoy.admin, {}, Budget(100), agent, of(app)))
        async with asyncio.timeout(1.5):
            answers = await asyncio.gather(*(scraped(scrapes, request) for _ in range(5)))
        assert app.waiting == 2
    assert [value_of(families, "istio_requests_total") for families in answers] == [7] * 5
    assert scrapes.figures.failed[Part.APPLICATION] == 5


async def test_without_envoy_the_rest_is_there_and_nothing_stands_in_for_it(tmp_path):
    async with answering(ok(APPLICATION + b"envoy_server_live 9\nistio_requests_total 9\n")) as app:
        families = await scraped(
            Scrapes(Sources(EnvoyAdmin(tmp_path / "none"), {}, Budget(100), agent, of(app)))
        )
    assert not {"envoy_server_live", "istio_requests_total"} & families.keys()
    assert value_of(families, "istio_agent_scrape_failures_total", type="envoy") == 1
    assert value_of(families, "mizzen_agent_ready") == 1
    assert value_of(families, "shop_orders_total") == 3


async def test_without_the_agents_own_figures_the_rest_is_there(envoy):
    def broken() -> bytes:
        raise OSError("no /proc")

    families = await scraped(Scrapes(Sources(envoy.admin, {}, Budget(100), broken, None)))
    assert value_of(families, "istio_agent_scrape_failures_total", type="agent") == 1
    assert value_of(families, "istio_requests_total") == 7


async def test_the_daemon_asks_no_application_and_is_not_counted(envoy):
    async with answering(ok(APPLICATION)) as app:
        scrapes = Scrapes(Sources(envoy.admin, {}, Budget(100), agent, of(app)))
        response = await scrapes.of_proxy(Request("/stats/proxy"))
        assert app.heard == []
    families = read_strictly(response.body.decode())
    assert value_of(families, "istio_requests_total") == 7
    assert value_of(families, "mizzen_agent_ready") == 1
    assert scrapes.figures.asked == 0
    assert unquote(envoy.heard[0].decode()).startswith(f"GET /stats/prometheus?filter={READ_BY_THE_DAEMON} ")


def test_the_daemon_gets_what_it_reads():
    assert all(re.match(READ_BY_THE_DAEMON, re.sub("_(sum|count)$", "", name)) for name in COUNTERS)


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [("", 4), ("10", 8), ("2.5", 2), ("60", 8), ("inf", 8), ("nan", 4), ("-1", 4), ("0", 4), ("soon", 4)],
)
def test_prometheus_says_how_long_it_waits(timeout, seconds):
    assert patience(timeout) == pytest.approx(seconds)
