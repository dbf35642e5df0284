"""Hypothesis strategies for a small mesh whose objects come, go and change: names are few, so that objects meet."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import hypothesis.strategies as st

from mizzen.config.decode import decode
from mizzen.config.resource import Resource, ResourceKey
from mizzen.derive.inputs import RESOURCES, UNHEALTHY
from mizzen.incremental import Database
from mizzen.incremental.definitions import Input
from tests.support.edge_secrets import roots, secret, tls_secret

Json = Mapping[str, Any]

ROOT = "istio-system"
NAMESPACES = ("shop", "bank")
APPS = ("a", "b")

namespaces = st.sampled_from(NAMESPACES)
owners = st.sampled_from((*NAMESPACES, ROOT))
apps = st.sampled_from(APPS)
versions = st.sampled_from(("v1", "v2"))
export_to = st.sampled_from((None, ["."], ["*"], ["bank"]))
export_to_nobody = export_to | st.just(["~"])  # of services only
created = st.sampled_from((None, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"))
hosts = st.sampled_from(
    (
        "a",
        "b",
        "a.shop.svc.cluster.local",
        "b.bank.svc.cluster.local",
        "*.bank.svc.cluster.local",
        "e.example.com",
    )
)
addresses = st.sampled_from((None, ["10.3.0.0/16"], ["10.3.0.9/16", "10.1.1.1/32"]))
gateways = st.sampled_from((None, ["mesh"], ["edge"], ["shop/edge", "mesh"]))
selectors = st.none() | apps.map(lambda app: {"app": app})


class Change(NamedTuple):
    """One entry of one input becomes `value`; None removes it."""

    source: Input[ResourceKey, Any]
    key: ResourceKey
    value: Any

    def apply(self, db: Database) -> None:
        db.set(self.source, self.key, self.value)


def _given(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _parsed(group: str, kind: str, metadata: Json, spec: Json | None = None, **members: Any) -> Resource[Any]:
    """Through the same door as everybody's YAML: what it refuses, a daemon would never see."""
    api_version = f"{group}/v1" if group else "v1"
    if kind == "MeshConfig":
        api_version = "mesh.istio.io/v1alpha1"
    head = _given(apiVersion=api_version, kind=kind, metadata=metadata, spec=spec)
    text = json.dumps({**head, **members})
    decoded = decode(text, "generated.yaml")
    errors = [found for found in decoded.diagnostics if found.severity.value == "error"]
    assert not errors, (errors, text)
    (located,) = decoded.located
    return located.resource


@st.composite
def _kubernetes_services(draw: st.DrawFn) -> Resource[Any]:
    port = st.sampled_from(
        (
            {"name": "http", "port": 80, "targetPort": 8080},
            {"name": "http", "port": 80, "targetPort": "web"},
            {"name": "tcp", "port": 90},
            {"name": "grpc-api", "port": 90},
            {"name": "https", "port": 443},
            {"name": "any", "port": 90},
            {"name": "mysql", "port": 443},
        )
    )
    ports = draw(st.lists(port, min_size=1, max_size=2, unique_by=(lambda p: p["port"], lambda p: p["name"])))
    exported = draw(export_to_nobody)
    metadata = _given(
        name=draw(apps),
        namespace=draw(namespaces),
        annotations=exported and {"networking.istio.io/exportTo": ",".join(exported)},
    )
    external: Json = {
        "type": "ExternalName",
        "externalName": draw(st.sampled_from(("e.example.com", "a.shop.svc.cluster.local"))),
    }
    own = _given(
        selector=draw(selectors),
        clusterIP=draw(st.sampled_from((None, "10.1.1.1", "10.1.1.2", "None", "fd00:1::1"))),
        ipFamilyPolicy=draw(st.sampled_from((None, "PreferDualStack"))),
    )
    rest = draw(st.sampled_from((own, own, own, external)))
    return _parsed("", "Service", metadata, {"ports": ports, **rest})


