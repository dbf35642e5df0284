"""Whether objects make sense by themselves: kind -> spec -> the path and words of what is found.

The specs are written as flow YAML, one row each; a row without findings is right.
"""

import pytest

from mizzen.config.decode import decode
from mizzen.config.resource import path_text

R = "route: [{destination: {host: a}}]"


def http(rest):
    return "{hosts: [a], http: [{" + rest + "}]}"


def policy(rest):
    return "{host: a, trafficPolicy: {" + rest + "}}"


def server(rest):
    return "{servers: [{" + rest + "}]}"


def source(rest):
    return "{rules: [{from: [{source: {" + rest + "}}]}]}"


def operation(rest):
    return "{rules: [{to: [{operation: {" + rest + "}}]}]}"


ROWS = {
    "VirtualService": [
        (http(R), ()),
        ("{hosts: ['*.example.com', 10.0.0.1], http: [{<R>}]}", ()),
        ("{hosts: [a_b], http: [{<R>}]}", ("spec.hosts[0]", "no host name")),
        ("{hosts: ['a.*.b'], http: [{<R>}]}", ("spec.hosts[0]", "no host name")),
        ("{hosts: ['*'], http: [{<R>}]}", ("spec.hosts[0]", "sidecars")),
        ("{hosts: ['*'], gateways: [g], http: [{<R>}]}", ()),
        ("{hosts: [a, A], http: [{<R>}]}", ("spec.hosts[1]", "twice")),
        ("{hosts: [a]}", ("spec", "no route")),
        ("{hosts: [a], gateways: [a/b/c], http: [{<R>}]}", ("spec.gateways[0]", "no gateway")),
        ("{hosts: [a], exportTo: ['.', '?'], http: [{<R>}]}", ("spec.exportTo[1]", "no namespace")),
        (http(""), ("spec.http[0]", "leads nowhere")),
        (http(f"{R}, redirect: {{uri: /}}"), ("spec.http[0]", "only one of route, redirect")),
        (http("route: [{destination: {host: a}}, {destination: {host: b}}]"), ("spec.http[0].route", "sum to 0")),
        (http("route: [{destination: {host: a}, weight: -1}]"), ("spec.http[0].route[0].weight", "less than 0")),
        (http("route: [{destination: {host: a, port: {number: 0}}}]"), ("spec.http[0].route[0].destination.port.number", "no port")),
        (http(f"{R}, timeout: 0s"), ("spec.http[0].timeout", "at least 1ms")),
        (http(f"{R}, match: [{{uri: {{exact: a, prefix: b}}}}]"), ("spec.http[0].match[0].uri", "only one of exact, prefix")),
        (http(f"{R}, match: [{{uri: {{prefix: ''}}}}]"), ()),
        (http(f"{R}, match: [{{headers: {{x: {{prefix: ''}}}}}}]"), ("spec.http[0].match[0].headers.x.prefix", "empty prefix")),
        (http(f"{R}, match: [{{headers: {{x: {{regex: '(?=a)'}}}}}}]"), ("spec.http[0].match[0].headers.x.regex", "does not compile")),
        (http(f"{R}, match: [{{uri: {{regex: '{'a' * 5000}'}}}}]"), ("spec.http[0].match[0].uri.regex", "longer than")),
        (http(f"{R}, match: [{{uri: {{regex: '((a{{900}}){{900}}){{2}}'}}}}]"), ("spec.http[0].match[0].uri.regex", "does not compile")),
        (http(f"{R}, match: [{{headers: {{'a b': {{}}}}}}]"), ('spec.http[0].match[0].headers["a b"]', "no header name")),
        (http(f'{R}, headers: {{request: {{set: {{x: "a\\r\\nb"}}}}}}'), ("spec.http[0].headers.request.set.x", "line breaks")),
        (http(f"{R}, headers: {{request: {{add: {{x: 50%}}}}}}"), ("spec.http[0].headers.request.add.x", "start of a command")),
        (http(f"{R}, headers: {{request: {{add: {{x: '%REQ(a)% 50%%'}}}}}}"), ()),
        (http(f"{R}, headers: {{request: {{remove: [host]}}}}"), ("spec.http[0].headers.request.remove[0]", "cannot be changed")),
        (http(f"{R}, retries: {{attempts: 1, retryOn: 'reset,5yy'}}"), ("spec.http[0].retries.retryOn", '"5yy"')),
        (http(f"{R}, retries: {{attempts: 1, retryOn: '5xx,503'}}"), ()),
        (http(f"{R}, retries: {{attempts: 0, perTryTimeout: 1s}}"), ("spec.http[0].retries.attempts", "nothing is retried")),
        (http(f"{R}, fault: {{}}"), ("spec.http[0].fault", "says nothing")),
        (http(f"{R}, fault: {{abort: {{httpStatus: 600}}}}"), ("spec.http[0].fault.abort.httpStatus", "between 200 and 599")),
        (http(f"{R}, fault: {{abort: {{grpcStatus: NOPE}}}}"), ("spec.http[0].fault.abort.grpcStatus", "no gRPC status")),
        (http(f"{R}, fault: {{delay: {{fixedDelay: 1s, percentage: {{value: 101}}}}}}"), ("spec.http[0].fault.delay.percentage.value", "0 to 100")),
        (http(f"{R}, mirror: {{host: b}}, mirrors: [{{destination: {{host: b}}}}]"), ("spec.http[0]", "mirror, mirrors")),
        (http(f"{R}, corsPolicy: {{maxAge: 1500ms}}"), ("spec.http[0].corsPolicy.maxAge", "whole seconds")),
        (http("redirect: {}"), ("spec.http[0].redirect", "where the request came")),
        (http("redirect: {uri: /, redirectCode: 304}"), ("spec.http[0].redirect.redirectCode", "304 is none of")),
        (http("redirect: {port: 80, derivePort: FROM_REQUEST_PORT}"), ("spec.http[0].redirect", "only one of port, derivePort")),
        (http(f"{R}, rewrite: {{}}"), ("spec.http[0].rewrite", "says nothing")),
        (http("directResponse: {status: 99}"), ("spec.http[0].directResponse.status", "between")),
        (http("directResponse: {status: 200, body: {bytes: '*'}}"), ("spec.http[0].directResponse.body.bytes", "base64")),
        ("{hosts: [a], tls: [{match: [{sniHosts: [b]}], route: [{destination: {host: a}}]}]}", ("spec.tls[0].match[0].sniHosts[0]", "not among the hosts")),
        ("{hosts: ['*.a'], tls: [{match: [{sniHosts: [b.a]}], route: [{destination: {host: a}}]}]}", ()),
        ("{hosts: [a], tcp: [{route: []}]}", ("spec.tcp[0]", "no destination")),
        ("{hosts: [a], tcp: [{match: [{destinationSubnets: [10.0.0.0/33]}], route: [{destination: {host: a}}]}]}", ("spec.tcp[0].match[0].destinationSubnets[0]", "subnet")),
    ],
    "DestinationRule": [
        ("{host: a, subsets: [{name: v1, labels: {version: v1}}]}", ()),
        ("{host: a, subsets: [{name: v1}, {name: v1}]}", ("spec.subsets[1]", "twice")),
        ("{host: a, subsets: [{name: 'v 1'}]}", ("spec.subsets[0].name", "no name of a subset")),
        (policy("loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}"), ("spec.trafficPolicy.loadBalancer", "only one of simple, consistentHash")),
        (policy("loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 4}}}"), ("spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize", "no prime")),
        (policy("loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}"), ()),
        (policy("connectionPool: {tcp: {maxConnections: -1}}"), ("spec.trafficPolicy.connectionPool.tcp.maxConnections", "less than 0")),
        (policy("connectionPool: {tcp: {connectTimeout: 0s}}"), ("spec.trafficPolicy.connectionPool.tcp.connectTimeout", "at least 1ms")),
        (policy("outlierDetection: {maxEjectionPercent: 101}"), ("spec.trafficPolicy.outlierDetection.maxEjectionPercent", "0 to 100")),
        (policy("portLevelSettings: [{tls: {}}]"), ("spec.trafficPolicy.portLevelSettings[0]", "no port")),
        (policy("tls: {mode: MUTUAL, clientCertificate: a}"), ("spec.trafficPolicy.tls", "needs privateKey")),
    ],
    "Gateway": [
        (server("port: {number: 80, name: http, protocol: HTTP}, hosts: ['*', ns/a.b, ./c.d]"), ()),
        ("{}", ("spec", "no server")),
        (server("port: {number: 80, name: http, protocol: HTP}, hosts: ['*']"), ("spec.servers[0].port.protocol", '"HTP" is no protocol')),
        (server("port: {number: 80, name: http, protocol: HTTP}, hosts: []"), ("spec.servers[0].hosts", "no hosts")),
        (server("port: {number: 80, name: http, protocol: HTTP}, hosts: [c]"), ("spec.servers[0].hosts[0]", "is a short name")),
        (server("port: {number: 80, name: http, protocol: HTTP}, hosts: ['*'], tls: {httpsRedirect: true}"), ()),
    ],
    "ServiceEntry": [
        ("{hosts: [a.b], ports: [{number: 80, name: http}], resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {http: 8080}}]}", ()),
        ("{hosts: ['*']}", ("spec.hosts[0]", 'cannot be "*"')),
        ("{hosts: ['*.a.b'], resolution: DNS}", ("spec.hosts[0]", "asked of DNS")),
        ("{hosts: [a.b], ports: [{number: 80, name: a, protocol: HTTP}, {number: 80, name: b, protocol: HTTP}]}", ("spec.ports[1]", "twice")),
        ("{hosts: [a.b], endpoints: [{address: 10.0.0.1}]}", ("spec.endpoints", "NONE has no endpoints")),
        ("{hosts: [a.b], resolution: STATIC, endpoints: [{address: x.y}]}", ("spec.endpoints[0].address", "resolves no names")),
        ("{hosts: [a.b], resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {x: 1}}]}", ("spec.endpoints[0].ports.x", "no port")),
        ("{hosts: [a.b], resolution: STATIC, workloadSelector: {labels: {a: b}}, endpoints: [{address: 10.0.0.1}]}", ("spec", "only one of endpoints, workloadSelector")),
        ("{hosts: [a.b], addresses: [10.0.0.0/8], resolution: DNS}", ("spec.addresses[0]", "is a subnet")),
    ],
    "WorkloadEntry": [
        ("{address: 10.0.0.1, labels: {app: a}}", ()),
        ("{address: 'unix:///run/a.sock'}", ()),
        ("{address: 'unix://a'}", ("spec.address", "no path")),
        ("{labels: {app: a}}", ("spec", "no address")),
        ("{address: 10.0.0.1, ports: {http: 70000}}", ("spec.ports.http", "no port")),
        ("{address: 10.0.0.1, labels: {app: 'a b'}}", ("spec.labels.app", "no label value")),
    ],
    "PeerAuthentication": [
        ("{selector: {matchLabels: {app: a}}, portLevelMtls: {8080: {mode: DISABLE}}}", ()),
        ("{portLevelMtls: {8080: {mode: DISABLE}}}", ("spec.portLevelMtls", "selector is needed")),
        ("{selector: {matchLabels: {app: a}}, portLevelMtls: {http: {}}}", ("spec.portLevelMtls.http", "no port")),
    ],
    "AuthorizationPolicy": [
        (source("principals: ['*']"), ()),
        ("{}", ()),
        ("{action: DENY}", ("spec", "never matches")),
        ("{rules: [{from: [{}]}]}", ("spec.rules[0].from[0]", "no source")),
        (source(""), ("spec.rules[0].from[0].source", "names nothing")),
        (source("namespaces: ['']"), ("spec.rules[0].from[0].source.namespaces[0]", "empty text")),
        (source("ipBlocks: [10.0.0.0/40]"), ("spec.rules[0].from[0].source.ipBlocks[0]", "subnet")),
        (source("serviceAccounts: [a/b], namespaces: [a]"), ("spec.rules[0].from[0].source", "cannot be set with namespaces")),
        (operation("ports: ['70000']"), ("spec.rules[0].to[0].operation.ports[0]", "no port")),
        (operation("paths: ['/a/{*}/{**}']"), ()),
        (operation("paths: ['/a/{b}']"), ()),
        (operation("paths: ['/a/{b}/{*}']"), ("spec.rules[0].to[0].operation.paths[0]", "path template")),
        ("{rules: [{when: [{key: 'request.headers[x]', values: [a]}]}]}", ()),
        ("{rules: [{when: [{key: request.header, values: [a]}]}]}", ("spec.rules[0].when[0].key", "no key")),
        ("{rules: [{when: [{key: source.ip}]}]}", ("spec.rules[0].when[0]", "no values")),
        ("{rules: [{when: [{key: destination.port, values: [http]}]}]}", ("spec.rules[0].when[0].values[0]", "no value of destination.port")),
    ],
    "Service": [
        ("{ports: [{port: 80}], clusterIP: None}", ()),
        ("{}", ("spec", "no ports")),
        ("{ports: [{port: 80, name: a}, {port: 81}]}", ("spec.ports[1]", "no name")),
        ("{ports: [{port: 80, name: a}, {port: 80, name: b}]}", ("spec.ports[1]", "twice")),
        ("{ports: [{port: 80}], clusterIP: x}", ("spec.clusterIP", "no address")),
    ],
    "MeshConfig": [
        ("{trustDomain: a.b, accessLogEncoding: JSON, accessLogFormat: '{\"a\": \"b\"}'}", ()),
        ("{trustDomain: 'spiffe://x'}", ("spec.trustDomain", "no trust domain")),
        ("{connectTimeout: 0s}", ("spec.connectTimeout", "at least 1ms")),
        ("{accessLogEncoding: JSON, accessLogFormat: x}", ("spec.accessLogFormat", "JSON object")),
    ],
}  # fmt: skip

