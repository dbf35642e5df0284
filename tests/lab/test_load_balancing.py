"""What DestinationRules and resolutions do to real requests. One lab for all tests of this file; each writes the rule that
it needs and takes it back.

`web` calls; `stock` has an instance in each of three localities; `outside` has no sidecar.
"""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from mizzen.lab.definition import LabDefinition, Workload
from mizzen.lab.expectations import SPLIT_P_VALUE, split_p_value
from mizzen.lab.modes import Mode
from mizzen.lab.protocol import Response
from tests.support.lab import Lab, running_lab, until
from tests.support.lab_servers import SERVER
from tests.support.load import delivered, write
from tests.support.signed_files import signed_files

pytestmark = pytest.mark.lab

SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: stock, namespace: shop}
spec: {selector: {app: stock}, ports: [{name: http, port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: naked, namespace: shop}
spec:
  selector: {app: naked}
  ports:
  - {name: http, port: 80, targetPort: 8000}
  - {name: http-tls, port: 8443}
  - {name: http-mtls, port: 9443}
  - {name: http-proxy, port: 8500}
---
apiVersion: v1
kind: Service
metadata: {name: instances, namespace: shop}
spec: {clusterIP: None, selector: {app: stock}, ports: [{name: http, port: 8000}]}
"""
STOCK, NAKED = "http://stock/", "http://naked/"
LOCALITIES = {"near": "eu/west/rack-1", "region": "eu/east/rack-1", "far": "us/east/rack-1"}


def server(name: str, **fields: object) -> Workload:
    given = {"labels": {"app": name}, "env": {"PORTS": "8000=http"}, "ports": (8000,), **fields}
    return Workload(name=name, namespace="shop", command=("python", "-c", SERVER), **given)  # type: ignore[arg-type]  # fields by name


@pytest.fixture(scope="module")
def certificates() -> Iterator[Path]:
    """A folder that Envoy's user can read."""
    with tempfile.TemporaryDirectory(prefix="mizzen-certificates-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        signed_files(folder, server="naked.shop.svc.cluster.local", client="web.shop.svc.cluster.local")
        yield folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory, certificates) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("balancing")
    (folder / "services.yaml").write_text(SERVICES)
    ports = "8000=http 8443=tls 9443=mtls 8500=proxy"
    naked = server(
        "naked",
        sidecar=False,
        ports=(8000, 8443, 9443, 8500),
        env={"PORTS": ports, "CERTIFICATES": str(certificates)},
    )
    stocks = [
        server(f"stock-{name}", labels={"app": "stock"}, locality=locality)
        for name, locality in LOCALITIES.items()
    ]
    web = server("web", locality=LOCALITIES["near"])
    with running_lab(
        folder, definition=LabDefinition(name="balancing", workloads=(web, naked, *stocks))
    ) as started:
        if started.file.mode == Mode.LOOPBACK.value:
            pytest.skip(
                "could not run here: without network namespaces callers have no addresses of their own"
            )
        yield started


@contextmanager
def rule(lab: Lab, policy: str, host: str = "stock", more: str = "") -> Iterator[None]:
    """A DestinationRule with this traffic policy, for as long as it lasts."""
    text = f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {host}, namespace: shop}}
spec: {{host: {host}, trafficPolicy: {policy}}}
---
{more}"""
    with objects(lab, text):
        yield


@contextmanager
def objects(lab: Lab, text: str) -> Iterator[None]:
    write(lab, "rule.yaml", text)
    try:
        yield
    finally:
        before = lab.admin("/api/v1/status")["revision"]
        (lab.folder / "rule.yaml").unlink()
        until(lambda: delivered(lab, before), "the rule is taken back")


def answers(responses: Sequence[Response], field: str = "me") -> Counter[str]:
    assert {response.status for response in responses} == {200}, responses[0]
    return Counter(str(json.loads(response.body)[field]) for response in responses)


def stock(counts: Counter[str]) -> dict[str, int]:
    """By the names in LOCALITIES."""
    return {name: counts[f"stock-{name}-0"] for name in LOCALITIES}


def at_once(lab: Lab, url: str, count: int) -> list[Response]:
    """Requests that are in flight together."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: lab.requests("web", url, count=1)[0], range(count)))


# --- which endpoint ---------------------------------------------------------------------------------------------


def test_consistent_hashing_sends_one_user_to_one_endpoint(lab):
    with rule(lab, "{loadBalancer: {consistentHash: {httpHeaderName: x-user}}}"):
        for user in ("alice", "bob"):
            assert len(answers(lab.requests("web", STOCK, {"x-user": user}, count=20))) == 1
        users = (f"user-{number}" for number in range(40))
        found = [lab.requests("web", STOCK, {"x-user": user}, count=1)[0] for user in users]
        assert len(answers(found)) == len(LOCALITIES)


