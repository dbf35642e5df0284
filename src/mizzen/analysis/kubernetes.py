"""What analysis reads of Kubernetes' objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mizzen.analysis.objects import spec_of
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.gateway_api import GatewaySpec
from mizzen.config.types.kubernetes import (
    Container,
    CronJobSpec,
    PodSpec,
    ReplicationControllerSpec,
    WorkloadSpec,
)
from mizzen.incremental import Database, query

PROXY_CONTAINER: Final = "istio-proxy"
KUBERNETES_GATEWAY: Final = "KubernetesGateway"
"""In keys: the Gateway API's Gateway."""

TEMPLATED: Final = (
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "ReplicationController",
)
"""The kinds that make Pods."""

_INJECT: Final = "sidecar.istio.io/inject"

_SYSTEM: Final = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})


def is_system_namespace(namespace: str) -> bool:
    """Whether the namespace is Kubernetes' own."""
    return namespace in _SYSTEM


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """The Pods that an object makes."""

    pod: PodSpec
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def pod_template(resource: Resource[Any]) -> PodTemplate | None:
    """Of a Deployment and its kin; None for other objects."""
    spec = resource.spec
    maker = spec.job_template.spec if isinstance(spec, CronJobSpec) else spec
    if not isinstance(maker, WorkloadSpec | ReplicationControllerSpec):
        return None
    template = maker.template
    return PodTemplate(template.spec, template.metadata.labels, template.metadata.annotations)


def proxy_containers(pod: PodSpec) -> list[Container]:
    """The proxy's container: among the others, or (a native sidecar) among the init containers."""
    return [each for each in (*pod.containers, *pod.init_containers) if each.name == PROXY_CONTAINER]


def has_proxy(pod: PodSpec) -> bool:
    return any(container.image for container in proxy_containers(pod))


def injection_switch(labels: Mapping[str, str], annotations: Mapping[str, str]) -> bool | None:
    """What a Pod says about its own injection, label over annotation; None: nothing."""
    value = labels.get(_INJECT, annotations.get(_INJECT))
    return None if value is None else value.lower() == "true"


@query
def gateway_hostnames(db: Database, namespace: str, name: str) -> tuple[str, ...] | None:
    """The hosts that a Gateway API gateway listens for; None: there is no such gateway."""
    spec = spec_of(db, ResourceKey(KUBERNETES_GATEWAY, namespace, name), GatewaySpec)
    return None if spec is None else tuple(listener.hostname or "*" for listener in spec.listeners)
