"""Do webhooks of an external control plane say where it is?"""

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path, Resource
from mizzen.incremental import Database

_PREFIXES = (
    "istio-validator",
    "istio-sidecar-injector",
    "istiod-default-validator",
)  # as Istio's installer names them


@analyzer("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", codes="IST0163 IST0164")
def external_control_plane(_db: Database, resource: Resource[Any]) -> Findings:
    if not resource.key.name.startswith(_PREFIXES):
        return
    for index, webhook in enumerate(resource.spec.webhooks):
        config = webhook.client_config
        path = ("webhooks", index, "clientConfig")
        if config.url:
            yield from _url(config.url, (*path, "url"))
        elif config.service is None:
            message = f"{webhook.name} names neither a URL nor a Service"
            yield Finding("IST0163", path, message, "set clientConfig.url to the control plane's host")


def _url(url: str, path: Path) -> Findings:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host:
        yield Finding("IST0163", path, f'"{url}" names no host', "write https://HOST:PORT/...")
        return
    try:
        ip_address(host)
    except ValueError:
        return
    message = f'"{host}" is an address: a certificate for it, and a move of the control plane, are harder than for a name'
    yield Finding("IST0164", path, message, "use a host name")
