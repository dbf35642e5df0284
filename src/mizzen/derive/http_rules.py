"""The HTTP rules of a VirtualService, with those of its delegates in their places.

Source: Istio's delegates. A rule may hand over to a VirtualService without hosts, one step and no further. A rule of the
delegate stays within what the rule that delegates matches: each of its matches must be narrower, and holds together with
it; a rule with a match that is not is left out. What a delegate's rule does not set it inherits. A delegate that is not
there, or may not be seen from the namespace that delegates, costs the rule that names it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec.structs import replace

from mizzen.config.resource import ResourceKey
from mizzen.config.types.networking import Destination, HTTPMatchRequest, HTTPRoute, StringMatch
from mizzen.derive.hosts import qualified
from mizzen.derive.mesh import exported, mesh_config
from mizzen.derive.virtual_services import gateway_name, virtual_service
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query

_Value = TypeVar("_Value")
# What a delegate's rule inherits, each where it does not set it.
_INHERITED = ("rewrite", "timeout", "retries", "fault", "cors_policy", "headers")
_MIRRORING = ("mirror", "mirrors", "mirror_percent", "mirror_percent_snake", "mirror_percentage")


@dataclass(frozen=True, slots=True)
class HttpRule:
    """A rule: hosts and gateways in full, no delegate left; and the field that made it."""

    settings: HTTPRoute
    key: ResourceKey
    path: tuple[str | int, ...]


@query
def http_rules(db: Database, key: ResourceKey) -> tuple[HttpRule, ...]:
    """The rules of a VirtualService, in their order."""
    return tuple(rule for own in _own_rules(db, key) for rule in _resolved(db, own))


@query
def _own_rules(db: Database, key: ResourceKey) -> tuple[HttpRule, ...]:
    spec = virtual_service(db, key)
    return tuple(
        HttpRule(_in_full(settings, key.namespace), key, ("spec", "http", index))
        for index, settings in enumerate(spec.http if spec else ())
    )


def _in_full(settings: HTTPRoute, namespace: str) -> HTTPRoute:
    """Short names mean the VirtualService's namespace."""

    def full(destination: Destination) -> Destination:
        return replace(destination, host=qualified(destination.host, namespace))

    return replace(
        settings,
        match=tuple(
            replace(match, gateways=tuple(gateway_name(name, namespace) for name in match.gateways))
            for match in settings.match
        ),
        route=tuple(replace(item, destination=full(item.destination)) for item in settings.route),
        mirror=full(settings.mirror) if settings.mirror else None,
        mirrors=tuple(replace(item, destination=full(item.destination)) for item in settings.mirrors),
    )


def _resolved(db: Database, rule: HttpRule) -> Iterator[HttpRule]:
    delegate = rule.settings.delegate
    if delegate is None:
        yield rule
        return
    key = ResourceKey("VirtualService", delegate.namespace or rule.key.namespace, delegate.name)
    spec = virtual_service(db, key)
    default = mesh_config(db).default_virtual_service_export_to
    if spec is None or spec.hosts or not exported(spec.export_to, default, key.namespace, rule.key.namespace):
        return
    for delegated in _own_rules(db, key):
        if delegated.settings.delegate is None:
            merged = merged_rule(rule.settings, delegated.settings)
            if merged is not None:
                yield HttpRule(merged, key, delegated.path)


def merged_rule(root: HTTPRoute, delegated: HTTPRoute) -> HTTPRoute | None:
    """A delegate's rule as it holds below the rule that delegates; None where the two contradict each other."""
    matches = _merged_matches(root.match, delegated.match)
    if matches is None:
        return None
    inherited = [name for name in _INHERITED if getattr(delegated, name) is None]
    if not any(getattr(delegated, name) for name in _MIRRORING):
        inherited += _MIRRORING
    return replace(
        delegated,
        match=matches,
        name="-".join(name for name in (root.name, delegated.name) if name),
        **{name: getattr(root, name) for name in inherited},
    )


def _merged_matches(
    roots: tuple[HTTPMatchRequest, ...], leaves: tuple[HTTPMatchRequest, ...]
) -> tuple[HTTPMatchRequest, ...] | None:
    """Each of the delegate's matches with each of the root's that it narrows; None if one of them narrows none."""
    if not roots or not leaves:
        return roots or leaves
    merged: list[HTTPMatchRequest] = []
    for leaf in leaves:
        pairs = [_together(root, leaf) for root in roots if _narrows(root, leaf)]
        if not pairs:
            return None
        merged += pairs
    return tuple(merged)


def _together(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> HTTPMatchRequest:
    """Both matches at once, of which the leaf is the narrower."""
    return HTTPMatchRequest(
        name="-".join(name for name in (root.name, leaf.name) if name),
        uri=leaf.uri or root.uri,
        scheme=leaf.scheme or root.scheme,
        method=leaf.method or root.method,
        authority=leaf.authority or root.authority,
        headers=_both(root.headers, leaf.headers),
        port=leaf.port or root.port,
        source_labels=_both(root.source_labels, leaf.source_labels),
        gateways=leaf.gateways or root.gateways,
        query_params=_both(root.query_params, leaf.query_params),
        ignore_uri_case=leaf.ignore_uri_case,
        without_headers=_both(root.without_headers, leaf.without_headers),
        source_namespace=leaf.source_namespace or root.source_namespace,
        stat_prefix=leaf.stat_prefix or root.stat_prefix,
    )


def _both(root: Mapping[str, _Value], leaf: Mapping[str, _Value]) -> FrozenMap[str, _Value]:
    return FrozenMap({**root, **leaf})


def _narrows(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> bool:
    """Whether nothing in a match contradicts or widens the root's."""
    if root.ignore_uri_case != leaf.ignore_uri_case or (root.port and leaf.port and root.port != leaf.port):
        return False
    single = ("uri", "scheme", "method", "authority")
    pairs: list[tuple[Any, Any]] = [(getattr(root, name), getattr(leaf, name)) for name in single]
    for name in ("headers", "without_headers", "query_params"):
        above = getattr(root, name)
        pairs += [(above.get(key), value) for key, value in getattr(leaf, name).items()]
    return all(_text_narrows(above, below) for above, below in pairs)


def _text_narrows(root: StringMatch | None, leaf: StringMatch | None) -> bool:
    """Of two texts that both ask for something: regular expressions cannot be compared, so they never do."""
    if root is None or leaf is None:
        return True
    if root.regex is not None or leaf.regex is not None:
        return False
    if root.exact is not None:
        return leaf.exact == root.exact
    text = leaf.exact if leaf.exact is not None else leaf.prefix
    return text is not None and text.startswith(root.prefix or "")
