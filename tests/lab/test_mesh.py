"""The mesh of samples/bookinfo, end to end: real requests through real Envoys, and what becomes of them when things
change, break and die. One lab for all tests of this file; each leaves it as it was.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from mizzen.lab.definition import LabDefinition
from mizzen.lab.expectations import SPLIT_P_VALUE, split_p_value
from mizzen.lab.reading import FILE, read_definition
from tests.support.lab import BOOKINFO, Lab, running_lab, until
from tests.support.load import Load, delivered, write

pytestmark = pytest.mark.lab

CERTIFICATE_SECONDS = 45
REVIEWS = "http://reviews:9080/reviews/0"
DETAILS = "http://details:9080/details/0"
RATINGS = "http://ratings:9080/ratings/0"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_lab(
        BOOKINFO, definition=_definition(), agent_options=("--cert-ttl", str(CERTIFICATE_SECONDS))
    ) as started:
        yield started


def _definition() -> LabDefinition:
    """Two instances of details, so that one can be drained; no callers but ours."""
    sample = read_definition(BOOKINFO / FILE)
    workloads = tuple(
        msgspec.structs.replace(workload, replicas=2) if workload.name == "details-v1" else workload
        for workload in sample.workloads
    )
    return msgspec.structs.replace(sample, workloads=workloads, traffic=())


def versions(lab: Lab, count: int, **headers: str) -> Counter[str]:
    found = lab.requests("productpage-v1", REVIEWS, headers, count=count)
    return Counter(json.loads(response.body)["version"] for response in found)


@contextmanager
def extra_file(lab: Lab, name: str, text: str) -> Iterator[None]:
    write(lab, name, text)
    try:
        yield
    finally:
        before = lab.admin("/api/v1/status")["revision"]
        (lab.folder / name).unlink()
        until(lambda: delivered(lab, before), f"{name} is taken back")


def pid_of_envoy(lab: Lab, instance: str) -> int:
    return int(agent_status(lab, instance)["envoy"]["pid"] or 0)


def agent_status(lab: Lab, instance: str) -> dict:
    _, _, body = lab.request(instance, f"http://{lab.address(instance)}:15020/status")
    return json.loads(body)


def test_the_page_is_reached_from_the_host(lab: Lab) -> None:
    status, _, body = lab.ingress("/productpage")
    assert (status, b"<html" in body) == (200, True)


def test_reviews_are_split_by_weight(lab: Lab) -> None:
    counts = versions(lab, 300)
    assert split_p_value(counts, {"v1": 80, "v2": 10, "v3": 10}, 300) >= SPLIT_P_VALUE, counts
    assert set(counts) == {"v1", "v2", "v3"}


def test_a_header_sends_one_user_to_one_version(lab: Lab) -> None:
    assert set(versions(lab, 20, **{"end-user": "jason"})) == {"v2"}


def test_failures_are_retried_as_often_as_the_route_says(lab: Lab) -> None:
    url = "http://ratings:9080/flaky?key={}&fail={}"
    assert lab.request("reviews-v2", url.format("three", 3))[0] == 200
    assert lab.request("reviews-v2", url.format("four", 4))[0] == 503


def test_a_route_times_out(lab: Lab) -> None:
    status, _, body = lab.request("reviews-v2", "http://ratings:9080/slow?seconds=20")
    assert (status, body) == (504, b"upstream request timeout")


def test_faults_are_injected_for_those_who_ask(lab: Lab) -> None:
    status, _, body = lab.request("reviews-v2", RATINGS, {"x-chaos": "abort"})
    assert (status, body) == (500, b"fault filter abort")
    delayed = lab.requests("reviews-v2", RATINGS, {"x-chaos": "delay"}, count=1)[0]
    assert delayed.status == 200
    assert delayed.seconds >= 1


def test_a_policy_lets_one_caller_in_and_refuses_the_others(lab: Lab) -> None:
    assert lab.request("productpage-v1", REVIEWS)[0] == 200
    status, _, body = lab.request("details-v1", REVIEWS)
    assert (status, body) == (403, b"RBAC: access denied")


def test_the_daemon_names_the_policy_that_refused(lab: Lab) -> None:
    def denial() -> dict | None:
        lab.request("ratings-v1", REVIEWS)
        denials = lab.admin("/api/v1/traffic")["denials"]
        return next(
            (found for found in denials if found["sourcePrincipal"].endswith("bookinfo-ratings")), None
        )

    found = until(denial, "the denial is reported")
    assert found["destination"].startswith("bookinfo/reviews-v")
    assert "bookinfo/reviews-viewer" in found["policy"]


def test_strict_refuses_plaintext(lab: Lab) -> None:
    """From beside the mesh, to a declared port and to one that no service declares."""
    for instance in ("reviews-v1-0", "ratings-v1-0"):
        for port in (9080, 9999):
            status, _, _ = lab.request("outside", f"http://{lab.address(instance)}:{port}/")
            assert status == 0


def test_the_application_sees_its_callers_identity(lab: Lab) -> None:
    _, _, body = lab.request("productpage-v1", "http://details:9080/whoami")
    certificate = json.loads(body)["headers"]["x-forwarded-client-cert"]
    assert "URI=spiffe://cluster.local/ns/bookinfo/sa/bookinfo-productpage" in certificate
    assert "By=spiffe://cluster.local/ns/bookinfo/sa/bookinfo-details" in certificate


def test_a_caller_cannot_forge_an_identity(lab: Lab) -> None:
    forged = {"x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/bookinfo/sa/forged"}
    _, _, body = lab.request("productpage-v1", "http://details:9080/whoami", forged)
    assert "forged" not in json.loads(body)["headers"]["x-forwarded-client-cert"]


def test_an_edited_file_is_in_force(lab: Lab) -> None:
    routes = (lab.folder / "routes.yaml").read_text()
    write(lab, "routes.yaml", routes.replace("weight: 80", "weight: 0").replace("weight: 10", "weight: 50"))
    try:
        assert set(versions(lab, 40)) == {"v2", "v3"}
    finally:
        write(lab, "routes.yaml", routes)
    assert "v1" in versions(lab, 40)


def test_a_broken_file_disturbs_nothing(lab: Lab) -> None:
    routes = (lab.folder / "routes.yaml").read_text()
    (lab.folder / "routes.yaml").write_text(
        "apiVersion: [\n" + routes.replace("weight: 80", "weight: eighty")
    )

    def reported() -> list[dict]:
        return [
            found for found in lab.admin("/api/v1/diagnostics")["diagnostics"] if found["severity"] == "error"
        ]

    try:
        found = until(reported, "the mistake is reported")
        assert any("routes.yaml:" in one["location"] for one in found), found
        assert "v1" in versions(lab, 40)
        assert set(versions(lab, 5, **{"end-user": "jason"})) == {"v2"}
        with extra_file(lab, "other.yaml", ANSWER.format(name="other", body="hello")):
            assert lab.request("productpage-v1", DETAILS, {"Host": "other.local"})[2] == b"hello"
    finally:
        (lab.folder / "routes.yaml").write_text(routes)
        until(lambda: not reported(), lambda: f"the mistake is gone: {reported()}")


ANSWER = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: bookinfo}}
spec: {{hosts: [{name}.local], resolution: STATIC, ports: [{{name: http, number: 9080, protocol: HTTP}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: bookinfo}}
spec:
  hosts: [{name}.local]
  http: [{{directResponse: {{status: 200, body: {{string: {body}}}}}}}]
"""

