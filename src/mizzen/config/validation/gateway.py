"""Gateway."""

from mizzen.config.resource import Path, Resource
from mizzen.config.types.networking import Gateway, Server, ServerTLSMode, ServerTLSSettings
from mizzen.config.validation import hosts, ports, references, rules
from mizzen.config.validation.rules import Findings, camel, given, invalid, questionable
from mizzen.config.validation.tls import server_tls

SERVICE_ANNOTATION = "internal.istio.io/gateway-service"
"""Hosts of services, by commas: the Gateway is for the workloads of these services, instead of for a selector's."""


def validate(resource: Resource[Gateway]) -> Findings:
    spec = resource.spec
    if not hosts.is_label(resource.key.name):
        message = f'"{resource.key.name}" is no name of a gateway: VirtualServices could not name it'
        yield invalid(("metadata", "name"), message, "use letters, digits and '-', without dots")
    if not spec.servers:
        yield invalid(("spec",), "there is no server", "add servers")
    named = any(server.tls and server.tls.credential_name for server in spec.servers)
    if named and not spec.selector and SERVICE_ANNOTATION not in resource.annotations:
        message = "without a selector, a Secret goes only to gateways that another Gateway selects by label"
        yield questionable(("spec",), message, "add a selector")
    yield from references.labels(spec.selector, ("spec", "selector"))
    for index, server in enumerate(spec.servers):
        yield from _server(server, ("spec", "servers", index))
    names = [server.port.name for server in spec.servers]
    yield from rules.unique(names, ("spec", "servers"), "the port name")


def _server(server: Server, path: Path) -> Findings:
    yield from _port(server, path)
    if not server.hosts:
        yield invalid((*path, "hosts"), "there are no hosts", 'add hosts, "*" for all')
    for index, host in enumerate(server.hosts):
        yield from _host(host, (*path, "hosts", index))
    protocol = server.port.protocol.upper()
    if protocol in ports.WITH_TLS and server.tls is None:
        yield invalid(path, f"protocol {protocol} needs tls", "add tls")
    if server.tls:
        yield from server_tls(server.tls, (*path, "tls"))
        if protocol in ports.PROTOCOLS - ports.WITH_TLS:
            yield from _tls_without_tls(server.tls, (*path, "tls"), protocol)
        if server.tls.https_redirect and protocol not in ports.HTTP:
            message = "only plain HTTP can be redirected to HTTPS"
            yield questionable((*path, "tls", "httpsRedirect"), message, "remove it")


def _port(server: Server, path: Path) -> Findings:
    port, here = server.port, (*path, "port")
    if server.bind.startswith(hosts.UNIX):
        yield from hosts.unix_socket(server.bind, (*path, "bind"))
        if port.number:
            yield invalid((*here, "number"), f"{port.number}: a unix socket has no port", "write 0")
    else:
        yield from ports.port(port.number, (*here, "number"))
        if server.bind and not hosts.is_address(server.bind):
            yield invalid((*path, "bind"), f'"{server.bind}" is neither an address nor unix:///path')
    yield from ports.protocol(port.protocol, (*here, "protocol"))
    if not port.name:
        yield invalid((*here, "name"), "the port has no name", "add its name")
    if port.target_port:
        yield invalid((*here, "targetPort"), "targetPort has no effect on gateways", "remove it")


def _host(text: str, path: Path) -> Findings:
    """Written as "host", "namespace/host", "./host" or "*/host"; addresses are names here."""
    if not hosts.is_address(text.rpartition("/")[2]):
        yield from hosts.scoped_host(text, path, namespaces=(".", "*"), short=True)


def _tls_without_tls(settings: ServerTLSSettings, path: Path, protocol: str) -> Findings:
    """Of a plain HTTP port the settings can say that it redirects to HTTPS, and nothing else."""
    terminates = settings.mode not in (ServerTLSMode.PASSTHROUGH, ServerTLSMode.AUTO_PASSTHROUGH)
    files = given(settings, ("ca_certificates", "private_key", "server_certificate"))
    if protocol not in ports.HTTP or terminates:
        yield invalid(path, f"{protocol} has no TLS", "use protocol HTTPS or TLS, or remove tls")
    elif files:
        yield invalid((*path, camel(files[0])), f"{protocol} has no TLS", "use protocol HTTPS, or remove it")
