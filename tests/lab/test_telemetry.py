"""What proxies tell of real traffic: both sides count the same, a trace is one over all hops, and nobody is believed who only
says who they are.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mizzen.lab.definition import LabDefinition, Workload
from tests.support.lab import Lab, running_lab, until
from tests.support.load import write
from tests.support.scraping import counted, samples
from tests.support.told_mesh import MESH, hop, stream

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "mesh.yaml").write_text(MESH)
    collector = Workload(
        name="collector",
        namespace="tools",
        labels={"app": "collector"},
        command=(sys.executable, "-m", "tests.support.lab_collector"),
        ports=(4317,),
        env={"PYTHONPATH": str(ROOT)},
    )
    workloads = (
        collector,
        hop("front"),
        hop("middle"),
        hop("back", "v1"),
        hop("back", "v2"),
        stream("echo"),
        stream("caller"),
    )
    options = ("--metric-series", str(MOST_SERIES), "--listener-drain-seconds", "2")
    definition = LabDefinition(name="told", workloads=workloads)
    with running_lab(folder, definition=definition, agent_options=options) as started:
        yield started


MOST_SERIES = 30  # of each metric of a proxy: more than what all but the last test makes
OF_BOTH_SIDES = (
    ("source", "front"),
    ("source", "middle"),
    ("destination", "back-v1"),
    ("destination", "back-v2"),
)


def requests_to_back(lab: Lab, reporter: str) -> Counter[tuple[str, ...]]:
    by = ("source_workload", "source_principal", "destination_version", "response_code")
    found: Counter[tuple[str, ...]] = Counter()
    for side, workload in OF_BOTH_SIDES:
        if side == reporter:
            found += counted(
                lab, "istio_requests_total", workload, by, reporter=reporter, destination_service_name="back"
            )
    return found


def test_both_sides_count_the_same(lab: Lab) -> None:
    sent = {
        ("front", "v1", "/", 200): 7,
        ("front", "v1", "/?status=418", 418): 3,
        ("front", "v2", "/", 200): 5,
        ("front", "v2", "/secret", 403): 2,
        ("middle", "v1", "/", 200): 4,
    }
    before = {reporter: requests_to_back(lab, reporter) for reporter in ("source", "destination")}
    for (caller, version, path, status), count in sent.items():
        answers = lab.requests(caller, f"http://back{path}", {"version": version}, count=count)
        assert {answer.status for answer in answers} == {status}
    expected = Counter(
        {
            (f"{caller}-0", f"spiffe://cluster.local/ns/shop/sa/{caller}", version, str(status)): count
            for (caller, version, _, status), count in sent.items()
        }
    )
    for reporter, earlier in before.items():
        assert requests_to_back(lab, reporter) == earlier + expected, reporter


def test_more_requests_make_no_more_series(lab: Lab) -> None:
    def series() -> int:
        return sum(name.startswith("istio_") for name, _, _ in samples(lab, "middle", "back-v1"))

    lab.requests("middle", "http://back/", count=5)
    until(lambda: counted(lab, "istio_request_bytes_count", "middle", (), response_code="200"), "a flush")
    before = series()
    lab.requests("middle", "http://back/", count=50)
    assert series() == before


def test_labels_are_istios(lab: Lab) -> None:
    lab.request("front", "http://back/")
    (source,) = (
        labels
        for name, labels, _ in samples(lab, "front")
        if name == "istio_requests_total"
        and labels["response_code"] == "200"
        and labels["destination_version"] == "v1"
    )
    (destination,) = (
        labels
        for name, labels, _ in samples(lab, "back-v1")
        if name == "istio_requests_total"
        and labels["response_code"] == "200"
        and labels["source_app"] == "front"
    )
    common = {
        "source_workload": "front-0",
        "source_workload_namespace": "shop",
        "source_canonical_service": "front",
        "source_canonical_revision": "latest",
        "source_app": "front",
        "source_version": "latest",
        "source_cluster": "Kubernetes",
        "source_principal": "spiffe://cluster.local/ns/shop/sa/front",
        "destination_workload": "back-v1-0",
        "destination_workload_namespace": "shop",
        "destination_canonical_service": "back",
        "destination_canonical_revision": "v1",
        "destination_app": "back",
        "destination_version": "v1",
        "destination_cluster": "Kubernetes",
        "destination_principal": "spiffe://cluster.local/ns/shop/sa/back",
        "destination_service": "back.shop.svc.cluster.local",
        "destination_service_name": "back",
        "destination_service_namespace": "shop",
        "request_protocol": "http",
        "response_code": "200",
        "response_flags": "-",
    }
    assert source == {**common, "reporter": "source", "connection_security_policy": "unknown"}
    assert destination == {**common, "reporter": "destination", "connection_security_policy": "mutual_tls"}


def test_who_proves_nothing_is_unknown_whatever_they_say(lab: Lab) -> None:
    claims = {
        "x-envoy-peer-metadata": "ChwKDkFQUF9DT05UQUlORVJT",
        "x-envoy-peer-metadata-id": "sidecar~10.0.0.1~front.shop~shop.svc.cluster.local",
        "x-forwarded-client-cert": 'Subject="OU=workload=front";URI=spiffe://cluster.local/ns/shop/sa/front',
        "baggage": "k8s.deployment.name=front",
    }
    url = f"http://{lab.address('back-v2')}:8000/"
    assert lab.request("outside", url, claims)[0] == 200
    by = ("source_workload", "source_workload_namespace", "source_principal", "source_app", "source_cluster")
    found = counted(lab, "istio_requests_total", "back-v2", by, connection_security_policy="none")
    assert found == {("unknown",) * 5: 1}


def test_applications_see_nothing_of_it(lab: Lab) -> None:
    status, _, body = lab.request("front", "http://back/")
    assert status == 200
    seen = {name.lower() for name in json.loads(body)}
    assert {name for name in seen if name.startswith("x-")} == {
        "x-forwarded-proto",
        "x-request-id",
        "x-envoy-attempt-count",
        "x-forwarded-client-cert",
    }


def test_connections_are_counted_by_both_sides(lab: Lab) -> None:
    host = "echo.shop.svc.cluster.local"
    asked = f"http://127.0.0.1:8002/{host}/9000/6"
    assert lab.request("caller", asked)[0] == 200
    by = ("source_workload", "destination_workload", "destination_service_name", "response_flags")
    edge = ("caller-0", "echo-0", "echo", "-")
    expected = {
        "istio_tcp_connections_opened_total": 6,
        "istio_tcp_connections_closed_total": 6,
        "istio_tcp_received_bytes_total": 30,
        "istio_tcp_sent_bytes_total": 60,
    }
    for reporter, workload in (("source", "caller"), ("destination", "echo")):
        having = {"reporter": reporter, "request_protocol": "tcp"}

        def found(workload: str = workload, having: dict[str, str] = having) -> dict[str, int]:
            return {name: counted(lab, name, workload, by, **having)[edge] for name in expected}

        until(lambda found=found: found() == expected, lambda found=found: f"{found()}")
        principals = counted(
            lab, "istio_tcp_connections_opened_total", workload, ("source_principal",), **having
        )
        assert principals == {("spiffe://cluster.local/ns/shop/sa/caller",): 6}


TRACES = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: traces, namespace: istio-system}
spec:
  tracing:
  - providers: [{name: otlp}]
    randomSamplingPercentage: 100
    customTags: {tenant: {header: {name: x-tenant, defaultValue: nobody}}}
"""


