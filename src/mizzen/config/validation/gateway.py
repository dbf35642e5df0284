"""Gateway."""

from typing import Final

from mizzen.config.resource import Path
from mizzen.config.types.networking import Gateway, Server, ServerTLSMode, ServerTLSSettings
from mizzen.config.validation import rules
from mizzen.config.validation.rules import Findings, invalid

PROTOCOLS: Final = frozenset(
    {
        "HTTP",
        "HTTPS",
        "HTTP2",
        "GRPC",
        "GRPC-WEB",
        "MONGO",
        "TCP",
        "TLS",
        "MYSQL",
        "REDIS",
        "UDP",
        "HTTP_PROXY",
        "HBONE",
    }
)
_WITH_TLS: Final = frozenset({"HTTPS", "TLS"})


def validate(spec: Gateway) -> Findings:
    if not spec.servers:
        yield invalid(("spec",), "there is no server", "add servers")
    yield from rules.labels(spec.selector, ("spec", "selector"))
    for index, server in enumerate(spec.servers):
        yield from _server(server, ("spec", "servers", index))
    names = [server.port.name for server in spec.servers]
    yield from rules.unique(names, ("spec", "servers"), "the port name")


def _server(server: Server, path: Path) -> Findings:
    if server.bind.startswith("unix://"):
        if server.port.number:
            yield invalid((*path, "port", "number"), "a unix socket has no port", "write 0")
    else:
        yield from rules.port(server.port.number, (*path, "port", "number"))
    yield from protocol(server.port.protocol, (*path, "port", "protocol"))
    if not server.port.name:
        yield invalid((*path, "port", "name"), "the port has no name")
    if not server.hosts:
        yield invalid((*path, "hosts"), "there are no hosts", 'add hosts, "*" for all')
    for index, host in enumerate(server.hosts):
        yield from _host(host, (*path, "hosts", index))
    if server.bind and not rules.is_address(server.bind) and not server.bind.startswith("unix://"):
        yield invalid((*path, "bind"), f'"{server.bind}" is neither an address nor unix:///path')
    wants_tls = server.port.protocol.upper() in _WITH_TLS
    if wants_tls and server.tls is None:
        yield invalid(path, f"protocol {server.port.protocol} needs tls", "add tls")
    if server.tls:
        yield from _tls(server.tls, (*path, "tls"), terminates=wants_tls)


def protocol(name: str, path: Path) -> Findings:
    if name.upper() not in PROTOCOLS:
        hint = f"use one of {', '.join(sorted(PROTOCOLS))}"
        yield invalid(path, f'"{name}" is no protocol', hint)


def _host(text: str, path: Path) -> Findings:
    """Written as "host", "namespace/host", "./host" or "*/host"."""
    namespace, slash, host = text.rpartition("/")
    if slash and namespace not in (".", "*", "~") and not rules.is_label(namespace):
        yield invalid(path, f'"{namespace}" is no namespace', 'write "namespace/host", "./host" or "*/host"')
    if rules.is_address(host):
        yield invalid(path, f'"{host}" is an address', 'gateways match host names; use "*"')
    yield from rules.wildcard_host(host, path)


def _tls(settings: ServerTLSSettings, path: Path, *, terminates: bool) -> Findings:
    certificates = ("credential_name", "credential_names", "tls_certificates")
    given = [name for name in certificates if getattr(settings, name)]
    if len(given) > 1:
        yield invalid(path, f"only one of {', '.join(map(rules.camel, given))} can be set")
    if not terminates and not settings.https_redirect:
        yield invalid(path, "this protocol has no TLS", "use protocol HTTPS or TLS, or remove tls")
    if not terminates:
        return
    if settings.https_redirect:
        yield invalid((*path, "httpsRedirect"), "only plain HTTP can be redirected to HTTPS", "remove it")
    mode = settings.mode
    if (
        mode in (ServerTLSMode.PASSTHROUGH, ServerTLSMode.AUTO_PASSTHROUGH, ServerTLSMode.ISTIO_MUTUAL)
        or given
    ):
        return
    for name in ("server_certificate", "private_key"):
        if not getattr(settings, name):
            yield invalid(path, f"{mode.value} needs {rules.camel(name)}", "add it, or credentialName")
    if mode is ServerTLSMode.MUTUAL and not settings.ca_certificates:
        yield invalid(path, "MUTUAL needs caCertificates", "add it, or credentialName")
