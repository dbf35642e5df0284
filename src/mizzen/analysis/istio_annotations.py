"""Istio's annotations: where each belongs, how mature it is, what its value looks like. Facts of istio/api, in our words."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_network
from types import MappingProxyType
from typing import Final

ANY: Final = "Any"


class Maturity(Enum):
    ALPHA = "alpha"
    BETA = "beta"
    STABLE = "stable"


@dataclass(frozen=True, slots=True)
class Annotation:
    name: str
    kinds: tuple[str, ...]  # ANY: all
    maturity: Maturity = Maturity.ALPHA
    deprecated: bool = False
    instead: str = ""  # of a deprecated one


def _whole_number(value: str) -> str:
    return (
        "" if value.isascii() and value.isdecimal() and int(value[:11]) < 2**32 else "expected a whole number"
    )


def _boolean(value: str) -> str:
    return "" if value in {"true", "false"} else "expected true or false"


def _port(value: str) -> str:
    good = value.isascii() and value.isdecimal() and len(value) <= 5 and int(value) <= 65535
    return "" if good else f'"{value[:60]}" is no port'


def _ports(value: str) -> str:
    parts = (part.strip() for part in value.split(",") if part.strip())
    return next(filter(None, map(_port, parts)), "")


def _ports_or_all(value: str) -> str:
    return "" if value == "*" else _ports(value)


def _networks(value: str) -> str:
    for part in (part.strip() for part in value.split(",")):
        try:
            if part not in {"", "*"}:
                ip_network(part, strict=False)
        except ValueError:
            return f'"{part[:60]}" is no network in CIDR notation'
    return ""


def _mode(value: str) -> str:
    return "" if value in {"REDIRECT", "TPROXY", "NONE"} else "expected REDIRECT, TPROXY or NONE"


def _quantity(value: str) -> str:
    """Kubernetes' amounts: 100m, 0.5, 128Mi."""
    good = re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,9})?(m|k|[KMGTPE]i?|e[0-9]{1,2})?", value)
    return "" if good else "expected an amount such as 100m or 128Mi"


VALUES: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "sidecar.istio.io/rewriteAppHTTPProbers": _boolean,
        "sidecar.istio.io/interceptionMode": _mode,
        "sidecar.istio.io/enableCoreDump": _boolean,
        "sidecar.istio.io/proxyCPU": _quantity,
        "sidecar.istio.io/proxyCPULimit": _quantity,
        "sidecar.istio.io/proxyMemory": _quantity,
        "sidecar.istio.io/proxyMemoryLimit": _quantity,
        "status.sidecar.istio.io/port": _port,
        "readiness.status.sidecar.istio.io/initialDelaySeconds": _whole_number,
        "readiness.status.sidecar.istio.io/periodSeconds": _whole_number,
        "readiness.status.sidecar.istio.io/failureThreshold": _whole_number,
        "readiness.status.sidecar.istio.io/applicationPorts": _ports,
        "traffic.sidecar.istio.io/includeOutboundIPRanges": _networks,
        "traffic.sidecar.istio.io/excludeOutboundIPRanges": _networks,
        "traffic.sidecar.istio.io/includeInboundPorts": _ports_or_all,
        "traffic.sidecar.istio.io/excludeInboundPorts": _ports,
        "traffic.sidecar.istio.io/includeOutboundPorts": _ports,
        "traffic.sidecar.istio.io/excludeOutboundPorts": _ports,
    }
)
"""Name -> what is wrong with a value, "" where nothing is."""

