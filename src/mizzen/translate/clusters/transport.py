"""Transport sockets of outbound clusters: automatic mTLS, TLS as a DestinationRule says, the PROXY protocol.

Source: Istio's mapping of DestinationRule `tls` and `proxyProtocol`, and its automatic mTLS.
"""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any

from mizzen.config.credentials import CA_SUFFIX
from mizzen.config.types.mesh import MeshConfig
from mizzen.config.types.networking import ClientTLSMode, ClientTLSSettings, ProxyProtocol
from mizzen.derive.endpoints import service_accounts, takes_mutual_tls_throughout
from mizzen.derive.mesh import mesh_config, trust_domain, trust_domains
from mizzen.incremental import Database
from mizzen.model.identity import SpiffeId
from mizzen.model.service import Protocol, Resolution, Service, ServicePort
from mizzen.proto.api import (
    Cluster,
    HttpProtocolOptions,
    ProxyProtocolUpstreamTransport,
    TransportSocket,
    UpstreamTlsContext,
)
from mizzen.translate import names
from mizzen.translate.built import ResourceRef, pack, struct
from mizzen.translate.secrets import file_certificate, file_roots
from mizzen.translate.tls import TLS, TLS_VERSIONS, ads_secret, apply_tls_config, mesh_client, plaintext
from mizzen.xds.resource import SECRET

# From files that every Linux distribution with Debian's or Alpine's layout has: what SIMPLE TLS trusts by default.
SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
_PROXY_PROTOCOL = "envoy.transport_sockets.upstream_proxy_protocol"
ORIGINATED = frozenset({ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL})


def apply_transport(
    db: Database,
    cluster: Cluster,
    options: HttpProtocolOptions,
    found: Service,
    port: ServicePort,
    subset: str,
    tls: ClientTLSSettings | None,
) -> None:
    """TLS as the DestinationRule says; else automatic mTLS: to each endpoint whose proxy takes it, plaintext to others."""
    mesh = mesh_config(db)
    if tls is not None and tls.mode is ClientTLSMode.DISABLE:
        return
    if tls is not None and tls.mode in ORIGINATED:
        http2 = options.explicit_http_config.HasField("http2_protocol_options")
        sans = tls.subject_alt_names or found.subject_alt_names
        # A service outside of the mesh is asked for by its host where no request names another (see auto_sni).
        by_host = found.mesh_external and "*" not in found.host
        sni = tls.sni or (found.host if by_host else "")
        cluster.transport_socket.CopyFrom(origination(mesh, tls, sni, sans, http2=http2))
        if port.protocol.is_http:
            apply_auto_names(options, tls, sans)
        return
    as_called = cluster.type == Cluster.DiscoveryType.ORIGINAL_DST
    instances = as_called and found.resolution is Resolution.STATIC  # known, though the caller chooses
    if tls is None and (found.mesh_external or (as_called and not instances)):
        return
    socket = mesh_client(
        sni=(tls.sni if tls and tls.sni else names.server_name(port.number, subset, found.host)),
        principals=tls.subject_alt_names if tls and tls.subject_alt_names else _names(db, found),
        trust_domains=trust_domains(db),
        # Where nothing says what a port speaks, streams say so themselves (listeners.tcp).
        http=port.protocol.is_http or port.protocol is Protocol.AUTO,
        http2=port.protocol.is_http2,
    )
    if tls is not None:
        cluster.transport_socket.CopyFrom(socket)
    elif instances:
        # Endpoints that are not discovered cannot be told apart: all or none (Istio's rule).
        if mesh.enable_auto_mtls and takes_mutual_tls_throughout(db, found.ref, port.number):
            cluster.transport_socket.CopyFrom(socket)
    elif mesh.enable_auto_mtls:
        cluster.transport_socket_matches.add(
            name="tlsMode-istio", match=struct({"tlsMode": "istio"}), transport_socket=socket
        )
        cluster.transport_socket_matches.add(
            name="tlsMode-disabled", match=struct({}), transport_socket=plaintext()
        )


def _names(db: Database, found: Service) -> tuple[str, ...]:
    """Whose certificates a service's callers accept: what it says itself, and the identities that run it."""
    domain = trust_domain(db)
    accounts = service_accounts(db, found.ref)
    return (*found.subject_alt_names, *(str(SpiffeId(domain, *account)) for account in accounts))