def collected(lab: Lab, kind: str) -> list[dict[str, Any]]:
    lines = lab.log("collector-0.app").splitlines()
    found = (json.loads(line) for line in lines if line.startswith(f'{{"{kind}":'))
    return [each[kind] for each in found]


def traces(lab: Lab, tenant: str) -> list[list[dict[str, Any]]]:
    """The spans of each trace whose first request named a tenant."""
    found: dict[str, list[dict[str, Any]]] = {}
    for span in collected(lab, "span"):
        found.setdefault(span["trace"], []).append(span)
    return [
        spans for spans in found.values() if any(span["attributes"].get("tenant") == tenant for span in spans)
    ]


# Of each hop the caller's sidecar and the called one's.
HOPS = ["back.shop", "front.shop", "middle.shop", "middle.shop"]


def whole_traces(lab: Lab, tenant: str) -> int:
    return sum(sorted(span["service"] for span in spans) == HOPS for spans in traces(lab, tenant))


def ask_middle(lab: Lab, tenant: str, count: int) -> None:
    answers = lab.requests("front", "http://middle/?next=http://back/", {"x-tenant": tenant}, count=count)
    assert {answer.status for answer in answers} == {200}


def draining(lab: Lab) -> float:
    """Listeners and filter chains of the hops that were replaced, and whose connections are still served by what they were."""
    kinds = ("listeners", "filter_chains")
    names = {f"envoy_listener_manager_total_{kind}_draining" for kind in kinds}
    found = [value for name, _, value in samples(lab, "front", "middle", "back-v1") if name in names]
    assert len(found) == 3 * len(kinds)
    return sum(found)


@pytest.fixture(scope="module")
def traced(lab: Lab) -> Lab:
    """The mesh, every request of which is traced from now on."""
    write(lab, "traces.yaml", TRACES)

    def is_traced() -> bool:
        ask_middle(lab, "warm", 1)
        return whole_traces(lab, "warm") > 0

    until(is_traced, "all hops have the Telemetry")
    until(lambda: not draining(lab), "connections from before the Telemetry are gone")
    return lab


