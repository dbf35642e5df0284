"""Which addresses a port of a service asks listeners for.

Source: Istio's sidecar listeners: HTTP tells services apart by host name, so all share the wildcard address; what is not
(or perhaps not) HTTP gets a listener by address, because there the address is all that tells services apart.
"""

from dataclasses import dataclass

from mizzen.config.validation.hosts import is_address
from mizzen.derive.addresses import virtual_addresses
from mizzen.derive.endpoints import service_endpoints
from mizzen.derive.services import service
from mizzen.incremental import Database, query
from mizzen.model.service import Protocol, Resolution, Service, ServiceRef
from mizzen.translate.listeners.network import ANY_ADDRESS


@dataclass(frozen=True, slots=True)
class Claim:
    """One port of a service at one address. `subnets` narrow a claim on the wildcard address."""

    address: str
    port: int
    protocol: Protocol
    service: ServiceRef
    subnets: tuple[str, ...] = ()


@query
def claims(db: Database, ref: ServiceRef, port: int, protocol: Protocol) -> tuple[Claim, ...]:
    """The claims of a service's port that is called by a protocol. Only for a headless service, and not for HTTP, do
    they depend on its endpoints.
    """
    found = service(db, ref)
    if found is None or found.external_name or not protocol.is_stream:
        return ()  # another name of a service has its listeners
    if protocol.is_http:
        return (Claim(ANY_ADDRESS, port, protocol, ref),)
    addresses = virtual_addresses(db, ref)
    if found.subnets:
        shared = Claim(ANY_ADDRESS, port, protocol, ref, found.subnets)
        return (shared, *(Claim(address, port, protocol, ref) for address in addresses))
    return tuple(Claim(address, port, protocol, ref) for address in addresses or _instances(db, found, port))


def _instances(db: Database, found: Service, port: int) -> tuple[str, ...]:
    """Where a service without an address is called: at each of its instances, if the caller chooses the instance; else
    at any address. One without a single instance gets no listener, so that it cannot take the wildcard from others.
    """
    if not found.headless and found.resolution is not Resolution.NONE:
        return (ANY_ADDRESS,)
    endpoints = service_endpoints(db, found.ref, port)
    if not endpoints and not found.headless and not found.selector:
        return (ANY_ADDRESS,)  # a ServiceEntry that lists nobody means everybody
    # An endpoint may have a host name, at which nothing can listen.
    return tuple(sorted({one.address for one in endpoints if is_address(one.address)}))
