"""Will `image: auto` be replaced by the injector? Where it is not, the Pod cannot start."""

from typing import Any

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.kubernetes import PROXY_CONTAINER, pod_template
from mizzen.analysis.objects import namespace_labels, resources
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path, Resource
from mizzen.config.types.kubernetes import PodSpec
from mizzen.derive.selectors import selects
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, query

_AUTO = "auto"


@analyzer("Pod", "Deployment", codes="IST0146 IST0147")
def injection_auto_images(db: Database, resource: Resource[Any]) -> Findings:
    if isinstance(resource.spec, PodSpec):
        for path in _auto(resource.spec, ("spec",)):
            message = 'the image "auto" was not replaced: the Pod was not injected'
            yield Finding("IST0147", path, message, "make the Pod again where the injector selects it")
        return
    template = pod_template(resource)
    if template is None or _injected(db, resource.key.namespace, FrozenMap(template.labels)):
        return
    for path in _auto(template.pod, ("spec", "template", "spec")):
        message = 'the image "auto" will not be replaced: no injector selects these Pods'
        hint = "label the namespace istio-injection=enabled, or the template sidecar.istio.io/inject=true"
        yield Finding("IST0146", path, message, hint)


def _auto(pod: PodSpec, path: Path) -> list[Path]:
    return [
        (*path, "containers", index, "image")
        for index, container in enumerate(pod.containers)
        if container.name == PROXY_CONTAINER and container.image == _AUTO
    ]


@query
def _injected(db: Database, namespace: str, labels: FrozenMap[str, str]) -> bool:
    """Whether one of Istio's webhooks selects Pods with these labels."""
    of_namespace = namespace_labels(db, namespace) or EMPTY
    return any(
        selects(webhook.namespace_selector, of_namespace) and selects(webhook.object_selector, labels)
        for configuration in resources(db, "MutatingWebhookConfiguration")
        for webhook in configuration.spec.webhooks
        if webhook.name.endswith("istio.io")
    )
