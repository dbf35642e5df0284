"""Transport sockets: mutual TLS with the workload's own identity, by SDS from its agent."""

from collections.abc import Iterable
from typing import Any

from mizzen.config.types.mesh import MeshTLSProtocol, TLSConfig
from mizzen.config.validation.tls import CIPHER_SUITES, CURVES
from mizzen.proto.api import (
    CommonTlsContext,
    DownstreamTlsContext,
    RawBuffer,
    TlsParameters,
    TransportSocket,
    UpstreamTlsContext,
)
from mizzen.translate.built import pack
from mizzen.translate.names import SDS_CLUSTER

# Istio's ALPN protocols: what they mean is known to both sidecars and to nobody else, so that a server can tell mesh
# traffic from an application's own TLS.
MESH_HTTP_ALPN = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
MESH_TCP_ALPN = "istio"
MESH_ALPN = (*MESH_HTTP_ALPN, MESH_TCP_ALPN)

# Envoy's client side stops at TLS 1.2 by default.
TLS_VERSIONS = {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}

RAW_BUFFER = "envoy.transport_sockets.raw_buffer"
TLS = "envoy.transport_sockets.tls"


def sds_secret(name: str) -> dict[str, Any]:
    """A secret that the agent serves on its unix socket."""
    source = {
        "resource_api_version": "V3",
        # 0: wait for the agent for ever, rather than come up with a socket that refuses everybody.
        "initial_fetch_timeout": {"seconds": 0},
        "api_config_source": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": True,
            "grpc_services": [{"envoy_grpc": {"cluster_name": SDS_CLUSTER}}],
        },
    }
    return {"name": name, "sds_config": source}


def apply_tls_config(context: CommonTlsContext, config: TLSConfig | None) -> None:
    """MeshConfig's say on the oldest version, the cipher suites and the curves. TLS_AUTO: as it is."""
    if config is None:
        return
    parameters = context.tls_params
    if config.min_protocol_version is MeshTLSProtocol.TLSV1_2:
        parameters.tls_minimum_protocol_version = TlsParameters.TlsProtocol.TLSv1_2
    elif config.min_protocol_version is MeshTLSProtocol.TLSV1_3:
        parameters.tls_minimum_protocol_version = TlsParameters.TlsProtocol.TLSv1_3
    # Validation warns of what Envoy does not know; with it the whole resource would be refused.
    parameters.cipher_suites.extend(name for name in config.cipher_suites if name in CIPHER_SUITES)
    parameters.ecdh_curves.extend(name for name in config.ecdh_curves if name in CURVES)


def ads_secret(name: str) -> dict[str, Any]:
    """A secret that the daemon delivers (translate.secrets).

    No time limit: the daemon answers at once, also for what it does not have, and then Envoy goes on without.
    """
    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": {"seconds": 0}}
    return {"name": name, "sds_config": source}


def _identity(sans: Iterable[dict[str, Any]], alpn: Iterable[str]) -> dict[str, Any]:
    return {
        "alpn_protocols": list(alpn),
        "tls_params": TLS_VERSIONS,
        "tls_certificate_sds_secret_configs": [sds_secret("default")],
        "combined_validation_context": {
            "default_validation_context": {
                "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": matcher} for matcher in sans]
            },
            "validation_context_sds_secret_config": sds_secret("ROOTCA"),
        },
    }


def mesh_client(
    sni: str, principals: Iterable[str], trust_domains: Iterable[str], *, http: bool, http2: bool
) -> TransportSocket:
    """MTLS to a sidecar whose certificate carries one of `principals`; any of the trust domains where none is known."""
    alpn = (("istio-h2" if http2 else "istio-http/1.1"), MESH_TCP_ALPN) if http else (MESH_TCP_ALPN,)
    sans = [{"exact": principal} for principal in principals] or _mesh_members(trust_domains)
    context = UpstreamTlsContext(sni=sni, common_tls_context=_identity(sans, alpn))
    return TransportSocket(name=TLS, typed_config=pack(context))


def mesh_server(
    trust_domains: Iterable[str],
    *,
    http: bool,
    config: TLSConfig | None = None,
    principals: Iterable[str] = (),
) -> TransportSocket:
    """MTLS that asks every caller for a certificate of the mesh, as MeshConfig's meshMTLS wants it; of one of `principals`,
    if any are given.
    """
    alpn = ("h2", "http/1.1") if http else ()
    sans = [{"exact": principal} for principal in principals] or _mesh_members(trust_domains)
    context = DownstreamTlsContext(
        require_client_certificate={"value": True}, common_tls_context=_identity(sans, alpn)
    )
    apply_tls_config(context.common_tls_context, config)
    return TransportSocket(name=TLS, typed_config=pack(context))


def _mesh_members(trust_domains: Iterable[str]) -> list[dict[str, Any]]:
    return [{"prefix": f"spiffe://{domain}/"} for domain in trust_domains]


def plaintext() -> TransportSocket:
    return TransportSocket(name=RAW_BUFFER, typed_config=pack(RawBuffer()))
