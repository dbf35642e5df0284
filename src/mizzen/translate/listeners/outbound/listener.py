"""One outbound listener from its key."""

from dataclasses import replace

from mizzen.config.types.mesh import MeshConfig
from mizzen.derive.mesh import mesh_config
from mizzen.derive.telemetry import Observed
from mizzen.incremental import Database, query
from mizzen.model.service import Protocol
from mizzen.proto.api import FilterChain, Listener
from mizzen.translate import names
from mizzen.translate.built import Built, Origin, built
from mizzen.translate.listeners.network import (
    ANY_ADDRESS,
    CLEAR_TEXT_HTTP,
    ads_routes,
    http_connection_manager,
    inspect,
    outbound_http_filters,
    socket_address,
    tcp_proxy,
)
from mizzen.translate.listeners.outbound.plan import ListenerKey
from mizzen.translate.listeners.outbound.streams import stream_chains
from mizzen.translate.stream_routes import Cell, filter_chain_match, untaken
from mizzen.translate.telemetry.reporting import Reporting, client_reporting
from mizzen.xds.resource import LISTENER


@query
def outbound_listener(db: Database, key: ListenerKey, seen: Observed) -> Built:
    """<address>_<port>: what the application sends there, told apart as far as it must be. `seen`: what is told of it."""
    reporting = client_reporting(db, seen)
    listener = Listener(
        name=names.listener(key.address, key.port),
        address=socket_address(key.address, key.port),
        traffic_direction="OUTBOUND",
    )
    if not key.is_bound:
        listener.bind_to_port.value = False
    if key.address == ANY_ADDRESS:
        listener.additional_addresses.add(address=socket_address("::", key.port))
    services = dict.fromkeys(stream.claim.service.source for stream in key.streams)
    origins = [Origin("", source) for source in services]
    origins += _add_streams(db, listener, key, reporting)
    if key.route:
        _add_http(db, listener, key, reporting)
    _settle_default(listener, key, reporting)
    _inspect(mesh_config(db), listener, key)
    return built(LISTENER, listener, tuple(origins))


def _add_streams(db: Database, listener: Listener, key: ListenerKey, reporting: Reporting) -> list[Origin]:
    """The chains of streams, and what made those that are not the service's own. Of two that Envoy could not tell apart
    the first holds.
    """
    taken: set[Cell] = set()
    found = [
        (chain, match)
        for stream in key.streams
        for chain in stream_chains(db, stream, reporting)
        for match in untaken(chain.match, taken)
    ]
    origins: list[Origin] = []
    for chain, match in found:
        if match.is_everything and (key.route or len(found) > 1):
            listener.default_filter_chain.filters.extend(chain.filters)
            part = "default_filter_chain"
        else:
            part = f"filter_chains[{len(listener.filter_chains)}]"
            made = listener.filter_chains.add(filters=chain.filters)
            if not match.is_everything:
                made.filter_chain_match.CopyFrom(filter_chain_match(match))
        if chain.origin is not None:
            origins.append(replace(chain.origin, part=part))
    return origins


def _add_http(db: Database, listener: Listener, key: ListenerKey, reporting: Reporting) -> None:
    mesh = mesh_config(db)
    manager = http_connection_manager(
        mesh,
        f"outbound_{listener.name}",
        ads_routes(key.route),
        outbound_http_filters(grpc_web=key.grpc_web, dynamic_dns=mesh if key.dynamic_dns else None),
        reporting,
    )
    made = listener.filter_chains.add(filters=[manager])
    if _tells_apart(key):
        made.filter_chain_match.application_protocols.extend(CLEAR_TEXT_HTTP)
        made.filter_chain_match.transport_protocol = "raw_buffer"


def _tells_apart(key: ListenerKey) -> bool:
    """Whether HTTP must be told from what else may come: what is meant for any address may be anything."""
    return bool(key.route) and (key.address == ANY_ADDRESS or bool(key.streams))


def _settle_default(listener: Listener, key: ListenerKey, reporting: Reporting) -> None:
    """What no chain takes goes to the default: a connection that got past one criterion does not fall back to chains
    without it. A chain that takes everything needs none beside it.
    """
    everything = any(not chain.HasField("filter_chain_match") for chain in listener.filter_chains)
    if not everything and not listener.HasField("default_filter_chain"):
        cluster = key.unknown.stream
        chain = FilterChain(name=names.PASSTHROUGH_CHAIN, filters=[tcp_proxy(reporting, cluster, cluster)])
        listener.default_filter_chain.CopyFrom(chain)


def _inspect(mesh: MeshConfig, listener: Listener, key: ListenerKey) -> None:
    """The inspectors that the chains need, no more: each waits until the client has spoken."""
    if _tells_apart(key):
        unnamed = any(stream.claim.protocol is Protocol.AUTO for stream in key.streams)
        inspect(mesh, listener, sniffs=True, unnamed=unnamed)
    elif any(chain.filter_chain_match.server_names for chain in listener.filter_chains):
        inspect(mesh, listener, sniffs=False, unnamed=False)
