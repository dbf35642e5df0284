"""MeshNetworks."""

from mizzen.config.resource import Path, Resource
from mizzen.config.types.mesh import MeshNetworks, Network
from mizzen.config.validation import hosts, ports, rules
from mizzen.config.validation.rules import Findings, invalid


def validate(resource: Resource[MeshNetworks]) -> Findings:
    for name, network in resource.spec.networks.items():
        yield from _network(network, ("spec", "networks", name))


def _network(network: Network, path: Path) -> Findings:
    for index, endpoints in enumerate(network.endpoints):
        here = (*path, "endpoints", index)
        yield from rules.at_most_one(endpoints, ("from_cidr", "from_registry"), here)
        if endpoints.from_cidr is not None and not hosts.is_subnet(endpoints.from_cidr):
            yield invalid((*here, "fromCidr"), f'"{endpoints.from_cidr}" is no subnet', 'write "10.0.0.0/8"')
        if endpoints.from_registry is not None and not hosts.is_label(endpoints.from_registry):
            message = f'"{endpoints.from_registry}" is no name of a cluster'
            yield invalid((*here, "fromRegistry"), message, "use letters, digits and '-'")
    for index, gateway in enumerate(network.gateways):
        here = (*path, "gateways", index)
        yield from rules.at_most_one(gateway, ("registry_service_name", "address"), here)
        if gateway.registry_service_name is not None and not hosts.is_host(gateway.registry_service_name):
            message = f'"{gateway.registry_service_name}" is no full name of a service'
            yield invalid((*here, "registryServiceName"), message, "write name.namespace.svc.cluster.local")
        if gateway.address is not None:
            yield from hosts.host(gateway.address, (*here, "address"))
        yield from ports.port(gateway.port, (*here, "port"))
