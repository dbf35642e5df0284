"""Sidecar."""

from typing import Final

from mizzen.config.resource import Path, Resource
from mizzen.config.types.networking import (
    CaptureMode,
    IstioEgressListener,
    IstioIngressListener,
    OutboundTrafficPolicy,
    ServerTLSMode,
    ServerTLSSettings,
    Sidecar,
    SidecarOutboundMode,
    SidecarPort,
)
from mizzen.config.validation import hosts, ports, references, rules
from mizzen.config.validation.rules import Findings, camel, given, invalid, questionable
from mizzen.config.validation.tls import server_tls
from mizzen.config.validation.traffic_policy import connection_pool

_ANY_ADDRESS_OF_ITS_OWN: Final = ("", "127.0.0.1", "0.0.0.0", "[::1]", "[::]")  # noqa: S104 - what users may write, nothing is bound
_PARTS: Final = ("ingress", "egress", "outbound_traffic_policy", "inbound_connection_pool")


def validate(resource: Resource[Sidecar]) -> Findings:
    spec = resource.spec
    chosen = spec.workload_selector
    yield from references.selector(chosen.labels if chosen else None, ("spec", "workloadSelector", "labels"))
    yield from rules.at_least_one(spec, _PARTS, ("spec",), "the Sidecar")
    for index, ingress in enumerate(spec.ingress):
        yield from _ingress(ingress, ("spec", "ingress", index))
    numbers = (listener.port.number for listener in spec.ingress)
    yield from rules.unique(numbers, ("spec", "ingress"), "the port")
    if spec.inbound_connection_pool:
        yield from connection_pool(spec.inbound_connection_pool, ("spec", "inboundConnectionPool"))
    for index, egress in enumerate(spec.egress):
        yield from _egress(egress, ("spec", "egress", index), own=resource.key.namespace)
    yield from _egress_apart(spec)
    if spec.outbound_traffic_policy:
        yield from _outbound(spec.outbound_traffic_policy, ("spec", "outboundTrafficPolicy"))


def _port(port: SidecarPort, path: Path) -> Findings:
    if port.name:
        yield from ports.port_name(port.name, (*path, "name"))
    if port.protocol:
        yield from ports.protocol(port.protocol, (*path, "protocol"))
    if port.target_port:
        yield invalid((*path, "targetPort"), "targetPort has no effect on sidecars", "remove it")


def _bind(bind: str, path: Path) -> Findings:
    if bind and not hosts.is_address(bind):
        yield invalid(path, f'"{bind}" is no address to bind to', "write an IP address")


# --- inbound ----------------------------------------------------------------------------------------------------


def _ingress(listener: IstioIngressListener, path: Path) -> Findings:
    yield from _port(listener.port, (*path, "port"))
    yield from ports.port(listener.port.number, (*path, "port", "number"))
    yield from _bind(listener.bind, (*path, "bind"))
    if listener.default_endpoint:
        yield from _default_endpoint(listener.default_endpoint, (*path, "defaultEndpoint"))
    if listener.tls:
        yield from _ingress_tls(listener.tls, (*path, "tls"))
    if pool := listener.connection_pool:
        yield from connection_pool(pool, (*path, "connectionPool"))
        if pool.http and listener.port.protocol.upper() not in ports.HTTP:
            message = f"settings for HTTP have no effect: the port's protocol is {listener.port.protocol or 'not named'}"
            yield questionable((*path, "connectionPool", "http"), message, "name the protocol: HTTP ...")


def _default_endpoint(text: str, path: Path) -> Findings:
    if text.startswith(hosts.UNIX):
        yield from hosts.unix_socket(text, path)
        return
    address, _, port = text.rpartition(":")
    if address not in _ANY_ADDRESS_OF_ITS_OWN or not hosts.is_port(port):
        hint = "write 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///path"
        yield invalid(path, f'"{text}" is no address of the application', hint)