@st.composite
def _service_entries(draw: st.DrawFn) -> Resource[Any]:
    resolution = draw(st.sampled_from(("STATIC", "DNS", "NONE")))
    port = draw(st.sampled_from((("http", 80, "HTTP"), ("tcp", 90, "TCP"), ("tls", 443, "TLS"))))
    inline = [{"address": "e.test" if resolution == "DNS" else "10.2.2.2", "labels": {"version": "v1"}}]
    endpoints: Json = draw(
        st.sampled_from(({}, {"endpoints": inline}, {"workloadSelector": {"labels": {"app": "a"}}}))
    )
    spec = _given(
        hosts=[draw(st.sampled_from(("e.example.com", "a.shop.svc.cluster.local")))],
        addresses=None if resolution == "DNS" else draw(addresses),
        ports=[dict(zip(("name", "number", "protocol"), port, strict=True))],
        resolution=resolution,
        location=draw(st.sampled_from(("MESH_INTERNAL", "MESH_EXTERNAL"))),
        exportTo=draw(export_to_nobody),
        **({} if resolution == "NONE" else endpoints),
    )
    return _parsed("networking.istio.io", "ServiceEntry", {"name": "e", "namespace": draw(namespaces)}, spec)


@st.composite
def _workload_entries(draw: st.DrawFn) -> Resource[Any]:
    sidecar = {"security.istio.io/tlsMode": "istio"} if draw(st.booleans()) else {}
    spec = _given(
        address=draw(st.sampled_from(("10.0.0.1", "10.0.0.2"))),
        labels={"app": draw(apps), "version": draw(versions), **sidecar},
        serviceAccount=draw(st.sampled_from((None, "front", "back"))),
        weight=draw(st.sampled_from((None, 3))),
        locality=draw(st.sampled_from((None, "eu/one", "eu/two", "us/one"))),
        ports=draw(st.sampled_from((None, {"web": 8081}))),
    )
    metadata = {"name": draw(st.sampled_from(("w-0", "w-1", "w-2"))), "namespace": draw(namespaces)}
    return _parsed("networking.istio.io", "WorkloadEntry", metadata, spec)


pod_names = st.sampled_from(("w-0", "p-1"))


@st.composite
def _pods(draw: st.DrawFn) -> Resource[Any]:
    sidecar = {"security.istio.io/tlsMode": "istio"} if draw(st.booleans()) else {}
    addresses = draw(st.sampled_from(((), ("10.0.0.1",), ("10.0.0.3", "fd00::3"), ("fd00::4",))))
    status = {
        "phase": draw(st.sampled_from(("Running", "Succeeded"))),
        "podIPs": [{"ip": address} for address in addresses],
        "conditions": [{"type": "Ready", "status": draw(st.sampled_from(("True", "False")))}],
    }
    spec = _given(
        serviceAccountName=draw(st.sampled_from((None, "front"))),
        nodeName=draw(st.sampled_from((None, "n-1"))),
        containers=[{"name": "c", "ports": [{"name": "web", "containerPort": 8082}]}],
    )
    metadata = {
        "name": draw(pod_names),
        "namespace": draw(namespaces),
        "labels": {"app": draw(apps), "version": draw(versions), **sidecar},
    }
    return _parsed("", "Pod", metadata, spec, status=status)


@st.composite
def _endpoint_slices(draw: st.DrawFn) -> Resource[Any]:
    address = draw(st.sampled_from(("10.0.0.3", "fd00::3", "10.0.0.7")))
    endpoint = st.builds(
        lambda ready, pod: _given(
            addresses=[address],
            conditions={"ready": ready},
            targetRef=pod and {"kind": "Pod", "name": pod},
            nodeName="n-1",
        ),
        st.booleans(),
        st.none() | pod_names,
    )
    metadata = {
        "name": draw(st.sampled_from(("e-4", "e-6"))),
        "namespace": draw(namespaces),
        "labels": {"kubernetes.io/service-name": draw(apps)},
    }
    return _parsed(
        "discovery.k8s.io",
        "EndpointSlice",
        metadata,
        addressType="IPv6" if ":" in address else "IPv4",
        endpoints=draw(st.lists(endpoint, max_size=2)),
        ports=[{"name": "http", "port": 8080}, {"name": "tcp", "port": 9090}],
    )


@st.composite
def _places(draw: st.DrawFn) -> Resource[Any]:
    """Nodes and namespaces."""
    zone = {"topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": draw(versions)}
    node = _parsed("", "Node", {"name": "n-1", "labels": zone}, {})
    labels = _given(
        **{"topology.istio.io/network": draw(versions), "seen": draw(st.sampled_from((None, "1")))}
    )
    return draw(
        st.sampled_from((node, _parsed("", "Namespace", {"name": draw(owners), "labels": labels}, {})))
    )


