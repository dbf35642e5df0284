"""Workloads: the WorkloadEntries and Pods of the configuration, and which of them a selector picks."""

from collections.abc import Mapping
from typing import Any

from mizzen.config import proxy_annotation
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.core import Protocol
from mizzen.config.types.kubernetes import PodSpec, PodStatus
from mizzen.config.types.networking import WorkloadEntry
from mizzen.derive.inputs import RESOURCES, WORKLOADS_BY_LABEL, pod_addresses, workload_labels
from mizzen.derive.topology import labelled_locality, network_of, node_locality
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.workload import Workload


def workload_key(namespace: str, name: str) -> ResourceKey:
    return ResourceKey("WorkloadEntry", namespace, name)


KINDS = ("WorkloadEntry", "Pod")
"""The kinds of workloads."""


@query
def workload(db: Database, key: ResourceKey) -> Workload | None:
    """The workload that a WorkloadEntry or a Pod declares."""
    resource = RESOURCES(db, key)
    if resource is None:
        return None
    if isinstance(resource.spec, WorkloadEntry):
        return _entry(db, resource, resource.spec)
    return _pod(db, resource, resource.spec) if isinstance(resource.spec, PodSpec) else None


def _entry(db: Database, resource: Resource[Any], spec: WorkloadEntry) -> Workload:
    labels = FrozenMap(workload_labels(resource))
    return Workload(
        key=resource.key,
        addresses=(spec.address,) if spec.address else (),
        labels=labels,
        ports=FrozenMap(dict(spec.ports)),
        service_account=spec.service_account or "default",
        network=spec.network or network_of(db, labels),
        locality=(spec.locality or labelled_locality(labels)).rstrip("/"),
        weight=spec.weight or 0,
        proxy_config=resource.annotations.get(proxy_annotation.ANNOTATION, ""),
        hostname=resource.key.name,
    )


_ENDED = frozenset({"Succeeded", "Failed"})


def _pod(db: Database, resource: Resource[Any], spec: PodSpec) -> Workload | None:
    """None once it has ended: its address may be another's by now."""
    status = resource.observed if isinstance(resource.observed, PodStatus) else PodStatus()
    if status.phase in _ENDED:
        return None
    labels = resource.labels
    ports = (
        port
        for container in (*spec.containers, *spec.init_containers)
        for port in container.ports
        if port.name and port.protocol is Protocol.TCP
    )
    return Workload(
        key=resource.key,
        addresses=pod_addresses(resource),
        labels=labels,
        container_ports=FrozenMap({port.name: port.container_port for port in ports}),
        service_account=spec.service_account_name or "default",
        network=network_of(db, labels),
        locality=labelled_locality(labels) or node_locality(db, spec.node_name),
        proxy_config=resource.annotations.get(proxy_annotation.ANNOTATION, ""),
        controller=_controller(resource.key.name, labels),
        hostname=spec.hostname if spec.subdomain else "",
        subdomain=spec.subdomain,
        node=spec.node_name,
        # A Pod that somebody wrote into a file has no conditions.
        ready=all(each.status == "True" for each in status.conditions if each.type == "Ready"),
    )


def _controller(name: str, labels: Mapping[str, str]) -> str:
    """What made a Pod, by the labels that Kubernetes' controllers set and how they name Pods; "" where nothing did."""
    if job := labels.get("batch.kubernetes.io/job-name") or labels.get("job-name"):
        return job
    if template_hash := labels.get("pod-template-hash"):  # Deployment: name-hash-random
        return name.rpartition("-")[0].removesuffix(f"-{template_hash}")
    if "statefulset.kubernetes.io/pod-name" in labels or "controller-revision-hash" in labels:
        return name.rpartition("-")[0]  # StatefulSet: name-number; DaemonSet: name-random
    return ""


def covers(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy a selector. An empty selector covers everything (Istio's WorkloadSelector)."""
    return all(labels.get(name) == value for name, value in selector.items())


@query
def selected_workloads(
    db: Database, kind: str, namespace: str, selector: FrozenMap[str, str]
) -> tuple[Workload, ...]:
    """The workloads of a kind and namespace that a service's selector picks, in the order of their names.

    An empty selector picks none, as in Kubernetes. Only the workloads that carry the selector's first label are
    looked at, so that a change elsewhere re-runs nothing here.
    """
    if not selector:
        return ()
    first = min(selector.items())
    candidates = (workload(db, key) for key in WORKLOADS_BY_LABEL(db, (kind, namespace, *first)))
    return tuple(found for found in candidates if found is not None and covers(selector, found.labels))