UNREADABLE_CA = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ratings, namespace: bookinfo}
spec:
  host: ratings
  trafficPolicy:
    tls: {mode: SIMPLE, caCertificates: /nowhere/ca.pem}
"""

REFUSED = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: no-time, namespace: bookinfo}
spec:
  configPatches:
  - applyTo: CLUSTER
    match: {cluster: {name: outbound|9080||ratings.bookinfo.svc.cluster.local}}
    patch: {operation: MERGE, value: {connect_timeout: 0s}}
"""


def test_a_file_that_no_proxy_can_read_is_told_with_the_rule_that_names_it(lab: Lab) -> None:
    """No validation can know whether a file exists on a proxy's host: Envoy refuses the secret."""
    with extra_file(lab, "unreadable.yaml", UNREADABLE_CA):
        found = until(lambda: lab.admin("/api/v1/status")["rejections"], "the rejection is reported")
        assert {one["resource"] for one in found} == {"file-root:/nowhere/ca.pem"}
        assert all("/nowhere/ca.pem" in one["error"] for one in found)
        assert any("unreadable.yaml:8:5" in origin for one in found for origin in one["origins"]), found
        assert lab.request("productpage-v1", DETAILS)[0] == 200
    until(lambda: not lab.admin("/api/v1/status")["rejections"], "the rejection is gone")
    assert lab.request("reviews-v2", RATINGS)[0] == 200


