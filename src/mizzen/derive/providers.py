"""Services that the mesh's own machinery calls: the extension providers of MeshConfig, and where they are."""

from mizzen.config.types.providers import (
    EnvoyFileAccessLogProvider,
    ExtensionProvider,
    PrometheusMetricsProvider,
)
from mizzen.derive.age import age
from mizzen.derive.endpoints import service_endpoints
from mizzen.derive.inputs import RESOURCES, SERVICES_BY_HOST
from mizzen.derive.mesh import mesh_config
from mizzen.derive.services import declared_services, service
from mizzen.incremental import Database, query
from mizzen.model.service import ServiceRef
from mizzen.model.workload import family_of

_ANY_NAMESPACE = ("", "*", ".", "~")


PROMETHEUS = "prometheus"
STDOUT = "/dev/stdout"
# Istio's, without being told.
_BUILT_IN = (
    ExtensionProvider(name=PROMETHEUS, prometheus=PrometheusMetricsProvider()),
    ExtensionProvider(name="envoy", envoy_file_access_log=EnvoyFileAccessLogProvider(path=STDOUT)),
)


@query
def extension_provider(db: Database, name: str) -> ExtensionProvider | None:
    """The provider of a name, MeshConfig's before Istio's own; None where there is none."""
    providers = (*mesh_config(db).extension_providers, *_BUILT_IN)
    return next((one for one in providers if one.name == name), None)


@query
def provider_service(db: Database, reference: str, port: int) -> ServiceRef | None:
    """The service that a provider writes as "host" or "namespace/host", if it has the port.

    Whom it is exported to plays no part: the mesh's operator chose it for all. Of several of one host the oldest holds.
    """
    namespace, _, host = reference.rpartition("/")
    resources = [found for key in SERVICES_BY_HOST(db, host) if (found := RESOURCES(db, key)) is not None]
    for resource in sorted(resources, key=age):
        for declared in declared_services(db, resource.key):
            wanted = namespace in _ANY_NAMESPACE or declared.ref.namespace == namespace
            known = service(db, declared.ref)
            if declared.ref.host == host and wanted and known is not None and known.port(port) is not None:
                return declared.ref
    return None


def mesh_addresses(db: Database, host: str, port: int) -> tuple[tuple[str, int], ...]:
    """Where the daemon itself reaches a service of the mesh: its endpoints' addresses. () for a host that is no service."""
    ref = provider_service(db, host, port)
    if ref is None:
        return ()
    found = ((endpoint.address, endpoint.port) for endpoint in service_endpoints(db, ref, port))
    return tuple((address, number) for address, number in found if family_of(address))
