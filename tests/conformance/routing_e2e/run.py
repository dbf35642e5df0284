"""Runs the set `routing-e2e`: each case's configuration in force in a lab, its request sent by a workload's own application,
what comes back checked.

Cases are grouped by configuration, and those of one configuration run at a time, except that the steps of a test go one after
the other. As in Istio, a case is tried until it passes, for a while: delivery is awaited, but what Envoy does with what it has
been sent (DNS, warming, connections that drain) is not told to anybody.
"""

import asyncio
import itertools
import json
import re
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.conformance.outcome import Outcome, Reason, SetResult, Status
from tests.conformance.routing_e2e.checks import Responses, objections
from tests.conformance.routing_e2e.credentials import pem, secret
from tests.conformance.routing_e2e.echo.wire import Call, Count, CountQuestion, DnsQuestion, Results, Tls
from tests.conformance.routing_e2e.failing import FAILING
from tests.conformance.routing_e2e.mesh import Mesh, running_mesh
from tests.conformance.routing_e2e.topology import CLIENT, Place

Json = Any

NOT_ASKED = frozenset(
    {
        "gateway-api",
        "kubernetes-ingress",
    }
)
"""Whole groups of which no issue has asked anything yet."""

MINIMUM_TOGETHER = 0.95
_ENVIRONMENTS = ("pilot", "security")
_TRY_SECONDS = 6.0  # for how long a case is tried
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)  # between the first tries; then the last of them again and again
_AT_ONCE = 8
_USUAL_COUNT = 5
_PLACEHOLDER = re.compile(r"\$\{([a-z_]+)(?::([^}]*))?\}")


def run(folder: Path, groups: Collection[str] = ()) -> SetResult:
    """`groups`: only these; none: all of which something was asked."""
    found = {
        path.stem: json.loads(path.read_text())["cases"] for path in sorted((folder / "cases").glob("*.json"))
    }
    wanted = {
        group: cases
        for group, cases in found.items()
        if group not in NOT_ASKED and (not groups or group in groups)
    }
    cases = [case for group in wanted.values() for case in group]
    document = json.loads((folder / "topology.json").read_text())
    outcomes = [_switched_off(case) for case in cases if case["tier"] == "istio-skips"]
    for environment in _ENVIRONMENTS:
        of_it = [
            case for case in cases if case["environment"] == environment and case["tier"] != "istio-skips"
        ]
        if of_it:
            keys = (folder / "jwks.json").read_text()
            with running_mesh(document, environment, of_it, keys) as mesh:
                mesh.tokens = json.loads((folder / "jwt-tokens.json").read_text())
                outcomes += asyncio.run(_run_all(mesh, of_it))
    return SetResult(
        "routing-e2e",
        outcomes,
        {case: why for case, why in FAILING.items() if not groups or case.partition("/")[0] in groups},
        not_asked={group: len(found[group]) for group in sorted(NOT_ASKED & found.keys()) if not groups},
        minimum_together=MINIMUM_TOGETHER,
    )


def _switched_off(case: Json) -> Outcome:
    return Outcome(case["id"], case["group"], Status.SKIPPED, Reason.OFF_IN_ISTIO.value, counts=False)


async def _run_all(mesh: Mesh, cases: Sequence[Json]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for batch in batches(cases):
        outcomes += await _run_batch(mesh, batch)
    return outcomes


def batches(cases: Sequence[Json]) -> Iterator[list[Json]]:
    """Cases that have the same configuration. Those of a test with steps stay in their order, apart from others."""
    plain = [case for case in cases if "step" not in case]
    by_config: dict[str, list[Json]] = {}
    for case in plain:
        by_config.setdefault(_config_key(case), []).append(case)
    yield from by_config.values()
    stepped = sorted(
        (case for case in cases if "step" in case), key=lambda case: (_test_of(case), case["step"])
    )
    for _, same in itertools.groupby(stepped, lambda case: (_test_of(case), case["step"], _config_key(case))):
        yield list(same)


def _config_key(case: Json) -> str:
    return json.dumps([case["config"], case.get("setup"), case.get("mesh_config")], sort_keys=True)


def _test_of(case: Json) -> str:
    return "/".join(case["id"].split("/")[:3])


async def _run_batch(mesh: Mesh, cases: Sequence[Json]) -> list[Outcome]:
    try:
        said = await mesh.apply(
            [
                mesh.topology.mesh_config(cases[0]),
                *(_object(mesh, one) for one in cases[0]["config"]),
                *mesh.topology.setup_objects(cases[0]),
            ]
        )
    except (OSError, KeyError, StopIteration) as error:
        said = [f"the configuration could not be applied: {error!r}"]
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(case: Json) -> Outcome:
        async with places:
            wrong = await _try(mesh, case)
        why = "; ".join(dict.fromkeys([*wrong, *(f"the mesh says: {text}" for text in said[:3])]))
        return Outcome(
            case["id"], case["group"], Status.FAILED if wrong else Status.PASSED, why if wrong else ""
        )

    return list(await asyncio.gather(*(one(case) for case in cases)))


async def _try(mesh: Mesh, case: Json) -> list[str]:
    """What is wrong at the last try; nothing where a try went well."""
    deadline = time.monotonic() + _TRY_SECONDS
    for pause in itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1])):
        try:
            wrong = list(objections(_filled(mesh, case, case["checks"]), await _responses(mesh, case)))
        except (OSError, KeyError, StopIteration) as error:
            wrong = [f"the runner failed: {error!r}"]
        if not wrong or time.monotonic() > deadline:
            return wrong
        await asyncio.sleep(pause)
    raise AssertionError("the pauses never end")


