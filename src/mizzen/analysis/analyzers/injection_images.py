"""Do the sidecars of a namespace run the image that the injector gives now?"""

from typing import Any

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.injector import image_type, injected_image
from mizzen.analysis.kubernetes import proxy_containers
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.kubernetes import PodSpec
from mizzen.derive.inputs import BY_NAMESPACE, RESOURCES
from mizzen.incremental import Database, query

_OWN_IMAGE = "sidecar.istio.io/proxyImage"
_MOST_NAMED = 5  # Pods in one message


@analyzer("Namespace", codes="IST0158")
def injection_images(db: Database, resource: Resource[Any]) -> Findings:
    labels, namespace = resource.labels, resource.key.name
    revision = labels.get("istio.io/rev")
    if labels.get("istio-injection") != "enabled" and revision is None:
        return
    image = injected_image(db, revision or "")
    if not image:
        return
    outdated = [key.name for key in BY_NAMESPACE(db, ("Pod", namespace)) if _differs(db, key, image)]
    if outdated:
        named = ", ".join(outdated[:_MOST_NAMED]) + (", ..." if len(outdated) > _MOST_NAMED else "")
        message = f"another proxy than {image} runs in {named}"
        yield Finding(
            "IST0158", ("metadata", "name"), message, "restart them after an upgrade of the control plane"
        )


@query
def _differs(db: Database, key: ResourceKey, image: str) -> bool:
    """Whether a Pod runs a proxy other than the injected one, in the variant that holds for the Pod."""
    resource = RESOURCES(db, key)
    if resource is None or not isinstance(resource.spec, PodSpec) or resource.annotations.get(_OWN_IMAGE):
        return False
    accepted = {image, f"{image}-{image_type(db, key)}"}
    return any(container.image not in accepted for container in proxy_containers(resource.spec))
