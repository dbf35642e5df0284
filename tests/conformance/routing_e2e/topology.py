"""The workloads of topology.json as a lab: what runs, and the Kubernetes objects that stand around it all the time."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from mizzen.lab.definition import LabDefinition, Workload
from tests.conformance.routing_e2e.credentials import pem
from tests.conformance.routing_e2e.echo.authorizer import GRPC_PORT, HTTP_PORT
from tests.conformance.routing_e2e.echo.wire import PortSettings, Settings

Json = Any

CLIENT = "outside/client"  # as a place: what calls gateways, from outside of the mesh
ROOT = Path(__file__).parents[3]
_GATEWAY_PORTS = (80, 443, 15443, 31400)
_GATEWAYS = "istio-system"
_CUSTOM_GATEWAY = (
    "custom gateway"  # as cases call it: Istio's test deploys one that trusts two proxies in front of it
)
_INGRESS = "istio-ingressgateway"
_ANOTHER_HTTP_PORT = 8080  # Istio's echo application has it besides
_STANDARD = frozenset({"a", "b", "c"})
_KEY_SERVER, _AUTHORIZER, _WITH_AUTHORIZER = "jwt-server", "ext-authz", "echo1/b"
_LOCAL_AUTHORIZER = "ext-authz.local"
_SETUP = "mizzen.test/setup"
_INTERCEPTION = "sidecar.istio.io/interceptionMode"
_CERTIFICATES = "tests/testdata/certs/dns"


@dataclass(frozen=True)
class Place:
    """A workload of the lab. `setup` tells variants of one workload apart that cases want, by their annotations."""

    namespace: str
    name: str
    versions: tuple[str, ...] = ("v1",)
    sidecar: bool = True
    gateway: bool = False
    headless: bool = False
    locality: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    setup: str = ""
    helps: bool = False  # policies lean on it; nobody's requests go there

    @property
    def service(self) -> str:
        return f"{self.namespace}/{self.name}"

    def names(self) -> tuple[str, ...]:
        """Its workloads in the lab, one for each version."""
        whole = "-".join(part for part in (self.namespace, self.name, self.setup) if part)
        return (whole,) if len(self.versions) == 1 else tuple(f"{whole}-{one}" for one in self.versions)


@dataclass(frozen=True)
class Topology:
    """One environment of topology.json, as far as some cases need it. `control` is where control sockets are."""

    document: Json
    environment: str
    cases: Sequence[Json]
    control: Path
    keys: str = ""  # the key set of those who issue tokens

    @property
    def _settings(self) -> Json:
        return self.document["environments"][self.environment]

    def places(self) -> tuple[Place, ...]:
        return self._places

    @cached_property
    def _places(self) -> tuple[Place, ...]:
        known = (*self._declared(), *self._gateways(), *self._varied())
        needed = [place for place in known if place.setup or place.helps or self._is_needed(place.name)]
        return (*needed, Place("outside", "client", sidecar=False))

    def _is_needed(self, name: str) -> bool:
        return re.search(rf"(?<![\w-]){name}(?![\w-])", self._text) is not None

    @cached_property
    def _text(self) -> str:
        """What the cases say, all of it."""
        return json.dumps([[case["request"], case["config"], case["checks"]] for case in self.cases])

    def _declared(self) -> Iterator[Place]:
        for namespace in self._settings["namespaces"]:
            for workload in namespace["workloads"]:
                yield Place(
                    namespace["namespace"],
                    workload["name"],
                    tuple(workload.get("versions", ("v1",))),
                    helps="serves" in workload,
                    sidecar=workload.get("sidecar", True),
                    headless=workload.get("headless_service", False),
                    locality=workload.get("locality", "").replace(".", "/"),
                    annotations={_INTERCEPTION: mode} if (mode := workload.get("interception")) else {},
                )

    def _gateways(self) -> Iterator[Place]:
        for gateway in self.document["gateways"]:
            labels = gateway["labels"]
            if gateway["name"] == _INGRESS:  # the label that the cases' policies select
                labels = {**labels, "app": "ingressgateway"}
            yield Place(gateway["namespace"], gateway["name"], gateway=True, labels=labels)
        settings = {"proxy.istio.io/config": json.dumps({"gatewayTopology": {"numTrustedProxies": 2}})}
        labels = {"istio": "ingressgateway"}
        yield Place(_GATEWAYS, _CUSTOM_GATEWAY, gateway=True, labels=labels, annotations=settings)

    def _varied(self) -> Iterator[Place]:
        for number, (service, annotations) in enumerate(setups(self.cases)):
            namespace, _, name = service.partition("/")
            yield Place(namespace, name, annotations=dict(annotations), setup=str(number))

    def definition(self) -> LabDefinition:
        return LabDefinition(
            name=f"routing-e2e-{self.environment}",
            workloads=tuple(one for place in self.places() for one in self._workloads(place)),
        )

    def _workloads(self, place: Place) -> Iterator[Workload]:
        for name, version in zip(place.names(), place.versions, strict=True):
            settings = Settings(
                service=place.service,
                version=version,
                control=str(self.control / name),
                ports=() if place.helps else tuple(self._ports()),
                authorizes=_authorizes(place),
                keys=self.keys if place.name == _KEY_SERVER else "",
                certificate=str(self.control / "certificate.pem"),
                key=str(self.control / "key.pem"),
                root=str(self.control / "root.pem"),
            )
            environment = {"ECHO": msgspec.json.encode(settings).decode(), "PYTHONPATH": str(ROOT)}
            yield Workload(
                name=name.replace(" ", "-"),
                namespace=place.namespace,
                service_account=place.name.replace(" ", "-"),
                labels=self._labels(place, version),
                annotations=dict(place.annotations),
                locality=place.locality,
                command=() if place.gateway else (sys.executable, "-m", "tests.conformance.routing_e2e.echo"),
                ports=() if place.gateway else (HTTP_PORT if place.helps else _ANOTHER_HTTP_PORT,),
                env={} if place.gateway else environment,
                gateway=place.gateway,
                sidecar=place.sidecar,
            )

    @staticmethod
    def _labels(place: Place, version: str) -> dict[str, str]:
        labels = {"app": place.name.replace(" ", "-"), "version": version, **place.labels}
        if place.name in _STANDARD:
            labels["test.istio.io/class"] = "standard"
        return {**labels, _SETUP: place.setup} if place.setup else labels

    def _ports(self) -> Iterator[PortSettings]:
        yield PortSettings(_ANOTHER_HTTP_PORT)
        for port in self.document["ports"]:
            bind = "pod" if port.get("binds_pod_ip_only") else "any"
            yield PortSettings(
                number=port["workload_port"],
                bind="localhost" if port.get("binds_localhost_only") else bind,
                tcp=port["protocol"] == "TCP",
                server_first=port.get("server_first", False),
                tls=port.get("tls", False) or port.get("mtls", False),
                client_certificates=port.get("mtls", False),
                proxy_protocol=port.get("expects_proxy_protocol", False),
            )

    def objects(self) -> Iterator[Json]:
        """What stands all the time: Services, the environment's own configuration."""
        services = {place.service: place for place in self.places() if not place.setup}
        for number, place in enumerate(services.values(), 1):
            address = "None" if place.headless else f"10.96.0.{number}"
            yield self._service(place, address)
        yield from self._settings["baseline_config"]
        if self.environment == "security":
            yield _local_authorizer()

    def mesh_config(self, case: Json) -> Json:
        """The mesh's settings, with what a case wants of them."""
        providers = self._settings["mesh_config"].get("extensionProviders", ())
        return {
            "apiVersion": "mesh.istio.io/v1alpha1",
            "kind": "MeshConfig",
            "metadata": {"name": "default"},
            "spec": {
                **self._settings["mesh_config"],
                "extensionProviders": [_usable(one, providers) for one in providers],
                **case.get("mesh_config", {}),
            },
        }

    def _service(self, place: Place, address: str) -> Json:
        selector = {"app": place.labels.get("app", place.name.replace(" ", "-"))}
        if place.setup:
            selector[_SETUP] = place.setup
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": place.name.replace(" ", "-"),
                "namespace": place.namespace,
                "labels": {"app": place.name.replace(" ", "-")},
            },
            "spec": {
                **({"clusterIP": address} if address else {}),
                "selector": selector,
                "ports": list(self._service_ports(place)),
            },
        }

    def _service_ports(self, place: Place) -> Iterator[Json]:
        if place.gateway:
            yield from (
                {"name": f"port-{number}", "port": number, "targetPort": number} for number in _GATEWAY_PORTS
            )
            return
        if place.helps:
            yield {"name": "http", "port": HTTP_PORT}
            yield {"name": "grpc", "port": GRPC_PORT}
            return
        for port in self.document["ports"]:
            number = port["workload_port"] if place.headless else port["service_port"]
            if port["service_port"] > 0:
                yield {"name": port["name"], "port": number, "targetPort": port["workload_port"]}

    def setup_objects(self, case: Json) -> Iterator[Json]:
        """The Services that lead to the variants which a case wants."""
        wanted = setups([case])
        for place in self.places():
            if place.setup and (place.service, tuple(sorted(place.annotations.items()))) in wanted:
                yield self._service(place, "")

    def place_of(self, service: str, case: Json) -> Place:
        """Where a case calls from."""
        wanted = dict(setups([case])).get(service)
        return next(
            place
            for place in self.places()
            if place.service == service and (not wanted or tuple(sorted(place.annotations.items())) == wanted)
        )