def test_a_nack_is_isolated_and_explained_while_other_changes_go_on(lab: Lab) -> None:
    """What an EnvoyFilter makes of Envoy's configuration, only Envoy can judge."""
    with extra_file(lab, "refused.yaml", REFUSED):
        found = until(lambda: lab.admin("/api/v1/status")["rejections"], "the rejection is reported")
        assert {one["resource"] for one in found} == {"outbound|9080||ratings.bookinfo.svc.cluster.local"}
        assert all("ConnectTimeout" in one["error"] for one in found), found
        assert any("refused.yaml:" in origin for one in found for origin in one["origins"]), found
        # The last good cluster stays in force, and what comes after is delivered.
        assert lab.request("reviews-v2", RATINGS)[0] == 200
        with extra_file(lab, "other.yaml", ANSWER.format(name="other", body="hello")):
            assert lab.request("productpage-v1", DETAILS, {"Host": "other.local"})[2] == b"hello"
    until(lambda: not lab.admin("/api/v1/status")["rejections"], "the rejection is gone")


def test_certificates_rotate_under_load(lab: Lab) -> None:
    def issued() -> dict[str, int]:
        return {
            one.name: agent_status(lab, one.name)["certificate"]["issued"]
            for one in lab.status().instances
            if one.workload in {"productpage-v1", "details-v1"}
        }

    before = issued()
    with Load(lab, "productpage-v1", DETAILS).running() as load:
        until(
            lambda: all(now > before[name] for name, now in issued().items()),
            "both sides have new certificates",
            CERTIFICATE_SECONDS * 2,
        )
    assert load.failures == {}
    assert len(load.responses) > 20


def test_the_daemon_dies_and_comes_back_under_load(lab: Lab) -> None:
    old = lab.status().daemon.pid
    with Load(lab, "productpage-v1", DETAILS).running() as load:
        lab.signal("daemon")
        until(lambda: lab.status().daemon.pid not in {0, old}, "the daemon is started again")
        until(lambda: not behind(lab), lambda: f"every proxy is back, but {behind(lab)}")
        with extra_file(lab, "other.yaml", ANSWER.format(name="again", body="back")):
            assert lab.request("productpage-v1", DETAILS, {"Host": "again.local"})[2] == b"back"
    assert load.failures == {}


def behind(lab: Lab) -> list[str]:
    """The proxies that have not everything, with what they lack."""
    try:
        workloads = lab.admin("/api/v1/workloads")["workloads"]
    except OSError as error:
        return [f"the daemon: {error}"]
    return [
        f"{one['name']}: {one['sync'] if one['connected'] else 'not connected'}"
        for one in workloads
        if not one["connected"] or any(state["state"] != "synced" for state in one["sync"])
    ]


def test_a_killed_envoy_comes_back(lab: Lab) -> None:
    old = pid_of_envoy(lab, "ratings-v1-0")
    lab.signal("envoy", "ratings-v1")
    until(lambda: pid_of_envoy(lab, "ratings-v1-0") not in {0, old}, "Envoy is started again")
    until(lambda: lab.request("reviews-v2", RATINGS)[0] == 200, "ratings answers again")


def test_a_server_is_drained_under_load(lab: Lab) -> None:
    """Its agent is told to end: the endpoint goes, what is in flight finishes, nobody sees a failure."""
    with Load(lab, "productpage-v1", DETAILS).running() as load:
        lab.signal("agent", "details-v1-1", "SIGTERM")
        until(lambda: health_of(lab, "details-v1-1") == "draining", "the daemon knows that it drains")
        until(lambda: health_of(lab, "details-v1-1") == "", "it is back")
    assert load.failures == {}


def health_of(lab: Lab, instance: str) -> str:
    workloads = lab.admin("/api/v1/workloads")["workloads"]
    return next(one["healthReason"] for one in workloads if one["name"] == f"bookinfo/{instance}")