_OF_PODS = (
    "sidecar.istio.io/rewriteAppHTTPProbers",
    "sidecar.istio.io/proxyImage",
    "sidecar.istio.io/proxyImageType",
    "sidecar.istio.io/proxyCPU",
    "sidecar.istio.io/proxyCPULimit",
    "sidecar.istio.io/proxyMemory",
    "sidecar.istio.io/proxyMemoryLimit",
    "sidecar.istio.io/interceptionMode",
    "sidecar.istio.io/bootstrapOverride",
    "sidecar.istio.io/userVolume",
    "sidecar.istio.io/userVolumeMount",
    "sidecar.istio.io/enableCoreDump",
    "sidecar.istio.io/logLevel",
    "sidecar.istio.io/componentLogLevel",
    "sidecar.istio.io/agentLogLevel",
    "sidecar.istio.io/extraStatTags",
    "sidecar.istio.io/statsHistogramBuckets",
    "sidecar.istio.io/statsCompression",
    "sidecar.istio.io/statsFlushInterval",
    "sidecar.istio.io/statsEvictionInterval",
    "sidecar.istio.io/nativeSidecar",
    "sidecar.istio.io/status",
    "status.sidecar.istio.io/port",
    "readiness.status.sidecar.istio.io/initialDelaySeconds",
    "readiness.status.sidecar.istio.io/periodSeconds",
    "readiness.status.sidecar.istio.io/failureThreshold",
    "readiness.status.sidecar.istio.io/applicationPorts",
    "traffic.sidecar.istio.io/includeOutboundIPRanges",
    "traffic.sidecar.istio.io/excludeOutboundIPRanges",
    "traffic.sidecar.istio.io/includeInboundPorts",
    "traffic.sidecar.istio.io/excludeInboundPorts",
    "traffic.sidecar.istio.io/includeOutboundPorts",
    "traffic.sidecar.istio.io/excludeOutboundPorts",
    "traffic.sidecar.istio.io/excludeInterfaces",
    "istio.io/reroute-virtual-interfaces",
    "prometheus.istio.io/merge-metrics",
    "proxy.istio.io/overrides",
    "inject.istio.io/templates",
    "ambient.istio.io/bypass-inbound-capture",
    "ambient.istio.io/dns-capture",
)
_GIVEN_UP = (
    "alpha.istio.io/identity",
    "sidecar.istio.io/controlPlaneAuthPolicy",
    "sidecar.istio.io/discoveryAddress",
    "sidecar.istio.io/statsInclusionPrefixes",
    "sidecar.istio.io/statsInclusionSuffixes",
    "sidecar.istio.io/statsInclusionRegexps",
    "traffic.sidecar.istio.io/kubevirtInterfaces",
)
_OF_WORKLOAD_ENTRIES = (
    "istio.io/autoRegistrationGroup",
    "istio.io/workloadController",
    "istio.io/connectedAt",
    "istio.io/disconnectedAt",
)
_OF_GATEWAYS = (
    "networking.istio.io/address-type",
    "networking.istio.io/service-type",
    "gateway.istio.io/service-account",
    "gateway.istio.io/name-override",
)
_OF_ANYTHING = (
    "install.operator.istio.io/chart-owner",
    "install.operator.istio.io/owner-generation",
    "install.operator.istio.io/version",
    "galley.istio.io/analyze-suppress",
)


def _all() -> Iterator[Annotation]:
    beta, stable = Maturity.BETA, Maturity.STABLE
    yield from (Annotation(name, ("Pod",)) for name in _OF_PODS)
    yield from (Annotation(name, ("Pod",), deprecated=True) for name in _GIVEN_UP)
    yield from (Annotation(name, ("WorkloadEntry",)) for name in _OF_WORKLOAD_ENTRIES)
    yield from (Annotation(name, ("Gateway",)) for name in _OF_GATEWAYS)
    yield from (Annotation(name, (ANY,)) for name in _OF_ANYTHING)
    for name in ("alpha.istio.io/kubernetes-serviceaccounts", "alpha.istio.io/canonical-serviceaccounts"):
        yield Annotation(name, ("Service",), deprecated=True)
    yield Annotation("networking.istio.io/exportTo", ("Service",))
    yield Annotation("networking.istio.io/traffic-distribution", ("Service",), beta)
    yield Annotation(
        "sidecar.istio.io/inject",
        ("Pod",),
        beta,
        deprecated=True,
        instead="the label sidecar.istio.io/inject",
    )
    yield Annotation("proxy.istio.io/config", ("Pod",), beta)
    yield Annotation("kubernetes.io/ingress.class", ("Ingress",), stable)
    yield Annotation("istio.io/dry-run", ("AuthorizationPolicy",))
    yield Annotation("topology.istio.io/controlPlaneClusters", ("Namespace",))
    # What Istio's controllers write themselves, on whatever they make.
    for name in ("gateway.istio.io/controller-version", "istio.io/rev", "ambient.istio.io/redirection"):
        yield Annotation(name, (ANY,), beta)


ANNOTATIONS: Mapping[str, Annotation] = MappingProxyType(
    {annotation.name: annotation for annotation in _all()}
)


def is_istio(name: str) -> bool:
    """Whether an annotation is in Istio's name space. kubernetes.io/ingress.class counts: Istio documents it."""
    return name == "kubernetes.io/ingress.class" or name.partition("/")[0].endswith("istio.io")
