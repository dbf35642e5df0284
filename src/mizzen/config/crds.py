"""CustomResourceDefinitions of Istio's kinds, generated from the types: what `mizzen crds` prints."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Final

from mizzen.config.kinds import Kind
from mizzen.config.schema import Schema, schema
from mizzen.config.types.istio_status import IstioStatus
from mizzen.config.types.message import Cel
from mizzen.config.types.networking import ADDRESS_REQUIRED


@dataclass(frozen=True, slots=True)
class Column:
    """A column that `kubectl get` shows."""

    name: str
    path: str  # JSONPath in the object
    description: str
    type: str = "string"


@dataclass(frozen=True, slots=True)
class Naming:
    """What people call a kind, and what is shown of it."""

    plural: str
    short_names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    rules: tuple[Cel, ...] = ()  # of the whole spec, where the type is used elsewhere without them


_AGE: Final = Column("Age", ".metadata.creationTimestamp", "When the object was made", "date")

NAMING: Mapping[str, Naming] = MappingProxyType(
    {
        "VirtualService": Naming(
            "virtualservices",
            ("vs",),
            (
                Column("Gateways", ".spec.gateways", "Gateways and sidecars (mesh) that route by it"),
                Column("Hosts", ".spec.hosts", "Hosts whose requests it routes"),
                _AGE,
            ),
        ),
        "DestinationRule": Naming(
            "destinationrules",
            ("dr",),
            (Column("Host", ".spec.host", "The service that it is for"), _AGE),
        ),
        "Gateway": Naming("gateways", ("gw",)),
        "ServiceEntry": Naming(
            "serviceentries",
            ("se",),
            (
                Column("Hosts", ".spec.hosts", "Hosts of the service"),
                Column("Location", ".spec.location", "Outside (MESH_EXTERNAL) or inside of the mesh"),
                Column("Resolution", ".spec.resolution", "How endpoints are found"),
                _AGE,
            ),
        ),
        "Sidecar": Naming("sidecars"),
        "WorkloadEntry": Naming(
            "workloadentries",
            ("we",),
            (_AGE, Column("Address", ".spec.address", "The workload's address")),
            (ADDRESS_REQUIRED,),
        ),
        "WorkloadGroup": Naming("workloadgroups", ("wg",), (_AGE,)),
        "ProxyConfig": Naming("proxyconfigs"),
        "EnvoyFilter": Naming("envoyfilters"),
        "PeerAuthentication": Naming(
            "peerauthentications",
            ("pa",),
            (Column("Mode", ".spec.mtls.mode", "What is accepted: mTLS, plain text or both"), _AGE),
        ),
        "RequestAuthentication": Naming("requestauthentications", ("ra",)),
        "AuthorizationPolicy": Naming(
            "authorizationpolicies",
            ("ap",),
            (Column("Action", ".spec.action", "What a match means"), _AGE),
        ),
        "Telemetry": Naming("telemetries", ("telemetry",), (_AGE,)),
        "WasmPlugin": Naming("wasmplugins", (), (_AGE,)),
        "TrafficExtension": Naming("trafficextensions", (), (_AGE,)),
    }
)
"""Kind -> its naming. A kind of config/kinds.ISTIO that is missing here fails a test."""


def definition(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind. All versions have the same schema; the kind's first one is stored."""
    naming = NAMING[kind.name]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{naming.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "names": _names(kind, naming),
            "scope": "Namespaced",
            "versions": [
                _version(kind, naming, version, is_stored=version == kind.versions[0])
                for version in kind.versions
            ],
        },
    }


def _names(kind: Kind, naming: Naming) -> dict[str, Any]:
    names: dict[str, Any] = {
        "categories": ["istio-io", kind.group.replace(".", "-")],
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": naming.plural,
        "singular": kind.name.lower(),
    }
    if naming.short_names:
        names["shortNames"] = list(naming.short_names)
    return names


def _version(kind: Kind, naming: Naming, name: str, *, is_stored: bool) -> dict[str, Any]:
    version: dict[str, Any] = {"name": name, "served": True, "storage": is_stored}
    if naming.columns:
        version["additionalPrinterColumns"] = [
            {
                "name": column.name,
                "type": column.type,
                "jsonPath": column.path,
                "description": column.description,
            }
            for column in naming.columns
        ]
    version["schema"] = {"openAPIV3Schema": object_schema(kind)}
    version["subresources"] = {"status": {}}
    return version


def object_schema(kind: Kind) -> Schema:
    """The schema of a whole object. An API server knows apiVersion, kind and metadata by itself."""
    rules = NAMING[kind.name].rules
    spec = schema(Annotated[kind.spec, *rules] if rules else kind.spec)
    status = {**schema(IstioStatus), "x-kubernetes-preserve-unknown-fields": True}
    found: Schema = {"type": "object", "properties": {"spec": spec, "status": status}}
    if kind.spec_required:
        found["required"] = ["spec"]
    return found
