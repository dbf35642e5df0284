"""ProxyConfig of networking.istio.io. That of MeshConfig is in mesh_proxy.py."""

from mizzen.config.resource import Resource
from mizzen.config.types.networking import ProxyConfig
from mizzen.config.validation import references, rules
from mizzen.config.validation.rules import Findings


def validate(resource: Resource[ProxyConfig]) -> Findings:
    yield from references.attachment(resource.spec)
    yield from rules.at_least(0, resource.spec.concurrency, ("spec", "concurrency"))