def origination(
    mesh: MeshConfig, tls: ClientTLSSettings, sni: str, sans: Sequence[str], *, http2: bool
) -> TransportSocket:
    """SIMPLE and MUTUAL: TLS that the proxy starts on the application's behalf, with certificates from files of its machine
    or from a secret of the client's namespace.
    """
    common: dict[str, Any] = {"alpn_protocols": ["h2"] if http2 else [], "tls_params": TLS_VERSIONS}
    if not _verifies(mesh, tls):
        common["validation_context"] = {}
    else:
        matchers = [matcher for san in sans for matcher in _san_matchers(san)]
        credential = tls.credential_name and names.credential(tls.credential_name + CA_SUFFIX)
        common["combined_validation_context"] = {
            "default_validation_context": {"match_typed_subject_alt_names": matchers},
            "validation_context_sds_secret_config": ads_secret(
                credential or names.file_roots(_roots(tls), tls.ca_crl)
            ),
        }
    if tls.mode is ClientTLSMode.MUTUAL:
        credential = tls.credential_name and names.credential(tls.credential_name)
        files = names.file_certificate(tls.client_certificate, tls.private_key)
        common["tls_certificate_sds_secret_configs"] = [ads_secret(credential or files)]
    context = UpstreamTlsContext(common_tls_context=common, sni=sni)
    apply_tls_config(context.common_tls_context, mesh.tls_defaults)
    return TransportSocket(name=TLS, typed_config=pack(context))


def origination_secrets(mesh: MeshConfig, tls: ClientTLSSettings) -> Iterator[ResourceRef]:
    """The files of TLS that a proxy begins, as secrets: Envoy would refuse the whole cluster for a file that is not there, and
    would not notice a new one. What credentialName means comes from elsewhere (translate.secrets.client_secrets).
    """
    if tls.credential_name or tls.mode not in ORIGINATED:
        return
    if _verifies(mesh, tls):
        roots = _roots(tls)
        yield ResourceRef(SECRET, names.file_roots(roots, tls.ca_crl), file_roots, (roots, tls.ca_crl))
    if tls.mode is ClientTLSMode.MUTUAL:
        files = (tls.client_certificate, tls.private_key)
        yield ResourceRef(SECRET, names.file_certificate(*files), file_certificate, files)


def _roots(tls: ClientTLSSettings) -> str:
    return tls.ca_certificates or SYSTEM_ROOTS


def _verifies(mesh: MeshConfig, tls: ClientTLSSettings) -> bool:
    if tls.insecure_skip_verify:
        return False
    return bool(tls.ca_certificates or tls.credential_name) or mesh.verify_certificate_at_client is not False


def _san_matchers(san: str) -> list[dict[str, Any]]:
    """A name as each kind that it can stand for in a certificate."""
    try:
        ip_address(san)
    except ValueError:
        kinds = ("DNS", "URI")
    else:
        kinds = ("DNS", "IP_ADDRESS")
    return [{"san_type": kind, "matcher": {"exact": san}} for kind in kinds]


def apply_auto_names(options: HttpProtocolOptions, tls: ClientTLSSettings, sans: Sequence[str]) -> None:
    """The server is asked for, and has to prove, the host that each request names, unless the rule says whom."""
    if not tls.sni:
        options.upstream_http_protocol_options.auto_sni = True
        if not sans and not tls.insecure_skip_verify:
            options.upstream_http_protocol_options.auto_san_validation = True


def apply_proxy_protocol(cluster: Cluster, settings: ProxyProtocol | None) -> None:
    """The PROXY protocol's header before all else, TLS included."""
    if settings is None:
        return
    version = settings.version.value
    if cluster.transport_socket_matches:
        for match in cluster.transport_socket_matches:
            match.transport_socket.CopyFrom(_with_header(match.transport_socket, version))
        return
    inner = cluster.transport_socket if cluster.HasField("transport_socket") else plaintext()
    cluster.transport_socket.CopyFrom(_with_header(inner, version))


def _with_header(inner: TransportSocket, version: str) -> TransportSocket:
    wrapper = ProxyProtocolUpstreamTransport(config={"version": version}, transport_socket=inner)
    return TransportSocket(name=_PROXY_PROTOCOL, typed_config=pack(wrapper))
