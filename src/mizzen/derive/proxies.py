"""Proxies: what the configuration of a workload's proxy depends on."""

from mizzen.config.resource import ResourceKey
from mizzen.derive.inbound import instances_at
from mizzen.derive.inputs import SERVICES_BY_NODE
from mizzen.derive.proxy_config import proxy_settings
from mizzen.derive.workloads import workload
from mizzen.incremental import Database, query
from mizzen.model.proxy import Binding, Capture, ProxyKind, ProxyView
from mizzen.model.workload import Family, families_of


@query
def proxy_view(
    db: Database,
    key: ResourceKey,
    kind: ProxyKind,
    binding: Binding | None,
    service_account: str,
    agent: bool,
    capture: Capture,
) -> ProxyView | None:
    """The view of a registered workload's proxy, or of the agent beside it; None where no such workload is registered.

    The service account is the certificate's: whose secrets the proxy may read, no later registration changes.
    """
    found = workload(db, key)
    if found is None:
        return None
    if agent:
        return ProxyView(kind, found.namespace, found.labels, agent=True)
    by_address = (instances_at(db, found.namespace, address) for address in found.addresses)
    captured = (Family.IPV6,) if capture.ipv6 else ()
    return ProxyView(
        kind=kind,
        namespace=found.namespace,
        labels=found.labels,
        ports=found.ports,
        locality=found.locality,
        network=found.network,
        node=found.node if SERVICES_BY_NODE(db, ()) else "",
        binding=binding,
        instances=tuple(instance for instances in by_address for instance in instances),
        service_account=service_account,
        settings=proxy_settings(found.proxy_config),
        container_ports=found.container_ports,
        families=tuple(dict.fromkeys((*families_of(found.addresses), *captured))),
        transparent=capture.transparent,
    )