def test_a_cookie_is_made_and_keeps_its_caller_where_it_was(lab):
    cookie = "{name: session, ttl: 3600s, path: /, attributes: [{name: SameSite, value: Strict}]}"
    with rule(lab, f"{{loadBalancer: {{consistentHash: {{httpCookie: {cookie}}}}}}}"):
        first = lab.requests("web", STOCK, count=1)[0]
        made = dict(first.headers)["set-cookie"]
        assert made.startswith("session=")
        assert "Max-Age=3600" in made
        assert "SameSite=Strict" in made
        again = lab.requests("web", STOCK, {"cookie": made.partition(";")[0]}, count=20)
        assert answers(again).keys() == answers([first]).keys()


def test_localities_get_their_shares(lab):
    shares = "{eu/west/*: 70, eu/east/*: 20, us/*: 10}"
    setting = f"{{distribute: [{{from: eu/west/*, to: {shares}}}]}}"
    with rule(lab, f"{{loadBalancer: {{localityLbSetting: {setting}}}}}"):
        counts = stock(answers(lab.requests("web", STOCK, count=300)))
        assert split_p_value(counts, {"near": 70, "region": 20, "far": 10}, 300) >= SPLIT_P_VALUE, counts
        assert all(counts.values())


EJECTS = "outlierDetection: {consecutive5xxErrors: 2, interval: 1s, baseEjectionTime: 600s, maxEjectionPercent: 100}"


def test_the_nearest_endpoints_are_used_until_they_fail_and_then_the_next(lab):
    with rule(lab, f"{{{EJECTS}}}"):
        assert stock(answers(lab.requests("web", STOCK, count=30))) == {"near": 30, "region": 0, "far": 0}

        def ejected() -> bool:
            lab.requests("web", STOCK + "?fail=stock-near", count=3)
            return "stock-near-0" not in answers(lab.requests("web", STOCK, count=5))

        until(ejected, "the nearest endpoint is ejected")
        assert stock(answers(lab.requests("web", STOCK, count=30))) == {"near": 0, "region": 30, "far": 0}


def test_a_region_fails_over_to_the_one_that_the_rule_names(lab):
    prefer = "{failoverPriority: [topology.kubernetes.io/region=us]}"
    with rule(lab, f"{{loadBalancer: {{localityLbSetting: {prefer}}}, {EJECTS}}}"):
        assert stock(answers(lab.requests("web", STOCK, count=30))) == {"near": 0, "region": 0, "far": 30}


def test_an_endpoint_that_fails_is_ejected_by_other_statuses_too(lab):
    ejects = EJECTS.replace("{", "{outlierDetectionHttpErrorCodes: [418], ", 1)
    with rule(lab, f"{{loadBalancer: {{localityLbSetting: {{enabled: false}}}}, {ejects}}}"):
        assert all(stock(answers(lab.requests("web", STOCK, count=60))).values())

        def ejected() -> bool:
            lab.requests("web", STOCK + "?status=418", count=6)
            refused = lab.requests("web", STOCK, count=1)[0]
            return refused.status == 503 and b"no healthy upstream" in refused.body

        until(ejected, "every endpoint is ejected")


WARM_UP_SECONDS = 30


def test_a_newcomer_is_warmed_up(lab):
    warmup = f"{{duration: {WARM_UP_SECONDS}s, minimumPercent: 5}}"
    near = f"{{localityLbSetting: {{enabled: false}}, simple: ROUND_ROBIN, warmup: {warmup}}}"
    url = "http://late/"
    service = SERVICES.partition("---")[0].replace("stock", "late")
    with rule(lab, f"{{loadBalancer: {near}}}", host="late", more=service):
        lab.add(server("late-one", labels={"app": "late"}))
        until(lambda: lab.requests("web", url, count=1)[0].status == 200, "the first has arrived")
        # Nothing shows that the first is warm; beside one that is cold, too, the second would get its half at once.
        time.sleep(WARM_UP_SECONDS)
        lab.add(server("late-two", labels={"app": "late"}))

        def newcomer(count: int) -> int:
            return answers(lab.requests("web", url, count=count))["late-two-0"]

        until(lambda: newcomer(10) > 0, "the second has arrived")
        # The time counts from the moment at which its endpoint is known: a slow start has used some of it.
        assert newcomer(150) < 60
        until(lambda: 67 < newcomer(150) <= 90, "both are warm")
        for name in ("late-one", "late-two"):
            lab.remove(name)


# --- how many at once ---------------------------------------------------------------------------------------------


def test_what_is_too_much_is_refused_at_once(lab):
    limits = "{connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}}"
    with rule(lab, limits, host="naked"):
        found = at_once(lab, NAKED + "?seconds=2", 6)
        by_status = Counter(response.status for response in found)
        assert by_status.keys() == {200, 503}
        assert by_status[503] >= 3
        refused = next(response for response in found if response.status == 503)
        assert b"overflow" in refused.body
        assert dict(refused.headers)["x-envoy-overloaded"] == "true"
        assert refused.seconds < 2