def test_a_trace_is_one_over_all_hops(traced: Lab) -> None:
    lab, count = traced, 5
    ask_middle(lab, "acme", count)
    until(
        lambda: whole_traces(lab, "acme") == count,
        lambda: f"{[[span['service'] for span in spans] for spans in traces(lab, 'acme')]}",
    )
    assert len(traces(lab, "acme")) == count
    for spans in traces(lab, "acme"):
        ids = {span["span"] for span in spans}
        roots = [span for span in spans if span["parent"] not in ids]
        assert [(root["service"], root["parent"]) for root in roots] == [("front.shop", "")]
        assert {span["attributes"]["istio.namespace"] for span in spans} == {"shop"}
        assert {span["attributes"]["istio.mesh_id"] for span in spans} == {"cluster.local"}


def test_what_the_collector_receives_is_not_told_to_it(traced: Lab) -> None:
    assert {span["service"] for span in collected(traced, "span")} >= set(HOPS)
    received = [
        span
        for span in collected(traced, "span")
        if span["attributes"].get("grpc.path", "").endswith("/Export")
    ]
    assert received == []


def test_calls_of_grpc_are_counted_with_their_messages(traced: Lab) -> None:
    """What the sidecars send to the collector is gRPC, which the collector's sidecar tells of."""
    by = ("grpc_response_status", "response_code", "source_app")

    def calls(name: str) -> Counter[tuple[str, ...]]:
        return counted(traced, name, "collector", by, request_protocol="grpc", reporter="destination")

    def called() -> Counter[tuple[str, ...]]:
        # What a listener that was replaced has counted goes with it: there must be calls by the present one.
        ask_middle(traced, "counted", 1)
        found = calls("istio_requests_total")
        return found if {key[2] for key in found} >= {"front", "middle", "back"} else Counter()

    requests = until(called, "the collector was called")
    assert {key[:2] for key in requests} == {("0", "200")}
    assert calls("istio_request_messages_total") == calls("istio_response_messages_total")
    assert calls("istio_request_messages_total").total() >= 3


LOGS = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: logs, namespace: shop}
spec:
  selector: {matchLabels: {app: front}}
  accessLogging:
  - providers: [{name: lines}, {name: json}]
    filter: {expression: response.code >= 400}
"""


def test_access_logs_go_where_the_providers_say(lab: Lab) -> None:
    write(lab, "logs.yaml", LOGS)
    lab.request("front", "http://back/fine")
    lab.request("front", "http://back/lost?status=404")
    lab.request("middle", "http://back/others?status=404")
    until(lambda: collected(lab, "line"), "a line has come by OTLP")
    assert collected(lab, "line") == [{"body": "404", "attributes": {"path": "/lost?status=404"}}]
    lines = [line for line in lab.log("front-0.proxy").splitlines() if '"failed"' in line]
    (line,) = until(lambda: lines, "a line is in the proxy's log")
    assert json.loads(line[line.index("{") :]) == {"failed": "/lost?status=404", "status": 404}


TAGS = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: tags, namespace: shop}
spec:
  metrics:
  - overrides:
    - match: {metric: REQUEST_COUNT}
      tagOverrides:
        method: {value: request.method}
        request_host: {value: request.host}
        request_path: {value: request.path}
        source_version: {operation: REMOVE}
        destination_version: {operation: REMOVE}
    - match: {metric: REQUEST_SIZE}
      disabled: true
"""


def test_a_telemetry_changes_metrics(lab: Lab) -> None:
    """The last test of the file: labels are not what they were."""
    write(lab, "tags.yaml", TAGS)
    for workload in ("middle", "back-v1"):

        def tagged(workload: str = workload) -> list[dict[str, str]]:
            assert lab.request("middle", "http://back/tagged")[0] == 200
            found = (labels for name, labels, _ in samples(lab, workload) if name == "istio_requests_total")
            return [labels for labels in found if labels.get("method") == "GET"]

        (labels,) = until(tagged, f"{workload} has the Telemetry")
        assert labels.keys().isdisjoint({"source_version", "destination_version"})
        assert labels["request_host"] == "back"
        assert (labels["source_workload"], labels["destination_workload"]) == ("middle-0", "back-v1-0")
        assert (labels["source_app"], labels["destination_app"]) == ("middle", "back")
        assert labels["destination_service_name"] == "back"
        assert labels["destination_service"] == "back.shop.svc.cluster.local"
        assert labels["destination_service_namespace"] == "shop"

    # Whoever chooses the values of a label cannot fill Prometheus with them.
    sent = [lab.request("middle", f"http://back/{number}")[0] for number in range(2 * MOST_SERIES)]
    assert sent == [200] * len(sent)
    paths = counted(lab, "istio_requests_total", "middle", ("request_path",), method="GET")
    folded = counted(lab, "istio_requests_total", "middle", (), request_path="other").total()
    assert len(paths) <= MOST_SERIES
    assert paths.total() + folded >= len(sent)
    reported = {
        labels["metric"]: value
        for name, labels, value in samples(lab, "middle")
        if name == "mizzen_agent_folded_series"
    }
    assert reported["istio_requests_total"] >= MOST_SERIES