def _ingress_tls(settings: ServerTLSSettings, path: Path) -> Findings:
    unsupported = ("https_redirect", "subject_alt_names", "credential_name", "credential_names")
    for name in unsupported:
        if getattr(settings, name):
            yield invalid((*path, camel(name)), f"{camel(name)} is not for sidecars", "remove it")
    if settings.mode in (ServerTLSMode.ISTIO_MUTUAL, ServerTLSMode.AUTO_PASSTHROUGH):
        message = f"{settings.mode.value} is not for sidecars"
        yield invalid((*path, "mode"), message, "use SIMPLE, MUTUAL or OPTIONAL_MUTUAL")
    yield from server_tls(settings, path)


# --- outbound ---------------------------------------------------------------------------------------------------


def _egress(listener: IstioEgressListener, path: Path, *, own: str) -> Findings:
    if listener.port:
        yield from _port(listener.port, (*path, "port"))
        yield from _egress_bind(listener, listener.port, path)
    if not listener.hosts:
        yield invalid((*path, "hosts"), "there are no hosts", 'add hosts, "*/*" for all')
    for index, host in enumerate(listener.hosts):
        here = (*path, "hosts", index)
        name = host[1:] if host[:1] == "~" and host[1:2] not in ("/", "") else host  # "~ns/*": all but those
        yield from hosts.scoped_host(name, here, namespaces=("*", ".", "~"), short=False)
    yield from _repeated(listener.hosts, (*path, "hosts"), own=own)


def _egress_bind(listener: IstioEgressListener, port: SidecarPort, path: Path) -> Findings:
    if listener.bind.startswith(hosts.UNIX):
        yield from hosts.unix_socket(listener.bind, (*path, "bind"))
        if port.number:
            yield invalid((*path, "port", "number"), f"{port.number}: a unix socket has no port", "write 0")
        if listener.capture_mode is CaptureMode.IPTABLES:
            message = "traffic to a unix socket cannot be captured"
            yield invalid((*path, "captureMode"), message, "use NONE or DEFAULT")
    else:
        yield from ports.port(port.number, (*path, "port", "number"))
        yield from _bind(listener.bind, (*path, "bind"))


def _repeated(names: tuple[str, ...], path: Path, *, own: str) -> Findings:
    seen: dict[str, set[str]] = {}
    for index, text in enumerate(names):
        namespace, _, host = text.partition("/")
        of_namespace = seen.setdefault(own if namespace == "." else namespace, set())
        if host in of_namespace or "*" in of_namespace or (host == "*" and of_namespace):
            yield questionable((*path, index), f'"{text}" is there twice', "keep one of them")
        of_namespace.add(host)
    including = {namespace for namespace in seen if not namespace.startswith("~")}
    if "*" in seen.get("*", ()) and including != {"*"}:
        yield questionable(path, '"*/*" takes all hosts, so the others change nothing', "remove the others")


def _egress_apart(spec: Sidecar) -> Findings:
    """Listeners differ in their ports or sockets; one may be for all ports, and stands last."""
    seen: set[str | int] = set()
    for index, listener in enumerate(spec.egress):
        path = ("spec", "egress", index)
        if listener.port is None:
            if index < len(spec.egress) - 1:
                message = "a listener without port takes what those before it leave, so it must be the last"
                yield invalid(path, message, "add port, or move it to the end")
            continue
        known_by = listener.port.number or listener.bind
        if known_by in seen:
            yield invalid((*path, "port"), f"a listener for {known_by} is there twice", "merge the two")
        seen.add(known_by)


def _outbound(policy: OutboundTrafficPolicy, path: Path) -> Findings:
    if policy.egress_proxy is None:
        return
    here = (*path, "egressProxy")
    if policy.mode is not SidecarOutboundMode.ALLOW_ANY:
        yield invalid(here, "egressProxy needs mode ALLOW_ANY", "set mode: ALLOW_ANY, or remove it")
    if not given(policy.egress_proxy, ("port",)):
        yield invalid(here, "there is no port", "add port with its number")
    yield from references.destination(policy.egress_proxy, here)
    if hosts.is_wildcard_host(policy.egress_proxy.host) and not hosts.is_host(policy.egress_proxy.host):
        yield invalid((*here, "host"), f'"{policy.egress_proxy.host}" is no single host', "name one host")