async def _responses(mesh: Mesh, case: Json) -> Responses:
    unique = uuid.uuid4().hex
    request = _filled(mesh, case, case["request"], unique)
    source = mesh.topology.place_of(_source(request), case)
    results = (await mesh.tell(source, _call(mesh, request), Results)).results
    received = {}
    for check in case["checks"]:
        for side in ("primary", "mirror") if "mirrored_percent" in check else ():
            service = check["mirrored_percent"][side]
            place = mesh.topology.place_of(service, case)
            received[service] = (await mesh.tell(place, CountQuestion(unique), Count)).count
    return Responses(request["scheme"], results, received)


def _source(request: Json) -> str:
    source = request["from"]
    return f"{source['namespace']}/{source['workload']}" if "workload" in source else CLIENT


def _call(mesh: Mesh, request: Json) -> Call:
    port_name = request.get("port_name")
    port = next((one for one in mesh.topology.document["ports"] if one["name"] == port_name), {})
    tls = request.get("tls", {})
    return Call(
        scheme=request["scheme"],
        address=request.get("address", ""),
        port=request.get("port", 0),
        host=request.get("host") or "",
        path=request.get("path", "/"),
        method=request.get("method", "GET"),
        headers=request.get("headers", {}),
        http2=request.get("http2", False),
        count=request.get("count", _USUAL_COUNT),
        timeout_seconds=request.get("timeout_ms", 5000) / 1000,
        message=request.get("message", ""),
        server_first=port.get("server_first", False),
        tls=Tls(
            ca="" if tls.get("insecure_skip_verify") else pem(tls.get("ca", "")),
            certificate=pem(tls.get("client_cert", "")),
            key=pem(tls.get("client_key", "")),
            sni=tls.get("sni", ""),
            alpn=tuple(tls.get("alpn", ())),
            minimum=tls.get("min_version", ""),
        ),
        proxy_protocol=int(request.get("proxy_protocol_version", 0)),
        follow_redirects=request.get("follow_redirects", False),
        cookies=tuple(request.get("propagate_cookies", ())),
        dns=DnsQuestion(**request["dns"]) if "dns" in request else None,
    )


def _object(mesh: Mesh, described: Json) -> Json:
    if "x-credential" in described:
        return secret(described)
    return _filled(mesh, {}, described)


def _filled(mesh: Mesh, case: Json, value: Json, unique: str = "") -> Json:
    """With every placeholder replaced."""

    def replaced(match: re.Match[str]) -> str:
        kind, what = match.groups()
        match kind:
            case "pod_ip":
                return mesh.pod_address(_place(mesh, what))
            case "service_ip":
                return mesh.service_address(what)
            case "gateway":
                return mesh.service_address(_gateway(what))
            case "request_hostname":
                return str(case["request"]["host"])
            case "unique_id":
                return unique
            case "jwt":
                return str(mesh.tokens[what]["token"])
            case "jwt_payload":  # as a proxy hands it on
                return str(mesh.tokens[what]["token"].split(".")[1])
        raise KeyError(match.group())

    return json.loads(_PLACEHOLDER.sub(replaced, json.dumps(value)))


def _place(mesh: Mesh, service: str) -> Place:
    return next(place for place in mesh.topology.places() if place.service == service)


def _gateway(what: str) -> str:
    """ "istio-ingressgateway.istio-system", or "custom gateway"."""
    name, _, namespace = what.partition(".")
    return f"{namespace or 'istio-system'}/{name.replace(' ', '-')}"
