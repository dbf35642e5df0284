"""Which objects name a file of a proxy's machine in their TLS settings: who is told that it cannot be read."""

from collections.abc import Iterable, Iterator
from typing import Any

from mizzen.config.resource import Path, Resource, ResourceKey
from mizzen.config.types.networking import (
    ClientTLSSettings,
    DestinationRule,
    Gateway,
    ServerTLSSettings,
    Sidecar,
    TrafficPolicy,
)
from mizzen.derive.inputs import RESOURCES
from mizzen.incremental import Database, Index, query

_Settings = ClientTLSSettings | ServerTLSSettings


def _files(settings: _Settings) -> Iterator[str]:
    yield from (settings.ca_certificates, settings.ca_crl, settings.private_key)
    if isinstance(settings, ClientTLSSettings):
        yield settings.client_certificate
        return
    yield settings.server_certificate
    for one in settings.tls_certificates:
        yield from (one.server_certificate, one.private_key, one.ca_certificates)


def _tls_settings(spec: Any) -> Iterator[tuple[Path, _Settings]]:
    """Each TLS block of an object, and where it stands."""
    if isinstance(spec, DestinationRule):
        yield from _of_policy(("spec", "trafficPolicy"), spec.traffic_policy)
        for number, subset in enumerate(spec.subsets):
            yield from _of_policy(("spec", "subsets", number, "trafficPolicy"), subset.traffic_policy)
    elif isinstance(spec, Gateway):
        for number, server in enumerate(spec.servers):
            if server.tls is not None:
                yield ("spec", "servers", number, "tls"), server.tls
    elif isinstance(spec, Sidecar):
        for number, listener in enumerate(spec.ingress):
            if listener.tls is not None:
                yield ("spec", "ingress", number, "tls"), listener.tls


def _of_policy(path: Path, policy: TrafficPolicy | None) -> Iterator[tuple[Path, _Settings]]:
    if policy is None:
        return
    if policy.tls is not None:
        yield (*path, "tls"), policy.tls
    for number, port in enumerate(policy.port_level_settings):
        if port.tls is not None:
            yield (*path, "portLevelSettings", number, "tls"), port.tls


def _buckets(_: ResourceKey, resource: Resource[Any]) -> Iterable[str]:
    return {file for _, settings in _tls_settings(resource.spec) for file in _files(settings) if file}


_BY_FILE = Index("resource_by_tls_file", RESOURCES, _buckets)


@query
def naming_file(db: Database, file: str) -> tuple[tuple[ResourceKey, Path], ...]:
    """The objects that name a file, each with the place of the settings that do."""
    found = ((key, RESOURCES(db, key)) for key in _BY_FILE(db, file))
    return tuple(
        (key, path)
        for key, resource in found
        if resource is not None
        for path, settings in _tls_settings(resource.spec)
        if file in _files(settings)
    )
