"""The Gateway API's HTTPRoute for the mesh (GAMMA), as a VirtualService that says the same.

A route that attaches to a Service holds for its callers: of all namespaces where it stands beside the Service, of its own
namespace alone where it stands elsewhere; there it goes before the other. Source: the Gateway API and Istio's reading of it.

FIXME: routes that attach to Gateways come with the Gateway API (row T10); a diagnostic says so.
"""

from collections.abc import Iterator

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.gateway_api import (
    BackendRef,
    HTTPBackendRef,
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRequestRedirect,
    HTTPRouteFilter,
    HTTPRouteMatch,
    HTTPRouteRule,
    HTTPRouteSpec,
    HTTPURLRewrite,
    NamedMatch,
    ParentReference,
    ReferenceGrantSpec,
)
from mizzen.config.types.networking import (
    Destination,
    HeaderOperations,
    Headers,
    HTTPDirectResponse,
    HTTPMatchRequest,
    HTTPMirrorPolicy,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
    HTTPRouteDestination,
    PortSelector,
    RegexRewrite,
    StringMatch,
    VirtualService,
)
from mizzen.derive.hosts import service_host
from mizzen.derive.ingress import element_prefix
from mizzen.derive.inputs import BY_NAMESPACE, RESOURCES
from mizzen.derive.services import declared_services
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query

KIND = "HTTPRoute"
_CORE = frozenset({"", "core"})
_HOSTNAME = ("networking.istio.io", "Hostname")


@query
def mesh_route(db: Database, key: ResourceKey) -> VirtualService | None:
    """None where the route attaches to no Service that there is."""
    resource: Resource[HTTPRouteSpec] | None = RESOURCES(db, key)
    if resource is None:
        return None
    parents = [
        parent
        for parent in resource.spec.parent_refs
        if is_service(parent) and declared_services(db, _service_key(parent, key.namespace))
    ]
    if not parents:
        return None
    hosts = tuple(dict.fromkeys(service_host(p.name, p.namespace or key.namespace) for p in parents))
    ports = tuple(dict.fromkeys(parent.port or 0 for parent in parents))
    ranked = sorted(
        ((match, rule) for rule in resource.spec.rules for match in rule.matches or (HTTPRouteMatch(),)),
        key=lambda pair: _rank(pair[0]),
    )
    http = tuple(
        _http_route(db, key.namespace, rule, _matches(match, uri, ports))
        for match, rule in ranked
        for uri in _paths(match)
    )
    is_producer = all((parent.namespace or key.namespace) == key.namespace for parent in parents)
    return VirtualService(hosts=hosts, http=http, export_to=("*",) if is_producer else (".",))


def _service_key(parent: ParentReference, namespace: str) -> ResourceKey:
    return ResourceKey("Service", parent.namespace or namespace, parent.name)


def is_service(parent: ParentReference) -> bool:
    return parent.group in _CORE and parent.kind == "Service"


def _rank(match: HTTPRouteMatch) -> tuple[bool, bool, int, bool, int, int]:
    """The most specific first: exact paths, the longest prefix, a method, the most headers, the most parameters."""
    path = match.path
    return (
        path.type != "Exact",
        path.type != "RegularExpression",
        -len(path.value),
        not match.method,
        -len(match.headers),
        -len(match.query_params),
    )


def _http_route(
    db: Database, namespace: str, rule: HTTPRouteRule, matches: tuple[HTTPMatchRequest, ...]
) -> HTTPRoute:
    parts = {found.type: found for found in rule.filters}
    whole_elements = any(found.uri is not None and found.uri.prefix not in {None, "/"} for found in matches)
    redirect = parts.get("RequestRedirect")
    destinations = tuple(
        found for ref in rule.backend_refs if (found := _destination(db, namespace, ref)) is not None
    )
    timeouts = rule.timeouts
    return HTTPRoute(
        name=rule.name,
        match=matches,
        route=() if redirect else destinations,
        redirect=_redirect(redirect.request_redirect, whole_elements=whole_elements) if redirect else None,
        # Requests whose destinations are all unknown or not permitted are answered so (the Gateway API's rule).
        direct_response=None if redirect or destinations else HTTPDirectResponse(status=500),
        rewrite=_rewrite(parts["URLRewrite"].url_rewrite, whole_elements=whole_elements)
        if "URLRewrite" in parts
        else None,
        headers=_headers(rule.filters),
        mirrors=tuple(_mirrors(db, namespace, rule.filters)),
        timeout=timeouts.request if timeouts else None,
        retries=_retries(rule),
    )


def _retries(rule: HTTPRouteRule) -> HTTPRetry | None:
    each = rule.timeouts.backend_request if rule.timeouts else None
    return HTTPRetry(attempts=2, per_try_timeout=each) if each else None