def test_a_connection_carries_as_many_requests_as_the_rule_says(lab):
    many = answers(lab.requests("web", NAKED, count=20), "connection")
    assert len(many) < 20
    with rule(lab, "{connectionPool: {http: {maxRequestsPerConnection: 1}}}", host="naked"):
        each = answers(lab.requests("web", NAKED, count=20), "connection")
        assert set(each.values()) == {1}


RETRIES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: naked, namespace: shop}
spec:
  hosts: [naked]
  http: [{retries: {attempts: 3, retryOn: 5xx}, route: [{destination: {host: naked}}]}]
"""


def test_retries_have_a_budget(lab):
    url = NAKED + "?fail=naked&seconds=0.5&key={}"
    with objects(lab, RETRIES):
        at_once(lab, url.format("unlimited"), 8)
        assert times(lab, "unlimited") == 8 * 4
    with rule(lab, "{retryBudget: {percent: 0, minRetryConcurrency: 1}}", host="naked", more=RETRIES):
        at_once(lab, url.format("budget"), 8)
        assert 8 <= times(lab, "budget") <= 8 + 2 * 3


def times(lab: Lab, key: str) -> int:
    """How often the server was asked, without this question."""
    return json.loads(lab.request("web", NAKED + f"?key={key}")[2])["times"] - 1


# --- what is spoken -----------------------------------------------------------------------------------------------


def test_tls_is_begun_for_the_application(lab, certificates):
    tls = f"{{mode: SIMPLE, caCertificates: {certificates}/ca.pem}}"
    with rule(lab, f"{{portLevelSettings: [{{port: {{number: 8443}}, tls: {tls}}}]}}", host="naked"):
        seen = json.loads(lab.request("web", "http://naked.shop.svc.cluster.local:8443/")[2])
        assert seen["sni"] == "naked.shop.svc.cluster.local"
        # Nobody but the host that the request names may answer.
        status, _, body = lab.request("web", "http://naked:8443/")
        assert (status, b"remote connection failure" in body) == (503, True)


def test_a_server_outside_of_the_mesh_sees_the_callers_certificate(lab, certificates):
    files = f"clientCertificate: {certificates}/client.pem, privateKey: {certificates}/client.key"
    tls = f"{{mode: MUTUAL, caCertificates: {certificates}/ca.pem, {files}, sni: other.example.com}}"
    names = "subjectAltNames: [naked.shop.svc.cluster.local]"
    policy = f"{{portLevelSettings: [{{port: {{number: 9443}}, tls: {tls[:-1]}, {names}}}}}]}}"
    with rule(lab, policy, host="naked"):
        seen = json.loads(lab.request("web", "http://naked:9443/")[2])
        assert seen["sni"] == "other.example.com"
        assert ["DNS", "web.shop.svc.cluster.local"] in seen["certificate"]["subjectAltName"]


def test_a_server_is_told_who_calls_by_the_proxy_protocol(lab):
    with rule(lab, "{proxyProtocol: {version: V1}}", host="naked"):
        seen = json.loads(lab.request("web", "http://naked:8500/")[2])
        caller = next(one.address for one in lab.status().instances if one.name == "web-0")
        assert seen["preamble"].split()[:3] == ["PROXY", "TCP4", caller]


# --- where endpoints come from --------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", ["DNS", "DNS_ROUND_ROBIN"])
@pytest.mark.parametrize("address", ["naked", "naked.shop.svc.cluster.local"])
def test_the_proxy_resolves_the_endpoints_of_a_service(lab, resolution, address):
    entry = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: outside, namespace: shop}}
spec:
  hosts: [outside.example.com]
  resolution: {resolution}
  ports: [{{name: http, number: 8080, protocol: HTTP, targetPort: 80}}]
  endpoints: [{{address: {address}}}]
"""
    with objects(lab, entry):
        found = until(
            lambda: [
                one
                for one in lab.requests("web", "http://outside.example.com:8080/", count=1)
                if one.status == 200
            ],
            "the name is resolved",
        )
        seen = json.loads(found[0].body)
        assert (seen["me"], seen["host"]) == ("naked-0", "outside.example.com:8080")


def test_the_name_in_a_request_is_resolved_for_a_wildcard(lab):
    entry = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild, namespace: shop}
spec:
  hosts: ["*.instances.shop.svc.cluster.local"]
  resolution: DYNAMIC_DNS
  ports: [{name: http, number: 8000, protocol: HTTP}]
"""
    with objects(lab, entry):
        url = "http://stock-far-0.instances.shop.svc.cluster.local:8000/"
        assert answers(lab.requests("web", url, count=5)) == {"stock-far-0": 5}
