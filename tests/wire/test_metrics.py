"""The daemon's own metrics, as a scrape sees them after real traffic."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mizzen.config.diagnostics import CATALOGUE
from mizzen.daemon.readings import Reading, Readings
from mizzen.daemon.settings import Settings
from mizzen.xds.resource import CLUSTER, LISTENER
from tests.support.daemon import identity, one_workload, running_daemon

WRONG = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: lost, namespace: shop}
spec: {hosts: [nowhere], http: [{route: [{destination: {host: nowhere}}]}]}
"""


@pytest.fixture
async def daemon(tmp_path):
    config = tmp_path / "config"
    config.mkdir()
    (config / "cart.yaml").write_text(one_workload("cart", number=1))
    async with running_daemon(Settings((config,), tmp_path / "state", listen_port=0)) as found:
        yield found


async def scraped(daemon) -> dict[tuple, float]:
    """By name, and the labels in the order of their names."""
    text = await daemon._get("metrics")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def query_runs(found) -> dict[tuple, float]:
    """Of what was scraped: by query."""
    return {name: n for name, n in found.items() if name[0] == "mizzen_query_runs_total"}


async def until(daemon, condition) -> dict[tuple, float]:
    async with asyncio.timeout(10):
        while not condition(found := await scraped(daemon)):
            await asyncio.sleep(0.02)
    return found


async def test_a_change_from_its_file_to_the_ack(daemon, tmp_path):
    context = await daemon.join(identity("shop", "cart"))
    async with daemon.proxy(context, "shop/cart-0") as proxy:
        for type_url in (CLUSTER, LISTENER):
            await proxy.subscribe(type_url)
            await proxy.take(type_url)
        before = await until(daemon, lambda found: found["pilot_xds",] == 1)
        assert before["pilot_push_triggers_total", "proxyrequest"] >= 2
        assert ("pilot_push_triggers_total", "service") not in before
        (tmp_path / "config" / "search.yaml").write_text(one_workload("search", number=2))
        assert "outbound|80||search.shop.svc.cluster.local" in await proxy.take(CLUSTER)
        after = await until(daemon, lambda found: found["mizzen_change_convergence_time_count",] == 1)
        assert after["pilot_proxy_convergence_time_count",] == 1
        assert 0 < after["pilot_proxy_convergence_time_sum",] < 10
        assert after["pilot_push_triggers_total", "service"] == 1
        assert (
            after["pilot_push_triggers_total", "proxyrequest"]
            == before["pilot_push_triggers_total", "proxyrequest"]
        )
        assert after["pilot_inbound_updates_total", "endpoint"] == 1
        assert after["pilot_debounce_time_count",] == after["mizzen_refresh_seconds_count",] >= 1
        assert after["pilot_xds_push_time_count", "clusters"] == after["pilot_xds_pushes_total", "clusters"]
        assert after["pilot_proxy_queue_time_count",] > before["pilot_proxy_queue_time_count",]
        ran = [name for name, runs in query_runs(before).items() if after[name] > runs]
        assert ("mizzen_query_runs_total", "members") in ran


async def test_what_a_proxy_refuses_is_counted_by_name_and_shown_while_it_holds(daemon):
    async with daemon.proxy(await daemon.join(identity("shop", "cart")), "shop/cart-0") as proxy:
        await proxy.subscribe(LISTENER)
        while not (found := await scraped(daemon)).get(("mizzen_xds_refused", "listeners")):
            response = await proxy.receive(LISTENER)
            await proxy.nack(response, "no such filter")
        refused = {name: n for name, n in found.items() if name[0] == "mizzen_xds_resource_rejects_total"}
        assert ("mizzen_xds_resource_rejects_total", "virtualOutbound", "listeners") in refused
        assert found["pilot_total_xds_rejects_total", "listeners"] == sum(refused.values())
    await until(daemon, lambda found: ("mizzen_xds_refused", "listeners") not in found)


async def test_findings_are_counted_by_severity_and_code_while_they_hold(daemon, tmp_path):
    def missing_host(found) -> float:
        return found.get(("mizzen_config_diagnostics", "IST0101", CATALOGUE["IST0101"].severity.value), 0)

    assert missing_host(await scraped(daemon)) == 0
    (tmp_path / "config" / "wrong.yaml").write_text(WRONG)
    await until(daemon, missing_host)
    (tmp_path / "config" / "wrong.yaml").unlink()
    await until(daemon, lambda found: not missing_host(found))


async def test_certificates_and_the_end_of_the_ca(daemon):
    await daemon.join(identity("shop", "cart"))
    found = await scraped(daemon)
    assert found["citadel_server_csr_count_total",] == 1
    assert found["citadel_server_success_cert_issuance_count_total",] == 1
    ends = found["citadel_server_root_cert_expiry_timestamp",]
    assert ends > found["process_start_time_seconds",] + 24 * 3600
    assert found["mizzen_ca_expiry_timestamp_seconds",] == ends
    assert found["citadel_server_cert_chain_expiry_timestamp",] == ends


def test_a_reading_that_fails_takes_no_other_away(caplog):
    def broken() -> float:
        raise RuntimeError("boom")

    readings = Readings((Reading("broken", "It is.", broken), Reading("well", "It is.", lambda: 7)))
    assert [(family.name, family.samples[0].value) for family in readings.collect()] == [("well", 7)]
    assert "the metric broken cannot be read" in caplog.text
    assert "boom" in caplog.text


async def test_a_scrape_computes_nothing(daemon):
    first, second = [await scraped(daemon) for _ in range(2)]
    runs = [sum(query_runs(found).values()) for found in (first, second)]
    assert runs[0] == runs[1] > 0


async def test_who_comes_back_costs_no_query(daemon, tmp_path):
    async def come_and_go() -> dict[tuple, float]:
        async with daemon.proxy(context, "shop/cart-0") as proxy:
            await proxy.subscribe(CLUSTER)
            await proxy.take(CLUSTER)
        return await until(daemon, lambda found: found["pilot_xds",] == 0)

    context = await daemon.join(identity("shop", "cart"))
    refreshes = (await come_and_go())["mizzen_refresh_seconds_count",]
    (tmp_path / "config" / "search.yaml").write_text(one_workload("search", number=2))
    refreshed = await until(daemon, lambda found: found["mizzen_refresh_seconds_count",] > refreshes)
    assert query_runs(await come_and_go()) == query_runs(refreshed)