def _usable(provider: Json, all_of_them: Sequence[Json]) -> Json:
    """Of those "-local", the document says in prose only that they are like the others, beside the workload itself."""
    name = provider["name"]
    if not name.endswith("-local"):
        return provider
    alike = next(one for one in all_of_them if one["name"] == name.removesuffix("-local"))
    return {key: {**value, "service": _LOCAL_AUTHORIZER} for key, value in alike.items() if key != "name"} | {
        "name": name
    }


def _local_authorizer() -> Json:
    ports = [
        {"name": "http", "number": HTTP_PORT, "protocol": "HTTP"},
        {"name": "grpc", "number": GRPC_PORT, "protocol": "GRPC"},
    ]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "authorizer", "namespace": "servers"},
        "spec": {
            "hosts": [_LOCAL_AUTHORIZER],
            "ports": ports,
            "resolution": "STATIC",
            "endpoints": [{"address": "127.0.0.1"}],
        },
    }


def _authorizes(place: Place) -> str:
    """Where it is an external authorizer: for all, or in a workload for the sidecar beside it."""
    if place.name == _AUTHORIZER:
        return "0.0.0.0"
    return "127.0.0.1" if place.service == _WITH_AUTHORIZER else ""


def setups(cases: Sequence[Json]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """The (service, annotations) that cases want, each once."""
    wanted = (
        (one["workload"], tuple(sorted(one["pod_annotation"].items())))
        for case in cases
        for one in case.get("setup", ())
        if "pod_annotation" in one
    )
    return tuple(dict.fromkeys(wanted))


def write_certificates(control: Path) -> None:
    """Those with which the applications serve TLS."""
    for file, reference in (("certificate", "cert-chain"), ("key", "key"), ("root", "root-cert")):
        (control / f"{file}.pem").write_text(pem(f"{_CERTIFICATES}/{reference}.pem"))
        (control / f"{file}.pem").chmod(0o644)
