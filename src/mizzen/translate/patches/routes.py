"""Patches of route configurations, their virtual hosts and routes."""

from mizzen.config.types.envoy_filter import (
    ApplyTo,
    EnvoyConfigObjectPatch,
    RouteAction,
    RouteConfigurationMatch,
    RouteMatch,
    VirtualHostMatch,
)
from mizzen.proto.api import Route, RouteConfiguration, VirtualHost
from mizzen.translate.patches.values import edit, merge_whole

ROUTE_PARTS = frozenset({ApplyTo.ROUTE_CONFIGURATION, ApplyTo.VIRTUAL_HOST, ApplyTo.HTTP_ROUTE})


def patch_routes(config: RouteConfiguration, patch: EnvoyConfigObjectPatch, port: int) -> bool:
    """Do what a patch says to a route configuration of a port; whether anything changed. Raises UnusableError."""
    match = patch.match.route_configuration if patch.match else None
    if match is not None and not _is_meant(config, match, port):
        return False
    if patch.apply_to is ApplyTo.ROUTE_CONFIGURATION:
        return merge_whole(config, patch)
    host_match = match.vhost if match else None
    if patch.apply_to is ApplyTo.VIRTUAL_HOST:
        return edit(config.virtual_hosts, VirtualHost, patch, lambda host: _host_matches(host, host_match))
    changed = [_patch_host(host, patch, host_match) for host in config.virtual_hosts]  # all of them
    return any(changed)


def _is_meant(config: RouteConfiguration, match: RouteConfigurationMatch, port: int) -> bool:
    return match.name in {"", config.name} and match.port_number in {0, port}


def _host_matches(host: VirtualHost, match: VirtualHostMatch | None) -> bool:
    if match is None:
        return True
    return match.name in {"", host.name} and (not match.domain_name or match.domain_name in host.domains)


def _patch_host(host: VirtualHost, patch: EnvoyConfigObjectPatch, match: VirtualHostMatch | None) -> bool:
    if not _host_matches(host, match):
        return False
    route_match = match.route if match else None
    return edit(
        host.routes,
        Route,
        patch,
        lambda route: _route_matches(route, route_match),
        anywhere=route_match is None,
    )


_ACTIONS = {
    RouteAction.ROUTE: "route",
    RouteAction.REDIRECT: "redirect",
    RouteAction.DIRECT_RESPONSE: "direct_response",
}


def _route_matches(route: Route, match: RouteMatch | None) -> bool:
    if match is None:
        return True
    if match.name not in {"", route.name}:
        return False
    return match.action is RouteAction.ANY or route.HasField(_ACTIONS[match.action])