@st.composite
def _virtual_services(draw: st.DrawFn) -> Resource[Any]:
    destination = st.builds(
        lambda host, subset: {"destination": _given(host=host, subset=subset), "weight": 50},
        apps,
        st.none() | versions,
    )
    match = st.fixed_dictionaries(
        {},
        optional={
            "uri": st.sampled_from(({"prefix": "/"}, {"exact": "/x"}, {"regex": "/y.*"})),
            "headers": st.just({"end-user": {"exact": "jason"}}),
            "sourceLabels": st.sampled_from(({"app": "a"}, {"version": "v2"})),
            "sourceNamespace": namespaces,
            "port": st.sampled_from((80, 90)),
            "gateways": st.just(["mesh"]),
        },
    )
    http = st.fixed_dictionaries(
        {"route": st.lists(destination, min_size=1, max_size=2)},
        optional={
            "match": st.lists(match, max_size=2),
            "timeout": st.just("3s"),
            "retries": st.just({"attempts": 1}),
            "fault": st.just({"abort": {"httpStatus": 418}}),
        },
    )
    delegating = st.builds(
        lambda name, namespace, found: _given(delegate={"name": name, "namespace": namespace}, match=found),
        st.sampled_from(("r1", "r3")),
        namespaces,
        st.none() | st.lists(match, max_size=2),
    )
    subnets = st.sampled_from((["10.1.1.1"], ["10.1.0.0/16", "10.1.1.1/16"]))
    layer4 = st.fixed_dictionaries(
        {},
        optional={
            "destinationSubnets": subnets,
            "sourceSubnet": st.just("10.0.0.0/8"),
            "sourceLabels": st.just({"app": "a"}),
            "port": st.sampled_from((90, 443)),
        },
    )
    destinations = st.lists(destination, min_size=1, max_size=2)
    tcp = st.fixed_dictionaries({"route": destinations}, optional={"match": st.lists(layer4, max_size=2)})
    covered = draw(hosts)
    server_names = st.lists(st.sampled_from((covered, covered.replace("*", "x"))), min_size=1, max_size=2)
    named = st.fixed_dictionaries({"sniHosts": server_names}, optional={"destinationSubnets": subnets})
    tls = st.fixed_dictionaries({"route": destinations, "match": st.lists(named, min_size=1, max_size=2)})
    spec = _given(
        hosts=[covered],
        gateways=draw(gateways),
        exportTo=draw(export_to),
        **draw(
            st.fixed_dictionaries(
                {"http": st.lists(http | delegating, min_size=1, max_size=2)},
                optional={"tcp": st.lists(tcp, max_size=1), "tls": st.lists(tls, max_size=2)},
            )
            | st.fixed_dictionaries({"tcp": st.lists(tcp, min_size=1, max_size=1)})
        ),
    )
    metadata = _given(
        name=draw(st.sampled_from(("r1", "r2"))), namespace=draw(namespaces), creationTimestamp=draw(created)
    )
    return _parsed("networking.istio.io", "VirtualService", metadata, spec)


@st.composite
def _delegates(draw: st.DrawFn) -> Resource[Any]:
    match = st.fixed_dictionaries(
        {},
        optional={
            "uri": st.sampled_from(({"prefix": "/"}, {"exact": "/x"})),
            "headers": st.just({"end-user": {"prefix": "j"}}),
        },
    )
    http = st.fixed_dictionaries(
        {"route": st.just([{"destination": {"host": "b"}}])}, optional={"match": st.lists(match, max_size=2)}
    )
    spec = _given(http=draw(st.lists(http, min_size=1, max_size=2)), exportTo=draw(export_to))
    metadata = {"name": "r3", "namespace": draw(namespaces)}
    return _parsed("networking.istio.io", "VirtualService", metadata, spec)


@st.composite
def _destination_rules(draw: st.DrawFn) -> Resource[Any]:
    policy = st.sampled_from(
        (
            None,
            {"tls": {"mode": "DISABLE"}},
            {"tls": {"mode": "ISTIO_MUTUAL"}},
            {"loadBalancer": {"consistentHash": {"httpHeaderName": "x"}}},
            {"portLevelSettings": [{"port": {"number": 80}, "loadBalancer": {"simple": "RANDOM"}}]},
            {"outlierDetection": {"consecutive5xxErrors": 3}},
            {"loadBalancer": {"localityLbSetting": {"distribute": [{"from": "eu/*", "to": {"eu/*": 100}}]}}},
            {
                "loadBalancer": {"localityLbSetting": {"failoverPriority": ["version"]}},
                "outlierDetection": {"interval": "1s"},
            },
            {"loadBalancer": {"zoneAwareLbSetting": {"enabled": True}}, "proxyProtocol": {"version": "V2"}},
            {"connectionPool": {"tcp": {"maxConnections": 3}}, "retryBudget": {"percent": 10}},
        )
    )
    subset = st.builds(
        lambda version, own: _given(name=version, labels={"version": version}, trafficPolicy=own),
        versions,
        policy,
    )
    selector = draw(st.sampled_from((None, {"matchLabels": {"version": "v1"}})))
    spec = _given(
        host=draw(hosts),
        exportTo=["."] if selector else draw(export_to),
        workloadSelector=selector,
        trafficPolicy=draw(policy),
        subsets=draw(st.lists(subset, max_size=2, unique_by=lambda s: s["name"])),
    )
    metadata = _given(
        name=draw(st.sampled_from(("d1", "d2"))), namespace=draw(owners), creationTimestamp=draw(created)
    )
    return _parsed("networking.istio.io", "DestinationRule", metadata, spec)


