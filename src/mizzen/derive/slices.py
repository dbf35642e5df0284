"""EndpointSlices: the addresses that Kubernetes has found behind a Service.

Source: Istio's reading of them: an endpoint is its Pod with that Pod's labels and identity; one whose Pod is not known yet
is left out until it is; one that names no Pod is found by its address, or is nobody's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mizzen.config.resource import ResourceKey
from mizzen.config.types.kubernetes import AddressType, Endpoint, EndpointSlice
from mizzen.derive.inputs import PODS_BY_ADDRESS, RESOURCES, SLICES_BY_SERVICE
from mizzen.incremental import Database, query


@dataclass(frozen=True, slots=True)
class SliceEndpoint:
    """One endpoint of a Service's port: its addresses, one an IP family, and the Pod behind them."""

    addresses: tuple[str, ...]
    port: int
    pod: ResourceKey | None
    ready: bool
    hostname: str
    node: str


@query
def has_slices(db: Database, namespace: str, service: str) -> bool:
    return bool(SLICES_BY_SERVICE(db, (namespace, service)))


@query
def sliced_endpoints(db: Database, namespace: str, service: str, port_name: str) -> tuple[SliceEndpoint, ...]:
    """The endpoints of a Service's port by all of its slices. The slices of both IP families become one endpoint a Pod."""
    merged: dict[tuple[object, int], SliceEndpoint] = {}
    for key in SLICES_BY_SERVICE(db, (namespace, service)):
        for found in _of_slice(db, key, port_name):
            place = (found.pod or found.addresses[:1], found.port)
            known = merged.get(place)
            merged[place] = found if known is None else _joined(known, found)
    return tuple(merged.values())


def _joined(one: SliceEndpoint, other: SliceEndpoint) -> SliceEndpoint:
    """IPv4 first, so that the order of the slices says nothing. Ready if either is."""
    addresses = sorted({*one.addresses, *other.addresses}, key=lambda address: (":" in address, address))
    return SliceEndpoint(
        tuple(addresses),
        one.port,
        one.pod,
        one.ready or other.ready,
        one.hostname or other.hostname,
        one.node or other.node,
    )


def _of_slice(db: Database, key: ResourceKey, port_name: str) -> Iterator[SliceEndpoint]:
    resource = RESOURCES(db, key)
    spec = resource.spec if resource is not None else None
    if not isinstance(spec, EndpointSlice) or spec.address_type is AddressType.FQDN:
        return  # names as addresses: deprecated by Kubernetes, never read by Istio
    number = next((port.port for port in spec.ports if port.name == port_name), None)
    if number is None:
        return
    for endpoint in spec.endpoints:
        pod = _target(endpoint, key.namespace)
        for address in endpoint.addresses[:1]:  # several were never in use: consumers take the first
            yield SliceEndpoint(
                addresses=(address,),
                port=number,
                pod=pod or next(iter(PODS_BY_ADDRESS(db, address)), None),
                ready=endpoint.conditions.ready is not False,
                hostname=endpoint.hostname,
                node=endpoint.node_name,
            )


def _target(endpoint: Endpoint, namespace: str) -> ResourceKey | None:
    target = endpoint.target_ref
    if target is None or target.kind != "Pod":
        return None
    return ResourceKey("Pod", target.namespace or namespace, target.name)


@query
def sliced_pods(db: Database, namespace: str, service: str) -> tuple[ResourceKey, ...]:
    """The Pods that the slices of a Service name, whatever their state."""
    resources = (RESOURCES(db, key) for key in SLICES_BY_SERVICE(db, (namespace, service)))
    targets = (
        _target(endpoint, namespace)
        for resource in resources
        if resource is not None and isinstance(resource.spec, EndpointSlice)
        for endpoint in resource.spec.endpoints
    )
    return tuple(sorted({target for target in targets if target is not None}))
