"""Endpoints: the addresses behind a service port. The only derivation that a changed address re-runs."""

from collections.abc import Iterator

from mizzen.config.resource import ResourceKey
from mizzen.config.types.networking import ServiceEntry
from mizzen.config.types.networking import WorkloadEntry as EntryEndpoint
from mizzen.derive.authentication import accepts_mutual_tls
from mizzen.derive.inbound import target_port
from mizzen.derive.inputs import DRAINING, RESOURCES, UNHEALTHY
from mizzen.derive.services import service, services_of_host
from mizzen.derive.slices import has_slices, sliced_endpoints, sliced_pods
from mizzen.derive.workloads import KINDS, selected_workloads, workload
from mizzen.incremental import Database, query
from mizzen.model.service import Service, ServicePort, ServiceRef
from mizzen.model.workload import TLS_MODE_LABEL, Endpoint, Workload, family_of


@query
def service_endpoints(db: Database, ref: ServiceRef, port_number: int) -> tuple[Endpoint, ...]:
    """The endpoints of one port in a stable order: healthy ones, and those that are not ready where the service wants it."""
    found = service(db, ref)
    port = found.port(port_number) if found else None
    if found is None or port is None:
        return ()
    merged = {(each.address, each.port): each for each in _own_endpoints(db, found, port)}
    for namesake in _namesakes(db, found):
        same = next((each for each in namesake.ports if each.name == port.name), None)
        for endpoint in _own_endpoints(db, namesake, same) if same else ():
            merged.setdefault((endpoint.address, endpoint.port), endpoint)
    return tuple(merged.values())


def _namesakes(db: Database, found: Service) -> Iterator[Service]:
    """The other services of a namespace with the same host: what is behind a port of one is behind the others' ports of
    that name. So a ServiceEntry adds endpoints to a Kubernetes Service (Istio's rule).
    """
    for ref, _ in services_of_host(db, found.host):
        other = service(db, ref) if ref.namespace == found.namespace and ref != found.ref else None
        if other is not None and other.resolution is found.resolution:
            yield other


def _own_endpoints(db: Database, found: Service, port: ServicePort) -> Iterator[Endpoint]:
    yield from _of_workloads(db, found, port, "WorkloadEntry")
    if _has_slices(db, found.ref):
        yield from _of_slices(db, found, port)
    else:
        yield from _of_workloads(db, found, port, "Pod")
    yield from _inline_endpoints(db, found.ref.source, port)


def _has_slices(db: Database, ref: ServiceRef) -> bool:
    """Whether Kubernetes says what is behind a Service. Where nobody does, the Pods that it selects are."""
    return ref.source.kind == "Service" and has_slices(db, ref.namespace, ref.source.name)


def _of_workloads(db: Database, found: Service, port: ServicePort, kind: str) -> Iterator[Endpoint]:
    for one in selected_workloads(db, kind, found.namespace, found.selector):
        number = target_port(port, one.ports, one.container_ports)
        ready = _takes_traffic(found, UNHEALTHY(db, one.key), ready=one.ready)
        addresses = one.addresses if kind == "WorkloadEntry" else _of_families(one.addresses, found)
        if number is not None and addresses and ready:
            hostname = one.hostname if one.subdomain in {"", found.name} else ""
            yield _endpoint(db, one, addresses, number, hostname)


def _takes_traffic(found: Service, unhealthy: str | None, *, ready: bool) -> bool:
    """A service may want those that are not ready, too, but nobody wants one that is about to end."""
    return unhealthy != DRAINING if found.publishes_not_ready else ready and unhealthy is None


def _of_families(addresses: tuple[str, ...], found: Service) -> tuple[str, ...]:
    """Those addresses of a Pod that are of the service's IP families. A WorkloadEntry has the one that it has."""
    return tuple(each for each in addresses if family_of(each) in {None, *found.families})


def _of_slices(db: Database, found: Service, port: ServicePort) -> Iterator[Endpoint]:
    for sliced in sliced_endpoints(db, found.namespace, found.ref.source.name, port.name):
        if not sliced.ready:
            continue
        if sliced.pod is None:
            first, *more = sliced.addresses
            yield Endpoint(
                first, sliced.port, tuple(more), hostname=sliced.hostname, namespace=found.namespace
            )
            continue
        pod = workload(db, sliced.pod)
        if pod is not None and _takes_traffic(found, UNHEALTHY(db, sliced.pod), ready=True):
            yield _endpoint(db, pod, sliced.addresses, sliced.port, sliced.hostname)


def _endpoint(
    db: Database, found: Workload, addresses: tuple[str, ...], port: int, hostname: str
) -> Endpoint:
    first, *more = addresses
    return Endpoint(
        address=first,
        port=port,
        more=tuple(more),
        labels=found.labels,
        mutual_tls=found.has_proxy and accepts_mutual_tls(db, found.namespace, found.labels, port),
        weight=found.weight or 1,
        locality=found.locality,
        network=found.network,
        node=found.node,
        workload=found.owner,
        hostname=hostname,
        namespace=found.namespace,
        canonical_name=found.canonical_name,
        canonical_revision=found.canonical_revision,
        service_account=found.service_account,
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
            network=entry.network,
            namespace=source.namespace,
            service_account=entry.service_account,
        )


@query
def takes_mutual_tls_throughout(db: Database, ref: ServiceRef, port_number: int) -> bool:
    """Whether no endpoint of a port would be left out by mutual TLS. That there is none just now says nothing: the last
    that goes must not change its cluster.
    """
    return all(endpoint.mutual_tls for endpoint in service_endpoints(db, ref, port_number))


@query
def service_accounts(db: Database, ref: ServiceRef) -> tuple[tuple[str, str], ...]:
    """The (namespace, service account)s that run a service: whose certificates its callers accept.

    Unhealthy workloads count too: an endpoint that comes and goes must not change a cluster.
    """
    found = service(db, ref)
    if found is None:
        return ()
    accounts: set[tuple[str, str]] = set()
    for each in (found, *_namesakes(db, found)):
        accounts.update((one.namespace, one.service_account) for one in _workloads_behind(db, each))
        for port in each.ports[:1]:  # the endpoints of a ServiceEntry are the same for every port
            inline = _inline_endpoints(db, each.ref.source, port)
            accounts.update((one.namespace, one.service_account) for one in inline if one.service_account)
    return tuple(sorted(accounts))


def _workloads_behind(db: Database, found: Service) -> Iterator[Workload]:
    """The workloads that may run a service, whatever their state."""
    for kind in KINDS:
        yield from selected_workloads(db, kind, found.namespace, found.selector)
    if _has_slices(db, found.ref):
        pods = (workload(db, key) for key in sliced_pods(db, found.namespace, found.ref.source.name))
        yield from (pod for pod in pods if pod is not None)
