"""What Kubernetes gives every pod and the lab gives every workload: Service addresses that work, and a name server.

With a sidecar neither is used: it takes the connection first, and its agent answers the names.
"""

import asyncio
import ipaddress
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from mizzen.agent.dns import DnsServer
from mizzen.agent.dns_names import NameTable
from mizzen.agent.dns_upstream import Upstream
from mizzen.agent.nftables import (
    Chain,
    Rule,
    Table,
    destination_address,
    destination_port,
    jump,
    masquerade,
    one_in,
    replace_table,
    rule,
    send_to,
    source_address,
    transport,
)
from mizzen.lab.local_http import get
from mizzen.model.name import Name

_POLL_SECONDS = 0.25
_ANSWER_SECONDS = 5.0
_DNS_PORT = 53
_OF_SERVICES = ".svc.cluster.local"
D = TypeVar("D", bound=msgspec.Struct)


class ServiceAddress(msgspec.Struct, frozen=True):
    address: str
    port: int
    endpoints: tuple[tuple[str, int], ...]


class _Addresses(msgspec.Struct):
    addresses: tuple[ServiceAddress, ...]


class _Name(msgspec.Struct, rename="camel"):
    addresses: tuple[str, ...]
    external_name: str


class _Names(msgspec.Struct):
    names: dict[str, _Name]


def service_table(services: Sequence[ServiceAddress]) -> Table:
    """Spreads the connections to each Service over its endpoints, as kube-proxy does. IPv4 only."""
    known = [service for service in services if _is_ipv4(service.address)]
    endpoints = sorted({address for service in known for address, _ in service.endpoints})
    return Table(
        "mizzen-services",
        (
            Chain("services", tuple(found for service in known for found in _service_rules(service))),
            Chain("arriving", (rule(transport("tcp"), jump("services")),), hook="prerouting"),
            # Who calls a Service and is chosen itself would take its own address for a forgery.
            Chain(
                "leaving",
                tuple(
                    rule(source_address(address), destination_address(address), masquerade())
                    for address in endpoints
                ),
                hook="postrouting",
                priority=100,
            ),
        ),
    )


def _service_rules(service: ServiceAddress) -> Iterator[Rule]:
    here = (destination_address(service.address), destination_port(service.port))
    endpoints = [endpoint for endpoint in service.endpoints if _is_ipv4(endpoint[0])]
    for left, (address, port) in zip(range(len(endpoints), 0, -1), endpoints, strict=True):
        yield rule(*here, *((one_in(left),) if left > 1 else ()), send_to(address, port))


def _is_ipv4(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).version == 4
    except ValueError:  # a name, of an endpoint of a ServiceEntry
        return False


async def keep_service_addresses(admin_socket: Path) -> None:
    """Runs until cancelled. While the daemon is away the last rules stay in force."""
    in_force: _Addresses | None = None
    while True:
        found = await _ask(admin_socket, "/api/v1/service-addresses", _Addresses)
        if found is not None and found != in_force:
            replace_table(service_table(found.addresses))
            in_force = found
        await asyncio.sleep(_POLL_SECONDS)


async def keep_name_server(admin_socket: Path, address: str) -> None:
    """Answers DNS on the address until cancelled, about Services alone: what a ServiceEntry names, the mesh knows."""
    table: NameTable | None = None
    server = DnsServer(lambda: table, Upstream((), mark=0))
    await server.start(address, _DNS_PORT)
    try:
        while True:
            found = await _ask(admin_socket, "/api/v1/names", _Names)
            if found is not None:
                of_services = {name: one for name, one in found.names.items() if name.endswith(_OF_SERVICES)}
                table = NameTable(
                    "default",
                    {name: Name(one.addresses, one.external_name) for name, one in of_services.items()},
                )
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        await server.close()


async def _ask(admin_socket: Path, path: str, expected: type[D]) -> D | None:
    answer = await get(admin_socket, path, _ANSWER_SECONDS)
    if answer is None or answer[0] != 200:
        return None
    try:
        return msgspec.json.decode(answer[1], type=expected)
    except msgspec.DecodeError:
        return None
