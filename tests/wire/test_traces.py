"""A change of a folder of YAML becomes a trace at a collector, from its arrival to the proxy's ACK."""

from mizzen.daemon.settings import Settings
from mizzen.xds.resource import CLUSTER, LISTENER
from tests.support.collector import Collector
from tests.support.daemon import identity, one_workload, running_daemon
from tests.support.discovery import until


def attributes(span) -> dict:
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}


async def test_a_change_is_followed_to_the_ack(tmp_path):
    config, collector = tmp_path / "config", Collector()
    config.mkdir()
    (config / "cart.yaml").write_text(one_workload("cart", number=1))
    async with collector.serving() as endpoint:
        settings = Settings((config,), tmp_path / "state", listen_port=0, otlp_endpoint=endpoint)
        async with running_daemon(settings) as daemon:
            context = await daemon.join(identity("shop", "cart"))
            async with daemon.proxy(context, "shop/cart-0") as proxy:
                for type_url in (CLUSTER, LISTENER):
                    await proxy.subscribe(type_url)
                    await proxy.take(type_url)
                (config / "search.yaml").write_text(one_workload("search", number=2))
                await proxy.take(CLUSTER)
                await until(lambda: "change" in collector.names())
    (root,) = [span for span in collector.spans() if span["name"] == "change"]
    told = attributes(root)
    assert (told["mizzen.concerned"], told["mizzen.acked"]) == ("1", "1")
    assert "Service shop/search" in str(told["mizzen.objects"])
    below = {span["name"]: span for span in collector.spans() if span.get("parentSpanId") == root["spanId"]}
    assert set(below) == {"wait", "compute", "push"}
    push = below["push"]
    assert attributes(push)["mizzen.proxy"] == "shop/cart-0"
    assert [event["name"] for event in push["events"]] == ["sent", "acked"]
    in_order = [
        int(time)
        for time in (
            root["startTimeUnixNano"],
            below["compute"]["startTimeUnixNano"],
            push["startTimeUnixNano"],
            push["events"][0]["timeUnixNano"],
            push["endTimeUnixNano"],
            root["endTimeUnixNano"],
        )
    ]
    assert in_order == sorted(in_order)
    (resource, *_) = {str(body["resourceSpans"][0]["resource"]) for body in collector.bodies}
    assert "service.name" in resource
