"""Does a Telemetry name providers that there are, and each of its access logs one, where the mesh has no default?"""

from collections.abc import Iterator

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path, Resource
from mizzen.config.types.telemetry import ProviderRef, Telemetry
from mizzen.derive.mesh import mesh_config
from mizzen.derive.providers import extension_provider
from mizzen.incremental import Database


@analyzer("Telemetry", codes="IST0157 MZ0204")
def telemetry_providers(db: Database, resource: Resource[Telemetry]) -> Findings:
    for provider, path in _named(resource.spec):
        if extension_provider(db, provider.name) is None:
            message = f'MeshConfig has no extension provider "{provider.name}": nothing is told to it'
            yield Finding(
                "MZ0204", (*path, "name"), message, "correct the name, or add it to extensionProviders"
            )
    defaults = mesh_config(db).default_providers
    if defaults is not None and defaults.access_logging:
        return
    nameless = [index for index, log in enumerate(resource.spec.access_logging) if not log.providers]
    if nameless:
        also = f" (also accessLogging {', '.join(map(str, nameless[1:]))})" if nameless[1:] else ""
        message = f"this access log names no provider, and the mesh has no default: it is ignored{also}"
        hint = "add providers, or set defaultProviders.accessLogging in MeshConfig"
        yield Finding("IST0157", ("spec", "accessLogging", nameless[0]), message, hint)


def _named(spec: Telemetry) -> Iterator[tuple[ProviderRef, Path]]:
    named = {
        "tracing": [one.providers for one in spec.tracing],
        "metrics": [one.providers for one in spec.metrics],
        "accessLogging": [one.providers for one in spec.access_logging],
    }
    for member, settings in named.items():
        for index, providers in enumerate(settings):
            for number, provider in enumerate(providers):
                yield provider, ("spec", member, index, "providers", number)