@st.composite
def _peer_authentications(draw: st.DrawFn) -> Resource[Any]:
    modes = st.sampled_from(("UNSET", "DISABLE", "PERMISSIVE", "STRICT"))
    selector = draw(selectors)
    ports = {"8080": {"mode": draw(modes)}, "7000": {"mode": draw(modes)}}
    spec = _given(
        selector=selector and {"matchLabels": selector},
        mtls={"mode": draw(modes)},
        portLevelMtls=ports if selector and draw(st.booleans()) else None,
    )
    metadata = {"name": draw(st.sampled_from(("p1", "p2"))), "namespace": draw(owners)}
    return _parsed("security.istio.io", "PeerAuthentication", metadata, spec)


@st.composite
def _authorization_policies(draw: st.DrawFn) -> Resource[Any]:
    rule = st.sampled_from(
        (
            {},
            {"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/front"]}}]},
            {"from": [{"source": {"notNamespaces": ["bank"]}}], "to": [{"operation": {"paths": ["/x*"]}}]},
            {"to": [{"operation": {"ports": ["8080"], "methods": ["GET"]}}]},
            {"when": [{"key": "source.ip", "values": ["10.0.0.0/8"]}]},
        )
    )
    selector = draw(selectors)
    action = draw(st.sampled_from(("ALLOW", "DENY", "AUDIT")))
    spec = _given(
        action=action,
        rules=draw(st.lists(rule, min_size=0 if action == "ALLOW" else 1, max_size=2)),
        selector=selector and {"matchLabels": selector},
    )
    dry_run = draw(st.sampled_from((None, {"istio.io/dry-run": "true"}))) if action != "AUDIT" else None
    metadata = _given(name=draw(st.sampled_from(("z1", "z2"))), namespace=draw(owners), annotations=dry_run)
    return _parsed("security.istio.io", "AuthorizationPolicy", metadata, spec)


_TLS: tuple[Json, ...] = (
    {"mode": "SIMPLE", "credentialName": "cert"},
    {"mode": "MUTUAL", "credentialName": "cert"},
    {"mode": "PASSTHROUGH"},
    {"mode": "AUTO_PASSTHROUGH"},
)


@st.composite
def _servers(draw: st.DrawFn, index: int) -> Json:
    protocol = draw(st.sampled_from(("HTTP", "HTTPS", "TLS", "TCP")))
    tls: Json = {"tls": draw(st.sampled_from(_TLS))} if protocol in {"HTTPS", "TLS"} else {}
    host = st.sampled_from(("*", "*.svc.cluster.local", "shop/*", "./*", "e.example.com"))
    port = {"number": draw(st.sampled_from((80, 8080))), "name": f"p-{index}", "protocol": protocol}
    return {"port": port, "hosts": [draw(host)], **tls}


@st.composite
def _gateways(draw: st.DrawFn) -> Resource[Any]:
    spec = _given(
        servers=[draw(_servers(index)) for index in range(draw(st.integers(1, 2)))],
        selector=draw(selectors),
    )
    annotation = st.sampled_from((None, {"gateway.mizzen.dev/http3": "true"}))
    metadata = _given(
        name="edge", namespace=draw(namespaces), annotations=draw(annotation), creationTimestamp=draw(created)
    )
    return _parsed("networking.istio.io", "Gateway", metadata, spec)


@st.composite
def _secrets(draw: st.DrawFn) -> Resource[Any]:
    """Of a gateway's server: with a certificate, with roots, or with neither."""
    text = draw(
        st.sampled_from(
            (
                tls_secret("shop", "cert", "one.test"),
                tls_secret("shop", "cert", "two.test", ca_crt=roots()),
                secret("shop", "cert", password=b"x"),
                secret("shop", "cert-cacert", cacert=roots("others")),
            )
        )
    )
    (located,) = decode(text, "generated.yaml").located
    return located.resource


