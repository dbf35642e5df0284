"""Which proxy a connection is: proven by its certificate, chosen by its node ID, described by its metadata."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from mizzen.config.resource import ResourceKey
from mizzen.derive.mesh import trust_domain
from mizzen.derive.workloads import KINDS, workload
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database
from mizzen.model.identity import SpiffeId
from mizzen.model.proxy import Binding, Capture, ProxyKind
from mizzen.model.workload import TLS_MODE_LABEL, Workload
from mizzen.rpc.peer import Peer
from mizzen.xds.catalog import Node, Rejected

HTTP_PROXY_PORT = (
    15002  # of a sidecar without capture, unless its metadata says otherwise (Istio's proxyHttpPort)
)


AGENT = "mizzen-agent"
"""The user agent of an agent, which comes with the certificate and the node ID of the proxy beside it."""


class UnregisteredError(Rejected):
    """Nobody has registered the workload. `group`: the WorkloadGroup that it asks to join, "" where none."""

    def __init__(self, identity: SpiffeId, namespace: str, name: str, address: str, group: str) -> None:
        what = f"it is joining WorkloadGroup {group}" if group else "add a WorkloadEntry of that name"
        super().__init__(f"no workload {namespace}/{name} is registered: {what}")
        self.identity, self.namespace, self.name = identity, namespace, name
        self.address, self.group = address, group


ViewKey = tuple[ResourceKey, ProxyKind, Binding | None, str, bool, Capture]
"""Of the query proxy_view."""


@dataclass(frozen=True, slots=True)
class AdmittedProxy:
    """A proxy whose claim to be a workload was found true, or (`agent`) the agent beside it. `binding` is None where its
    traffic is captured.
    """

    key: ResourceKey
    kind: ProxyKind
    identity: SpiffeId
    binding: Binding | None
    capture: Capture
    certificate_expires: float | None
    agent: bool = False

    @property
    def view_key(self) -> ViewKey:
        """The key of the query proxy_view that gives its view."""
        account = self.identity.service_account
        return self.key, self.kind, self.binding, account, self.agent, self.capture


def admit(db: Database, peer: Peer, node: Node) -> AdmittedProxy:
    """Raises Rejected, in words for the agent's log.

    Replicas share a service account, so the node ID selects the workload; it is accepted only if that workload is
    registered with the certificate's namespace and service account. Nothing else that the node claims is trusted.
    """
    identity = proven_identity(db, peer)
    kind, address, namespace, name = _parse_node_id(node.id)
    found = registered(db, namespace, name)
    if found is None:
        group = str(node.metadata.get("WORKLOAD_GROUP") or "")
        raise UnregisteredError(identity, namespace, name, address, group)
    if (found.namespace, found.service_account) != (identity.namespace, identity.service_account):
        raise Rejected(
            f"the certificate of {identity} may not run {namespace}/{name}, which is registered with the "
            f"service account {found.namespace}/{found.service_account}"
        )
    if kind is ProxyKind.GATEWAY and found.has_proxy:
        # A gateway gets the Secrets that Gateways name: what is registered as a sidecar must not become one by saying so.
        raise Rejected(
            f"{namespace}/{name} is registered as a workload with a sidecar (label {TLS_MODE_LABEL}), and may run no gateway"
        )
    agent = node.user_agent == AGENT
    binding = None if agent else _binding(kind, found, node.metadata)
    capture = Capture() if agent else _capture(kind, node.metadata)
    return AdmittedProxy(found.key, kind, identity, binding, capture, peer.not_after, agent)


def registered(db: Database, namespace: str, name: str) -> Workload | None:
    """The workload of a name. Where a WorkloadEntry and a Pod have one, the WorkloadEntry is meant."""
    found = (db.value(workload, ResourceKey(kind, namespace, name)) for kind in KINDS)
    return next((each for each in found if each is not None), None)


def proven_identity(db: Database, peer: Peer) -> SpiffeId:
    """Who a caller is, by its certificate. Raises Rejected where that names nobody of this mesh."""
    if peer.identity is None:
        raise Rejected("a client certificate of the mesh is needed", unauthenticated=True)
    try:
        identity = SpiffeId.parse(peer.identity)
    except ValueError as error:
        raise Rejected(str(error), unauthenticated=True) from error
    own = db.value(trust_domain)
    if identity.trust_domain != own:
        raise Rejected(f"{identity} is not of this mesh's trust domain, {own}", unauthenticated=True)
    return identity


def _parse_node_id(node_id: str) -> tuple[ProxyKind, str, str, str]:
    """Istio's form: <sidecar|router>~<address>~<name>.<namespace>~<DNS domain>."""
    parts = node_id.split("~")
    name, dot, namespace = parts[2].rpartition(".") if len(parts) == 4 else ("", "", "")
    if not dot or parts[0] not in {kind.value for kind in ProxyKind}:
        raise Rejected(f"{node_id!r} is no node ID: expected sidecar~<address>~<name>.<namespace>~<domain>")
    return ProxyKind(parts[0]), parts[1], namespace, name


def _binding(kind: ProxyKind, found: Workload, metadata: Mapping[str, Any]) -> Binding | None:
    """How a proxy without capture listens. It may bind only the address that its workload is registered with."""
    if metadata.get("INTERCEPTION_MODE") != "NONE":
        return None
    try:
        address = ip_address(found.address)
        if kind is ProxyKind.GATEWAY and not address.is_loopback:
            return (
                None  # a gateway never captures; where it has the host to itself it listens on every address
            )
        ports = {
            _port(port): _port(private) for port, private in dict(metadata.get("APP_PORTS") or {}).items()
        }
        claimed = metadata.get("HTTP_PROXY_PORT") or 0
        # An agent that was told none says 0, which comes through a Struct as 0.0, from some clients as text.
        proxy_port = _port(claimed) if float(str(claimed)) else HTTP_PROXY_PORT
    except (TypeError, ValueError) as error:
        raise Rejected(f"the node's metadata for INTERCEPTION_MODE NONE cannot be read: {error}") from error
    return Binding(str(address), proxy_port, FrozenMap(ports))


def _capture(kind: ProxyKind, metadata: Mapping[str, Any]) -> Capture:
    """How a proxy's traffic is captured, as only its agent knows. It concerns nobody else: a false claim harms itself."""
    if kind is ProxyKind.GATEWAY:
        return Capture()
    transparent = metadata.get("INTERCEPTION_MODE") == "TPROXY"
    return Capture(transparent, ipv6=metadata.get("CAPTURE_IPV6") is True)


def _port(number: object) -> int:
    """A Struct has no integers: 15002 arrives as 15002.0, from some clients as text. Raises ValueError."""
    found = float(str(number))
    if not found.is_integer() or not 0 < found < 1 << 16:
        raise ValueError(f"{number!r} is no port")
    return int(found)
