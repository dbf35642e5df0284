"""Gateways: which servers a gateway workload runs, and what is bound to each."""

from dataclasses import dataclass

from mizzen.config.resource import ResourceKey
from mizzen.config.types.networking import Gateway, Server
from mizzen.derive.gateway_objects import gateway_objects, gateway_reference
from mizzen.derive.inbound import services_of
from mizzen.derive.services import service
from mizzen.derive.workloads import covers
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query


@dataclass(frozen=True, slots=True)
class GatewayServer:
    """One server of a Gateway object. `name` is the gateway's as VirtualServices refer to it: "namespace/name"."""

    key: ResourceKey
    index: int
    server: Server

    @property
    def gateway(self) -> str:
        return gateway_reference(self.key)

    def admits(self, host_owner: str) -> tuple[str, ...]:
        """The host patterns that a VirtualService of a namespace may use here ("namespace/host", ".", "*" forms)."""
        patterns = []
        for entry in self.server.hosts:
            owner, slash, host = entry.partition("/")
            if not slash:
                patterns.append(entry)
            elif owner in {"*", host_owner} or (owner == "." and host_owner == self.key.namespace):
                patterns.append(host)
        return tuple(patterns)


@query
def gateway_servers(db: Database, labels: FrozenMap[str, str]) -> FrozenMap[int, tuple[GatewayServer, ...]]:
    """The servers that a gateway workload runs, by port. Gateway objects of any namespace select it by label, as in
    Istio; an empty selector selects every gateway.
    """
    table: dict[int, list[GatewayServer]] = {}
    for resource in gateway_objects(db):
        spec: Gateway = resource.spec
        if covers(spec.selector, labels):
            for index, server in enumerate(spec.servers):
                if server.port is not None:
                    found = GatewayServer(resource.key, index, server)
                    table.setdefault(server.port.number, []).append(found)
    return FrozenMap({number: tuple(servers) for number, servers in sorted(table.items())})


@query
def bind_port(db: Database, namespace: str, labels: FrozenMap[str, str], number: int) -> int:
    """The port on which a gateway workload listens for a server's port: the target of the Service that selects the
    workload and has that port, else the port itself (Istio's rule).
    """
    for ref in services_of(db, namespace, labels):
        found = service(db, ref)
        port = found.port(number) if found else None
        if port is not None and isinstance(port.target, int):
            return port.target
    return number
