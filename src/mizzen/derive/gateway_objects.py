"""All Gateways of the mesh: those that are written, and those that Ingresses stand for."""

from dataclasses import replace

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import Gateway
from mizzen.derive import ingress
from mizzen.derive.authentication import age
from mizzen.derive.inputs import BY_KIND, RESOURCES
from mizzen.derive.namespaces import is_discovered
from mizzen.incremental import Database, query


@query
def gateway_objects(db: Database) -> tuple[Resource[Gateway], ...]:
    """The oldest first. That of an Ingress has the Ingress's key."""
    keys = (*BY_KIND(db, "Gateway"), *BY_KIND(db, ingress.KIND))
    found = (_gateway(db, key) for key in keys if is_discovered(db, key.namespace))
    return tuple(sorted((resource for resource in found if resource is not None), key=age))


def _gateway(db: Database, key: ResourceKey) -> Resource[Gateway] | None:
    resource: Resource[Gateway] | None = RESOURCES(db, key)
    if resource is None or key.kind != ingress.KIND:
        return resource
    spec = ingress.ingress_gateway(db, key)
    return replace(resource, spec=spec) if spec is not None else None


def gateway_reference(key: ResourceKey) -> str:
    """The name by which VirtualServices refer to a Gateway: "namespace/name"."""
    return ingress.gateway_of(key) if key.kind == ingress.KIND else f"{key.namespace}/{key.name}"
