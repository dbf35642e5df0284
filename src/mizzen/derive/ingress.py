"""Kubernetes Ingress, as a Gateway and a VirtualService that say the same.

Source: Istio's ingress controller: which Ingresses it serves (MeshConfig's ingress settings, IngressClass), on ports 80 and
443 of the gateway whose workloads carry the label istio=<ingressSelector>.
"""

import re
from collections.abc import Iterator

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.kubernetes import (
    HTTPIngressPath,
    IngressBackend,
    IngressClassSpec,
    IngressRule,
    IngressSpec,
    IngressTLS,
)
from mizzen.config.types.mesh import IngressControllerMode
from mizzen.config.types.networking import (
    Destination,
    Gateway,
    HTTPMatchRequest,
    HTTPRoute,
    HTTPRouteDestination,
    Port,
    PortSelector,
    Server,
    ServerTLSMode,
    ServerTLSSettings,
    StringMatch,
    VirtualService,
)
from mizzen.derive.hosts import service_host
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.mesh import mesh_config
from mizzen.derive.services import declared_services
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query

KIND = "Ingress"
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
CONTROLLER = "istio.io/ingress-controller"
_HTTP_PORT, _HTTPS_PORT = 80, 443
_SELECTOR_LABEL = "istio"
_DEFAULT_SELECTOR = "ingressgateway"


@query
def _served(db: Database, key: ResourceKey) -> Resource[IngressSpec] | None:
    """The Ingress, where this mesh is to serve it."""
    resource: Resource[IngressSpec] | None = RESOURCES(db, key)
    mesh = mesh_config(db)
    if resource is None or mesh.ingress_controller_mode is IngressControllerMode.OFF:
        return None
    named = resource.annotations.get(CLASS_ANNOTATION, "")
    if named:
        return resource if named == mesh.ingress_class else None
    if resource.spec.ingress_class_name:
        found: Resource[IngressClassSpec] | None = RESOURCES(
            db, ResourceKey("IngressClass", "", resource.spec.ingress_class_name)
        )
        is_ours = found is not None and found.spec.controller == CONTROLLER
        return resource if is_ours else None
    return resource if mesh.ingress_controller_mode is IngressControllerMode.DEFAULT else None


@query
def ingress_gateway(db: Database, key: ResourceKey) -> Gateway | None:
    """One server for plain HTTP, and one for each certificate."""
    resource = _served(db, key)
    if resource is None:
        return None
    selector = mesh_config(db).ingress_selector or _DEFAULT_SELECTOR
    named = f"ingress-{key.name}-{key.namespace}"  # Istio's names of ports
    plain = Server(
        port=Port(number=_HTTP_PORT, name=f"http-{_HTTP_PORT}-{named}", protocol="HTTP"), hosts=("*",)
    )
    secure = (
        _secure(tls, f"https-{_HTTPS_PORT}-{named}-{index}")
        for index, tls in enumerate(resource.spec.tls)
        if tls.secret_name
    )
    return Gateway(selector=FrozenMap({_SELECTOR_LABEL: selector}), servers=(plain, *secure))


def _secure(tls: IngressTLS, port_name: str) -> Server:
    return Server(
        port=Port(number=_HTTPS_PORT, name=port_name, protocol="HTTPS"),
        hosts=tls.hosts or ("*",),
        tls=ServerTLSSettings(mode=ServerTLSMode.SIMPLE, credential_name=tls.secret_name),
    )


@query
def ingress_routes(db: Database, key: ResourceKey) -> VirtualService | None:
    """Its rules, in the order in which Kubernetes has them decide: exact paths first, then the longest prefix."""
    resource = _served(db, key)
    if resource is None:
        return None
    spec = resource.spec
    hosts = tuple(dict.fromkeys(rule.host or "*" for rule in spec.rules))
    several = len(hosts) > 1
    found = [
        (path, route)
        for rule in spec.rules
        for path in (rule.http.paths if rule.http else ())
        if (route := _route(db, key.namespace, rule, path, several=several)) is not None
    ]
    routes = [route for _, route in sorted(found, key=lambda pair: _rank(pair[0]))]
    rest = _destination(db, key.namespace, spec.default_backend)
    if rest is not None:
        routes.append(HTTPRoute(route=(rest,)))
        hosts = (*hosts, *(() if "*" in hosts else ("*",)))
    return VirtualService(hosts=hosts, gateways=(gateway_of(key),), http=tuple(routes))


def gateway_of(key: ResourceKey) -> str:
    """The name by which the VirtualService of an Ingress refers to its Gateway: no object of Istio's can have it."""
    return f"{key.namespace}/{KIND}~{key.name}"


def _rank(path: HTTPIngressPath) -> tuple[bool, int]:
    return path.path_type != "Exact", -len(path.path)


def _route(
    db: Database, namespace: str, rule: IngressRule, path: HTTPIngressPath, *, several: bool
) -> HTTPRoute | None:
    destination = _destination(db, namespace, path.backend)
    if destination is None:
        return None
    # One VirtualService stands for all hosts of the Ingress, so each route says whose it is.
    authority = _authority(rule.host) if several and rule.host else None
    matches = tuple(HTTPMatchRequest(uri=uri, authority=authority) for uri in _paths(path))
    return HTTPRoute(match=matches, route=(destination,))


def _authority(host: str) -> StringMatch:
    """The host, with any port."""
    pattern = "[^.]+" + re.escape(host[1:]) if host.startswith("*") else re.escape(host)
    return StringMatch(regex=f"{pattern}(:[0-9]+)?")


def _paths(path: HTTPIngressPath) -> Iterator[StringMatch]:
    """A prefix matches whole elements of a path: /foo takes /foo and /foo/bar, and not /foobar."""
    text = path.path or "/"
    if path.path_type == "Exact":
        yield StringMatch(exact=text)
    elif path.path_type == "Prefix":
        yield from element_prefix(text)
    elif text.endswith("*"):
        yield StringMatch(prefix=text.rstrip("*").removesuffix("."))
    else:
        yield StringMatch(exact=text) if text != "/" else StringMatch(prefix="/")


def element_prefix(text: str) -> Iterator[StringMatch]:
    """A prefix of whole path elements, as Kubernetes' APIs mean it."""
    bare = text.rstrip("/")
    if bare:
        yield StringMatch(exact=bare)
    yield StringMatch(prefix=f"{bare}/")


def _destination(db: Database, namespace: str, backend: IngressBackend | None) -> HTTPRouteDestination | None:
    if backend is None or backend.service is None or backend.service.port is None:
        return None
    name, port = backend.service.name, backend.service.port
    number = port.number
    if port.name:
        declared = declared_services(db, ResourceKey("Service", namespace, name))
        ports = (each for found in declared for each in found.ports)
        number = next((each.number for each in ports if each.name == port.name), 0)
        if not number:
            return None
    host = service_host(name, namespace)
    return HTTPRouteDestination(destination=Destination(host=host, port=PortSelector(number=number)))
