"""The scenarios of Istio's own benchmark (the corpus xds-bench): a mesh of YAML, a proxy in it, and what it is asked for.

Source: the corpus' README.md and scenarios.json.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.load.objects import ROOT, Document
from benchmarks.load.templates import render
from mizzen.derive.inbound import instances_at
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database
from mizzen.model.proxy import ProxyKind, ProxyView
from mizzen.translate.name_table import NAME_TABLE
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET

TYPES: Final[Mapping[str, str]] = {
    "CDS": CLUSTER,
    "EDS": ENDPOINT,
    "LDS": LISTENER,
    "NDS": NAME_TABLE,
    "RDS": ROUTE,
    "SDS": SECRET,
}

CORPUS = "xds-bench"


@dataclass(frozen=True, slots=True)
class Proxy:
    """The proxy of all scenarios: who it is, and where."""

    namespace: str
    address: str
    labels: FrozenMap[str, str]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`template` is "" where the corpus describes the mesh by a formula. The types are the corpus' (CDS...)."""

    id: str
    types: tuple[str, ...]
    proxy_type: str
    proxy: Proxy
    mesh_config: FrozenMap[str, Any]
    template: str
    services: int
    instances: int

    @property
    def obstacle(self) -> str:
        """Why Mizzen cannot be asked; "" where it can. Only the ambient mode is one."""
        if self.proxy_type == "waypoint":
            return "a waypoint is a proxy of the ambient mode, which Mizzen does not have"
        if unknown := sorted(set(self.types) - TYPES.keys()):
            return f"{', '.join(unknown)} is for the ztunnel of the ambient mode, which Mizzen does not have"
        return ""

    @property
    def type_urls(self) -> frozenset[str]:
        return frozenset(TYPES[name] for name in self.types)

    def text(self, services: int, instances: int) -> str:
        """The mesh of a size, as YAML."""
        documents = list(self._added(services))
        if self.template:
            text = render(self.template, services, instances)
        else:
            text = ""
            documents += _by_formula(services, instances)
        return "\n---\n".join((text, *map(json.dumps, documents)))

    def _added(self, services: int) -> Iterator[Document]:
        """What Istio's benchmark does not say in YAML."""
        yield _object("mesh.istio.io/v1alpha1", "MeshConfig", ROOT, "mesh", dict(self.mesh_config))
        if SECRET in map(TYPES.get, self.types):
            # There the proxy just asks for them; here it gets those, and only those, that a Gateway names for it.
            yield _gateway(services, self.proxy)

    def view(self, db: Database) -> ProxyView:
        """The scenario's proxy, or where names are asked for the agent beside it."""
        where, labels = self.proxy, self.proxy.labels
        if self.types == ("NDS",):
            return ProxyView(ProxyKind.SIDECAR, where.namespace, labels, agent=True)
        instances = tuple(db.value(instances_at, where.namespace, where.address))
        return ProxyView(ProxyKind(self.proxy_type), where.namespace, labels, instances=instances)


def scenarios(corpus: Path) -> tuple[Scenario, ...]:
    """All of them; `corpus` is the folder."""
    found = json.loads((corpus / "scenarios.json").read_text())
    context = found["context"]
    given = context["proxy"]
    proxy = Proxy(given["namespace"], given["ip_addresses"][0], FrozenMap(given["labels"]))
    settings = FrozenMap(context["mesh_config_extra"])
    return tuple(_scenario(corpus, each, proxy, settings) for each in found["scenarios"])


def _scenario(
    corpus: Path, given: Mapping[str, Any], proxy: Proxy, settings: FrozenMap[str, Any]
) -> Scenario:
    template = (corpus / given["template"]).read_text() if "template" in given else ""
    sizes, formula = given.get("template_params", {}), given.get("generated", {})
    return Scenario(
        id=given["id"],
        types=tuple(given["resource_types"]),
        proxy_type=given["proxy_type"],
        proxy=proxy,
        mesh_config=settings,
        template=template,
        services=sizes.get("Services", formula.get("service_entries", 0)),
        instances=sizes.get("Instances", formula.get("endpoints_per_service", 0)),
    )


def _object(version: str, kind: str, namespace: str, name: str, spec: Document) -> Document:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _gateway(services: int, proxy: Proxy) -> Document:
    servers = [
        {
            "port": {"number": 443, "name": f"https-{number}", "protocol": "HTTPS"},
            "hosts": [f"{number}.host.example"],
            "tls": {"mode": "SIMPLE", "credentialName": f"sds-credential-{number}"},
        }
        for number in range(services)
    ]
    spec = {"selector": dict(proxy.labels), "servers": servers}
    return _object("networking.istio.io/v1", "Gateway", proxy.namespace, "gateway", spec)


# --- the scenarios of endpoints -------------------------------------------------------------------------------

_NETWORKS: Final = 4
_BENCHMARKED: Final = {"type": "eds-benchmark"}


def _by_formula(services: int, endpoints: int) -> Iterator[Document]:
    """Without Istio's MeshNetworks, which Mizzen reads but does not follow."""
    for number in range(services):
        spec = {
            "hosts": [f"foo-{number}.com"],
            "ports": [{"number": 80, "name": "http-port", "protocol": "HTTP"}],
            "resolution": "STATIC",
            "endpoints": [_endpoint(number, place) for place in range(endpoints)],
        }
        yield _object("networking.istio.io/v1", "ServiceEntry", "default", f"foo-{number}", spec)
    policies: tuple[tuple[str, str, Document], ...] = (
        (ROOT, "global", {"mtls": {"mode": "PERMISSIVE"}}),
        ("default", "namespace", {"mtls": {"mode": "DISABLE"}}),
        ("default", "selector", {"selector": {"matchLabels": _BENCHMARKED}, "mtls": {"mode": "DISABLE"}}),
    )
    for namespace, name, spec in policies:
        yield _object("security.istio.io/v1", "PeerAuthentication", namespace, name, spec)


def _endpoint(service: int, place: int) -> Document:
    return {
        "address": f"111.{place // 65536}.{place // 256 % 256}.{place % 256}",
        "network": f"network-{place % _NETWORKS}",
        "serviceAccount": "something",
        "labels": {**_BENCHMARKED, "app": f"foo-{service}"},
    }
