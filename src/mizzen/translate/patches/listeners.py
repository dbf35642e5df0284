"""Patches of listeners, their filter chains, network and HTTP filters, and the routes that stand in them."""

from collections.abc import Callable, Iterator
from typing import Any

from mizzen.config.types.envoy_filter import (
    ApplyTo,
    EnvoyConfigObjectPatch,
    FilterChainMatch,
    ListenerMatch,
)
from mizzen.proto.api import (
    FilterChain,
    HttpConnectionManager,
    HttpFilter,
    Listener,
    ListenerFilter,
    NetworkFilter,
)
from mizzen.translate.built import pack
from mizzen.translate.filter_order import ROUTER
from mizzen.translate.listeners.network import HTTP, TCP
from mizzen.translate.patches.routes import ROUTE_PARTS, patch_routes
from mizzen.translate.patches.values import edit, merge_whole

LISTENER_PARTS = ROUTE_PARTS | {
    ApplyTo.LISTENER,
    ApplyTo.LISTENER_FILTER,
    ApplyTo.FILTER_CHAIN,
    ApplyTo.NETWORK_FILTER,
    ApplyTo.HTTP_FILTER,
}
INBOUND = 1  # envoy.config.core.v3.TrafficDirection


def patch_listener(listener: Listener, patch: EnvoyConfigObjectPatch) -> bool:
    """Do what a patch says to a listener; whether anything changed. Raises UnusableError.

    REMOVE and REPLACE of a whole listener are the business of whoever lists the resources.
    """
    match = (patch.match.listener if patch.match else None) or ListenerMatch()
    if not listener_matches(listener, match):
        return False
    if patch.apply_to is ApplyTo.LISTENER:
        return merge_whole(listener, patch)
    if patch.apply_to is ApplyTo.LISTENER_FILTER:
        return edit(
            listener.listener_filters,
            ListenerFilter,
            patch,
            lambda item: match.listener_filter in {"", item.name},
            anywhere=not match.listener_filter,
        )
    if patch.apply_to is ApplyTo.FILTER_CHAIN:
        chain_match = match.filter_chain
        return edit(
            listener.filter_chains, FilterChain, patch, lambda chain: _chain_matches(chain, chain_match)
        )
    meant = [chain for chain in chains(listener) if _chain_is_meant(listener, chain, match)]
    changed = [_patch_chain(chain, patch, match) for chain in meant]  # all of them, not the first alone
    return any(changed)


def listener_matches(listener: Listener, match: ListenerMatch) -> bool:
    if match.name not in {"", listener.name}:
        return False
    if not match.port_number or listener.address.socket_address.port_value == match.port_number:
        return True
    # virtualInbound has a chain, not a listener, for each port.
    return any(_port(chain) == match.port_number for chain in listener.filter_chains)


def chains(listener: Listener) -> Iterator[FilterChain]:
    yield from listener.filter_chains
    if listener.HasField("default_filter_chain"):
        yield listener.default_filter_chain


def _port(chain: FilterChain) -> int:
    return chain.filter_chain_match.destination_port.value


def _chain_is_meant(listener: Listener, chain: FilterChain, match: ListenerMatch) -> bool:
    own_port = listener.address.socket_address.port_value
    if match.port_number and match.port_number != own_port and _port(chain) != match.port_number:
        return False
    return _chain_matches(chain, match.filter_chain)


def _chain_matches(chain: FilterChain, match: FilterChainMatch | None) -> bool:
    if match is None:
        return True
    found = chain.filter_chain_match
    protocols = {name.strip() for name in match.application_protocols.split(",") if name.strip()}
    return (
        match.name in {"", chain.name}
        and (not match.sni or match.sni in found.server_names)
        and match.transport_protocol in {"", found.transport_protocol}
        and protocols <= set(found.application_protocols)
        and match.destination_port in {0, _port(chain)}
    )


def _patch_chain(chain: FilterChain, patch: EnvoyConfigObjectPatch, match: ListenerMatch) -> bool:
    chain_match = match.filter_chain
    wanted = chain_match.filter if chain_match else None
    name = wanted.name if wanted else ""
    if patch.apply_to is ApplyTo.NETWORK_FILTER:
        return edit(
            chain.filters,
            NetworkFilter,
            patch,
            lambda item: name in {"", item.name},
            anywhere=not name,
            add_before=lambda item: item.name in {HTTP, TCP},
        )
    if name not in {"", HTTP}:
        return False
    inner = wanted.sub_filter.name if wanted and wanted.sub_filter else ""
    change = (
        _http_filter_change(patch, inner) if patch.apply_to is ApplyTo.HTTP_FILTER else _route_change(patch)
    )
    changed = [_patch_manager(item, change) for item in chain.filters if item.name == HTTP]
    return any(changed)


def _http_filter_change(patch: EnvoyConfigObjectPatch, name: str) -> Callable[[Any], bool]:
    return lambda manager: edit(
        manager.http_filters,
        HttpFilter,
        patch,
        lambda item: name in {"", item.name},
        anywhere=not name,
        add_before=lambda item: item.name == ROUTER,  # behind the router nothing takes effect
    )


def _route_change(patch: EnvoyConfigObjectPatch) -> Callable[[Any], bool]:
    def change(manager: HttpConnectionManager) -> bool:
        if not manager.HasField("route_config"):
            return False
        return patch_routes(manager.route_config, patch, 0)

    return change


def _patch_manager(item: NetworkFilter, change: Callable[[Any], bool]) -> bool:
    manager = HttpConnectionManager.FromString(item.typed_config.value)
    if not change(manager):
        return False
    item.typed_config.CopyFrom(pack(manager))
    return True
