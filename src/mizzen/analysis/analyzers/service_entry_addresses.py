"""Does a ServiceEntry for plain TCP say by which addresses its traffic is known?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.inputs import STATUSES
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.networking import ServiceEntry
from mizzen.derive.mesh import mesh_config
from mizzen.incremental import Database

# Istio's switches for addresses that the mesh hands out itself.
_CAPTURE, _ALLOCATE = "ISTIO_META_DNS_CAPTURE", "ISTIO_META_DNS_AUTO_ALLOCATE"


@analyzer("ServiceEntry", codes="IST0134")
def service_entry_addresses(db: Database, resource: Resource[ServiceEntry]) -> Findings:
    if resource.spec.addresses or _allocated(db, resource):
        return
    plain = [
        (index, port)
        for index, port in enumerate(resource.spec.ports)
        if port.protocol.upper() in {"", "TCP"}
    ]
    if plain:
        numbers = ", ".join(str(port.number) for _, port in plain)
        message = f"TCP (port {numbers}) is told apart by address only, and there is none"
        hint = "add addresses, or name a protocol with host names (HTTP, TLS)"
        yield Finding("IST0134", ("spec", "ports", plain[0][0]), message, hint)


def _allocated(db: Database, resource: Resource[ServiceEntry]) -> bool:
    status = STATUSES(db, resource.key)
    if status is not None and status.addresses:
        return True
    metadata = mesh_config(db).default_config.proxy_metadata
    return metadata.get(_CAPTURE) == "true" and metadata.get(_ALLOCATE) == "true"
