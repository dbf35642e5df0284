"""Does every access log of a Telemetry name a provider, where the mesh has no default?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.telemetry import Telemetry
from mizzen.derive.mesh import mesh_config
from mizzen.incremental import Database


@analyzer("Telemetry", codes="IST0157")
def telemetry_providers(db: Database, resource: Resource[Telemetry]) -> Findings:
    defaults = mesh_config(db).default_providers
    if defaults is not None and defaults.access_logging:
        return
    nameless = [index for index, log in enumerate(resource.spec.access_logging) if not log.providers]
    if nameless:
        also = f" (also accessLogging {', '.join(map(str, nameless[1:]))})" if nameless[1:] else ""
        message = f"this access log names no provider, and the mesh has no default: it is ignored{also}"
        hint = "add providers, or set defaultProviders.accessLogging in MeshConfig"
        yield Finding("IST0157", ("spec", "accessLogging", nameless[0]), message, hint)
