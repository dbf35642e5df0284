"""Are namespaces and Pods set up to get sidecars?"""

from typing import Any

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.injector import injects_by_default
from mizzen.analysis.kubernetes import has_proxy, injection_switch, is_system_namespace
from mizzen.analysis.objects import namespace_labels
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.kubernetes import PodSpec
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database

_LABEL = "istio-injection"
_REVISION = "istio.io/rev"
_MODE = "istio.io/dataplane-mode"
_CONTROL_PLANE = "istio-system"


@analyzer("Namespace", "Pod", codes="IST0102 IST0103 IST0123 IST0148")
def injection(db: Database, resource: Resource[Any]) -> Findings:
    if resource.key.kind == "Namespace":
        yield from _namespace(db, resource)
    else:
        yield from _pod(db, resource)


def _namespace(db: Database, resource: Resource[Any]) -> Findings:
    name, labels = resource.key.name, resource.labels
    if name == _CONTROL_PLANE or is_system_namespace(name):
        return
    contradicting = _contradicting(labels)
    if len(contradicting) > 1:
        message = f"labels that exclude each other: {', '.join(contradicting)}"
        yield Finding("IST0123", ("metadata", "labels"), message, "keep one of them")
    if labels.get(_MODE) == "ambient" or labels.get(_LABEL) or _REVISION in labels:
        return
    if injects_by_default(db, labels.get(_REVISION, "")):
        message = "sidecars are injected here, because the injector's default is to inject"
        yield Finding(
            "IST0148", ("metadata", "name"), message, f"add the label {_LABEL}=disabled if that is not meant"
        )
    else:
        message = f"no sidecars are injected in {name}"
        hint = (
            f"add the label {_LABEL}=enabled to inject them, or {_LABEL}=disabled to say that this is meant"
        )
        yield Finding("IST0102", ("metadata", "name"), message, hint)


def _contradicting(labels: FrozenMap[str, str]) -> list[str]:
    """The labels that each ask for one kind of data plane. One that says "disabled" overrules, and contradicts none."""
    legacy = labels.get(_LABEL)
    given = [f"{_LABEL}={legacy}"] if legacy is not None else []
    if legacy in {None, "enabled"}:
        given += [f"{name}={labels[name]}" for name in (_REVISION, _MODE) if name in labels]
    return given


def _pod(db: Database, resource: Resource[PodSpec]) -> Findings:
    labels = namespace_labels(db, resource.key.namespace)
    if labels is None or not _injected(labels):
        return
    if injection_switch(resource.labels, resource.annotations) is False or resource.spec.host_network:
        return
    if not has_proxy(resource.spec):
        message = f"the Pod has no sidecar, though {resource.key.namespace} injects them"
        yield Finding(
            "IST0103", ("metadata", "name"), message, "restart it: sidecars are injected when a Pod is made"
        )


def _injected(labels: FrozenMap[str, str]) -> bool:
    """Whether the namespace clearly asks for sidecars; one with contradicting labels does not."""
    legacy, revised = labels.get(_LABEL), _REVISION in labels
    return (revised and not legacy) or (legacy == "enabled" and not revised)