GROUPS = {
    "Service": "v1",
    "PeerAuthentication": "security.istio.io/v1",
    "AuthorizationPolicy": "security.istio.io/v1",
    "MeshConfig": "mesh.istio.io/v1alpha1",
}


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [(kind, spec, expected) for kind, rows in ROWS.items() for spec, expected in rows],
)
def test_rules(kind, spec, expected):
    group = GROUPS.get(kind, "networking.istio.io/v1")
    decoded = decode(
        f"apiVersion: {group}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec.replace('<R>', R)}\n",
        "f.yaml",
    )
    # Which fields have no effect yet is another matter (test_support.py).
    wrong = (each for each in decoded.diagnostics if not each.code.startswith("MZ01"))
    found = [(path_text(each.path), each.message) for each in wrong]
    if not expected:
        assert found == []
        return
    ((path, message),) = found
    assert path == expected[0]
    assert expected[1] in message
    assert decoded.located == ()


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ("{name: A}", "metadata.name"),
        ("{name: a, namespace: x/y}", "metadata.namespace"),
        ("{name: a, labels: {a: 'b c'}}", "metadata.labels.a"),
    ],
)
def test_metadata(metadata, path):
    decoded = decode(
        f"apiVersion: v1\nkind: Service\nmetadata: {metadata}\nspec: {{ports: [{{port: 80}}]}}\n", "f"
    )
    assert [path_text(each.path) for each in decoded.diagnostics] == [path]


@pytest.mark.parametrize(
    ("selector", "annotation", "expected"),
    [("{}", "", 1), ("{istio: ingressgateway}", "", 0), ("{}", "internal.istio.io/gateway-service: gw", 0)],
)
def test_a_secret_without_a_selector_is_warned_of(selector, annotation, expected):
    decoded = decode(
        f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: a, annotations: {{{annotation}}}}}
spec:
  selector: {selector}
  servers:
  - {{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: [a.b], tls: {{mode: SIMPLE, credentialName: c}}}}
""",
        "f.yaml",
    )
    found = [each.message for each in decoded.diagnostics]
    assert len(found) == expected
    assert all("without a selector" in message for message in found)
    assert len(decoded.located) == 1
