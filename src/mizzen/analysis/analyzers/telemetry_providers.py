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
    for index, log in enumerate(resource.spec.access_logging):
        if not log.providers:
            message = "this access log names no provider, and the mesh has no default: it is ignored"
            hint = "add providers, or set defaultProviders.accessLogging in MeshConfig"
            yield Finding("IST0157", ("spec", "accessLogging", index), message, hint)