def _matches(match: HTTPRouteMatch, uri: StringMatch, ports: tuple[int, ...]) -> tuple[HTTPMatchRequest, ...]:
    return tuple(
        HTTPMatchRequest(
            uri=uri,
            method=StringMatch(exact=match.method) if match.method else None,
            headers=FrozenMap({found.name.lower(): _named(found) for found in match.headers}),
            query_params=FrozenMap({found.name: _named(found) for found in match.query_params}),
            port=port,
        )
        for port in ports
    )


def _paths(match: HTTPRouteMatch) -> Iterator[StringMatch]:
    path = match.path
    if path.type == "Exact":
        yield StringMatch(exact=path.value)
    elif path.type == "RegularExpression":
        yield StringMatch(regex=path.value)
    else:
        yield from element_prefix(path.value)


def _named(found: NamedMatch) -> StringMatch:
    if found.type == "RegularExpression":
        return StringMatch(regex=found.value)
    return StringMatch(exact=found.value)


def _destination(db: Database, namespace: str, ref: HTTPBackendRef) -> HTTPRouteDestination | None:
    found = _backend(db, namespace, ref)
    if found is None:
        return None
    return HTTPRouteDestination(destination=found, weight=ref.weight, headers=_headers(ref.filters))


def _backend(db: Database, namespace: str, ref: BackendRef) -> Destination | None:
    """None where the object is of a kind that cannot be called, or of a namespace that does not permit it."""
    port = PortSelector(number=ref.port) if ref.port else None
    if (ref.group, ref.kind) == _HOSTNAME:
        return Destination(host=ref.name, port=port)
    owner = ref.namespace or namespace
    if ref.group not in _CORE or ref.kind != "Service" or not _is_permitted(db, namespace, owner, ref.name):
        return None
    return Destination(host=service_host(ref.name, owner), port=port)


@query
def _is_permitted(db: Database, namespace: str, owner: str, name: str) -> bool:
    """Whether a route of a namespace may lead to a Service of another: its ReferenceGrants say so."""
    if owner == namespace:
        return True
    grants = (RESOURCES(db, key) for key in BY_NAMESPACE(db, ("ReferenceGrant", owner)))
    return any(_grants(grant.spec, namespace, name) for grant in grants if grant is not None)


def _grants(grant: ReferenceGrantSpec, namespace: str, name: str) -> bool:
    admitted = any(
        who.group == "gateway.networking.k8s.io" and who.kind == KIND and who.namespace == namespace
        for who in grant.from_
    )
    return admitted and any(
        to.group in _CORE and to.kind == "Service" and to.name in {"", name} for to in grant.to
    )


def _headers(filters: tuple[HTTPRouteFilter, ...]) -> Headers | None:
    request = next((f.request_header_modifier for f in filters if f.request_header_modifier), None)
    response = next((f.response_header_modifier for f in filters if f.response_header_modifier), None)
    if request is None and response is None:
        return None
    return Headers(request=_operations(request), response=_operations(response))


def _operations(found: HTTPHeaderFilter | None) -> HeaderOperations | None:
    if found is None:
        return None
    return HeaderOperations(
        set=FrozenMap({header.name: header.value for header in found.set}),
        add=FrozenMap({header.name: header.value for header in found.add}),
        remove=found.remove,
    )


def _redirect(found: HTTPRequestRedirect | None, *, whole_elements: bool) -> HTTPRedirect:
    if found is None:
        return HTTPRedirect()
    path = found.path or HTTPPathModifier()
    prefix = _prefix(path, whole_elements=whole_elements) if path.type == "ReplacePrefixMatch" else ""
    return HTTPRedirect(
        scheme=found.scheme,
        authority=found.hostname,
        uri=path.replace_full_path if path.type == "ReplaceFullPath" else "",
        prefix_rewrite=prefix,
        port=found.port,
        redirect_code=found.status_code,
    )


def _rewrite(found: HTTPURLRewrite | None, *, whole_elements: bool) -> HTTPRewrite | None:
    if found is None:
        return None
    path = found.path or HTTPPathModifier()
    if path.type == "ReplaceFullPath":
        whole = RegexRewrite(match="^.*$", rewrite=path.replace_full_path.replace("\\", "\\\\"))
        return HTTPRewrite(authority=found.hostname, uri_regex_rewrite=whole)
    prefix = _prefix(path, whole_elements=whole_elements) if path.type else ""
    return HTTPRewrite(authority=found.hostname, uri=prefix)


def _prefix(path: HTTPPathModifier, *, whole_elements: bool) -> str:
    """What replaces a prefix: the match of one that has elements behind it ends with a slash, and so must this."""
    bare = path.replace_prefix_match.rstrip("/")
    return f"{bare}/" if whole_elements or not bare else bare


def _mirrors(
    db: Database, namespace: str, filters: tuple[HTTPRouteFilter, ...]
) -> Iterator[HTTPMirrorPolicy]:
    for found in filters:
        if found.request_mirror is not None:
            destination = _backend(db, namespace, found.request_mirror.backend_ref)
            if destination is not None:
                yield HTTPMirrorPolicy(destination=destination)