_OWN_TLS = {"mode": "SIMPLE", "serverCertificate": "/certs/cert.pem", "privateKey": "/certs/key.pem"}
_INGRESS: Sequence[Sequence[Json]] = (
    [{"port": {"number": 8080, "protocol": "TCP", "name": "t"}, "defaultEndpoint": "127.0.0.1:8080"}],
    [
        {"port": {"number": 7000, "name": "any"}, "defaultEndpoint": "0.0.0.0:8080"},
        {"port": {"number": 9443, "protocol": "HTTPS", "name": "s"}, "tls": _OWN_TLS},
        {"port": {"number": 7001, "protocol": "HTTP", "name": "h"}, "captureMode": "NONE"},
    ],
)


@st.composite
def _sidecars(draw: st.DrawFn) -> Resource[Any]:
    imports = st.sampled_from(
        ("./*", "*/*", "~/*", "bank/*", "*/a.shop.svc.cluster.local", "shop/*.cluster.local")
    )
    listener: st.SearchStrategy[Json] = st.builds(
        lambda hosts, port: _given(hosts=hosts, port=port),
        st.lists(imports, min_size=1, max_size=2, unique=True),
        st.sampled_from(
            ({"number": 80, "protocol": "HTTP", "name": "h"}, {"number": 90, "protocol": "TCP", "name": "t"})
        ),
    )
    rest = {"hosts": draw(st.lists(imports, min_size=1, max_size=2, unique=True))}
    of_ports = draw(st.lists(listener, max_size=2, unique_by=lambda found: found["port"]["number"]))
    selector = draw(selectors)
    spec = _given(
        egress=[*of_ports, rest],
        ingress=draw(st.sampled_from((None, *_INGRESS))),
        inboundConnectionPool=draw(st.sampled_from((None, {"tcp": {"maxConnections": 9}}))),
        workloadSelector=selector and {"labels": selector},
    )
    metadata = _given(
        name=draw(st.sampled_from(("s1", "s2"))),
        namespace=draw(namespaces if selector else owners),
        creationTimestamp=draw(created),
    )
    return _parsed("networking.istio.io", "Sidecar", metadata, spec)


@st.composite
def _mesh_configs(draw: st.DrawFn) -> Resource[Any]:
    spec = _given(
        rootNamespace=draw(st.sampled_from((None, "shop"))),
        outboundTrafficPolicy=draw(st.sampled_from((None, {"mode": "REGISTRY_ONLY"}))),
        enableAutoMtls=draw(st.sampled_from((None, False))),
        trustDomainAliases=draw(st.sampled_from((None, ["old.example"]))),
        accessLogFile=draw(st.sampled_from((None, "/dev/stdout"))),
        defaultVirtualServiceExportTo=draw(st.sampled_from((None, ["."]))),
        discoverySelectors=draw(st.sampled_from((None, None, [{"matchLabels": {"seen": "1"}}]))),
    )
    return _parsed("mesh.istio.io", "MeshConfig", {"name": "mesh"}, spec)


resources = st.one_of(
    _kubernetes_services(),
    _service_entries(),
    _workload_entries(),
    _pods(),
    _endpoint_slices(),
    _places(),
    _virtual_services(),
    _delegates(),
    _destination_rules(),
    _peer_authentications(),
    _authorization_policies(),
    _gateways(),
    _secrets(),
    _sidecars(),
    _mesh_configs(),
)
"""An object of any kind."""

called = st.tuples(
    st.lists(_kubernetes_services() | _service_entries(), min_size=1, max_size=4),
    st.lists(_destination_rules(), max_size=3) | st.lists(_virtual_services(), max_size=3),
    st.lists(_destination_rules() | _virtual_services() | _service_entries(), max_size=2),
).map(lambda parts: [*parts[0], *parts[1], *parts[2]])
"""Objects that say what proxies call, and how."""

_sets = resources.map(lambda found: Change(RESOURCES, found.key, found))
_removals = resources.map(lambda found: Change(RESOURCES, found.key, None))
_healths = st.builds(
    lambda namespace, name, reason: Change(UNHEALTHY, ResourceKey("WorkloadEntry", namespace, name), reason),
    namespaces,
    st.sampled_from(("w-0", "w-1")),
    st.sampled_from((None, "draining")),
)

changes = st.one_of(_sets, _sets, _sets, _removals, _healths)
"""Objects are set more often than removed, so that meshes grow."""
