"""Endpoints: the addresses behind a service port. The only derivation that a changed address re-runs."""

from collections.abc import Iterator

from mizzen.config.resource import ResourceKey
from mizzen.config.types.networking import ServiceEntry
from mizzen.config.types.networking import WorkloadEntry as EntryEndpoint
from mizzen.derive.authentication import accepts_mutual_tls
from mizzen.derive.inbound import target_port
from mizzen.derive.inputs import RESOURCES, UNHEALTHY
from mizzen.derive.services import service
from mizzen.derive.workloads import selected_workloads
from mizzen.incremental import Database, query
from mizzen.model.service import ServicePort, ServiceRef
from mizzen.model.workload import TLS_MODE_LABEL, Endpoint, Workload


@query
def service_endpoints(db: Database, ref: ServiceRef, port_number: int) -> tuple[Endpoint, ...]:
    """The endpoints of one port, healthy ones only, in a stable order."""
    found = service(db, ref)
    port = found.port(port_number) if found else None
    if found is None or port is None:
        return ()
    workloads = selected_workloads(db, found.namespace, found.selector)
    selected = (
        _workload_endpoint(db, workload, port)
        for workload in workloads
        if UNHEALTHY(db, workload.key) is None
    )
    return (*(endpoint for endpoint in selected if endpoint), *_inline_endpoints(db, ref.source, port))


def _workload_endpoint(db: Database, workload: Workload, port: ServicePort) -> Endpoint | None:
    number = target_port(port, workload.ports)
    if number is None or not workload.address:
        return None
    return Endpoint(
        address=workload.address,
        port=number,
        labels=workload.labels,
        mutual_tls=workload.has_proxy and accepts_mutual_tls(db, workload.namespace, workload.labels, number),
        weight=workload.weight or 1,
        locality=workload.locality,
        workload=workload.name,
        hostname=workload.name,
        namespace=workload.namespace,
        canonical_name=workload.canonical_name,
        canonical_revision=workload.canonical_revision,
        service_account=workload.service_account,
    )


def _inline_endpoints(db: Database, source: ResourceKey, port: ServicePort) -> Iterator[Endpoint]:
    """The endpoints written into a ServiceEntry; without any, a DNS entry's hosts are their own addresses."""
    resource = RESOURCES(db, source)
    if resource is None or not isinstance(resource.spec, ServiceEntry):
        return
    entries: tuple[EntryEndpoint, ...] = resource.spec.endpoints
    for entry in entries:
        default = port.target if isinstance(port.target, int) else port.number
        yield Endpoint(
            address=entry.address,
            port=entry.ports.get(port.name, default),
            labels=entry.labels,
            mutual_tls=entry.labels.get(TLS_MODE_LABEL) == "istio",
            weight=entry.weight or 1,
            locality=entry.locality,
            namespace=source.namespace,
            service_account=entry.service_account,
        )


@query
def service_accounts(db: Database, ref: ServiceRef) -> tuple[tuple[str, str], ...]:
    """The (namespace, service account)s that run a service: whose certificates its callers accept.

    Unhealthy workloads count too: an endpoint that comes and goes must not change a cluster.
    """
    found = service(db, ref)
    if found is None:
        return ()
    workloads = selected_workloads(db, found.namespace, found.selector)
    accounts = {(workload.namespace, workload.service_account) for workload in workloads}
    for port in found.ports[:1]:  # the endpoints of a ServiceEntry are the same for every port
        inline = _inline_endpoints(db, ref.source, port)
        accounts.update((one.namespace, one.service_account) for one in inline if one.service_account)
    return tuple(sorted(accounts))
