"""Does every port of a Service say which protocol it speaks?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.kubernetes import is_system_namespace
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.core import Protocol, ServicePort, ServiceSpec, ServiceType
from mizzen.derive.protocols import port_protocol
from mizzen.incremental import Database
from mizzen.model.service import Protocol as Speech

# Istio's mark of what its own controllers made; its ports are not the user's to name.
_MANAGED = "gateway.istio.io/managed"
_CONTROL_PLANE = "istio"
# SMTP, DNS, MySQL, MongoDB: Istio takes these numbers for TCP without being told.
_WELL_KNOWN = frozenset({25, 53, 3306, 27017})
_TCP = frozenset({"tcp", "mongo", "mysql", "redis", "hbone"})  # words for what the proxy treats as TCP


@analyzer("Service", codes="IST0118 IST0150")
def service_ports(_db: Database, resource: Resource[ServiceSpec]) -> Findings:
    if (
        is_system_namespace(resource.key.namespace)
        or _CONTROL_PLANE in resource.labels
        or _MANAGED in resource.labels
    ):
        return
    external = resource.spec.type is ServiceType.EXTERNAL_NAME
    for index, port in enumerate(resource.spec.ports):
        path = ("spec", "ports", index)
        if external and (port.name == "tcp" or not _says_protocol(port)):
            message = (
                f'an ExternalName service with the port name "{port.name}" takes all TCP of port {port.port}'
            )
            yield Finding(
                "IST0150", path, message, "name it after an HTTP or TLS protocol: http-web, tls-web"
            )
        elif not external and not _says_protocol(port):
            named = f'the name "{port.name}"' if port.name else "a port without a name"
            message = (
                f"{named} does not say which protocol port {port.port} speaks: it is taken for plain TCP"
            )
            hint = "set appProtocol, or begin the name with the protocol: http-web, grpc-api, tcp-db"
            yield Finding("IST0118", path, message, hint)


def _says_protocol(port: ServicePort) -> bool:
    if port.protocol is not Protocol.TCP:
        return True
    if port.app_protocol:
        return _is_word(port.app_protocol)
    return port.port in _WELL_KNOWN or _is_word(port.name)


def _is_word(text: str) -> bool:
    """Whether the text, or what stands before its first dash, is a protocol."""
    return port_protocol("", text) not in {Speech.AUTO, Speech.TCP} or text.lower().partition("-")[0] in _TCP
