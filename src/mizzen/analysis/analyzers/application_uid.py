"""Does an application run as the proxy's user? Its traffic then passes the sidecar by."""

from typing import Any

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.kubernetes import PROXY_CONTAINER, pod_template
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path, Resource
from mizzen.config.types.kubernetes import PodSpec
from mizzen.incremental import Database

_PROXY_UID = 1337


@analyzer("Pod", "Deployment", codes="IST0144")
def application_uid(_db: Database, resource: Resource[Any]) -> Findings:
    if isinstance(resource.spec, PodSpec):
        yield from _pod(resource.spec, ("spec",))
    elif (template := pod_template(resource)) is not None:
        yield from _pod(template.pod, ("spec", "template", "spec"))


def _pod(pod: PodSpec, path: Path) -> Findings:
    places = [(*path, "securityContext")] if pod.security_context.get("runAsUser") == _PROXY_UID else []
    for index, container in enumerate(pod.containers):
        if container.name != PROXY_CONTAINER and container.security_context.get("runAsUser") == _PROXY_UID:
            places.append((*path, "containers", index, "securityContext"))
    for place in places[:1]:  # one finding names the Pod
        message = f"the user ID {_PROXY_UID} is the proxy's: what runs as it is not captured"
        yield Finding("IST0144", (*place, "runAsUser"), message, "use another user ID")
