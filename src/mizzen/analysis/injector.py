"""What the sidecar injector would do: its settings are in a ConfigMap per revision, as Istio's installer writes it."""

import json
from collections.abc import Mapping
from typing import Any, Final

from mizzen.analysis.objects import labels_of, resources, spec_of
from mizzen.config.documents import DocumentError, split
from mizzen.config.resource import ResourceKey
from mizzen.config.types.kubernetes import ConfigMap
from mizzen.config.types.networking import ProxyConfig
from mizzen.derive.inputs import BY_KIND, RESOURCES
from mizzen.derive.mesh import mesh_config, root_namespace
from mizzen.derive.workloads import covers
from mizzen.frozen import EMPTY
from mizzen.incremental import Database, query

_NAME: Final = "istio-sidecar-injector"
_OWN_CONFIG: Final = "proxy.istio.io/config"


@query
def _settings(db: Database, revision: str) -> str:
    """The injector's values as JSON; "" where there is no injector of this revision."""
    name = _NAME if revision in {"", "default"} else f"{_NAME}-{revision}"
    for key in BY_KIND(db, "ConfigMap"):
        if key.name == name:
            spec = spec_of(db, key, ConfigMap)
            return spec.data.get("values", "") if spec else ""
    return ""


def _values(db: Database, revision: str) -> Mapping[str, Any]:
    try:
        values = json.loads(_settings(db, revision) or "{}")
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _member(value: object, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


@query
def injects_by_default(db: Database, revision: str) -> bool:
    """Whether namespaces without a label are injected."""
    return _member(_values(db, revision), "sidecarInjectorWebhook", "enableNamespacesByDefault") is True


@query
def injected_image(db: Database, revision: str) -> str:
    """The proxy's image that Pods get; "" where it is not known."""
    settings = _member(_values(db, revision), "global")
    image = _member(settings, "proxy", "image")
    if not isinstance(image, str) or not image:
        return ""
    hub, tag = _member(settings, "hub"), _member(settings, "tag")
    return image if "/" in image else f"{hub}/{image}:{tag}"


@query
def image_type(db: Database, pod: ResourceKey) -> str:
    """The variant of the image that holds for a Pod: its annotation's, its ProxyConfig's, or the mesh's; "" for none.

    The ProxyConfig that selects the Pod wins over the namespace's, and that over the mesh's (root namespace).
    """
    resource = RESOURCES(db, pod)
    annotation = resource.annotations.get(_OWN_CONFIG, "") if resource is not None else ""
    if own := _type_in(annotation):
        return own
    labels = labels_of(db, pod)
    scopes = dict.fromkeys((pod.namespace, root_namespace(db)))
    for selecting in (True, False):
        for scope in scopes:
            for config in resources(db, "ProxyConfig", scope):
                spec: ProxyConfig = config.spec
                selector = spec.selector.match_labels if spec.selector else EMPTY
                if (
                    bool(selector) is selecting
                    and covers(selector, labels)
                    and spec.image
                    and spec.image.image_type
                ):
                    return spec.image.image_type
    image = mesh_config(db).default_config.image
    return image.image_type if image else ""


def _type_in(annotation: str) -> str:
    """image.imageType of a ProxyConfig written in YAML."""
    for document in split(annotation, _OWN_CONFIG) if annotation else ():
        try:
            value = document.value()
        except DocumentError:
            return ""
        found = _member(value, "image", "imageType")
        return found if isinstance(found, str) else ""
    return ""
