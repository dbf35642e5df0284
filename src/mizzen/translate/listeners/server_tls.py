"""How a server ends TLS: its certificates, whether callers show one and what of it is checked, versions and ciphers.

Source: Istio's TLS settings of Gateway servers and of a Sidecar's ingress.
"""

from typing import Any

from mizzen.config.types.mesh import MeshConfig
from mizzen.config.types.networking import ServerTLSMode, ServerTLSSettings, TLSProtocol
from mizzen.config.validation.tls import CIPHER_SUITES
from mizzen.derive.mesh import mesh_config, trust_domains
from mizzen.incremental import Database
from mizzen.proto.api import DownstreamTlsContext, TransportSocket
from mizzen.translate import names
from mizzen.translate.built import pack
from mizzen.translate.secrets import (
    ASKS_FOR_CERTIFICATE,
    certificate_credentials,
    certificate_files,
    roots_credential,
    roots_file,
)
from mizzen.translate.tls import TLS, ads_secret, apply_tls_config, mesh_server

_VERSIONS = {
    TLSProtocol.TLSV1_0: "TLSv1_0",
    TLSProtocol.TLSV1_1: "TLSv1_1",
    TLSProtocol.TLSV1_2: "TLSv1_2",
    TLSProtocol.TLSV1_3: "TLSv1_3",
}
# What a name in a certificate can be; which of them is meant, the setting does not say.
_SAN_TYPES = ("DNS", "URI", "EMAIL", "IP_ADDRESS")
HTTP_ALPN = ("h2", "http/1.1")


def server_socket(db: Database, tls: ServerTLSSettings, *, http: bool) -> TransportSocket:
    """The transport socket of a server that ends TLS."""
    if tls.mode is ServerTLSMode.ISTIO_MUTUAL:
        return mesh_server(
            trust_domains(db),
            http=http,
            config=mesh_config(db).mesh_mtls,
            principals=tls.subject_alt_names,
        )
    context = server_context(mesh_config(db), tls, HTTP_ALPN if http else ())
    return TransportSocket(name=TLS, typed_config=pack(context))


def server_context(mesh: MeshConfig, tls: ServerTLSSettings, alpn: tuple[str, ...]) -> DownstreamTlsContext:
    """TLS with the server's own certificates: all modes but ISTIO_MUTUAL."""
    context = DownstreamTlsContext(
        require_client_certificate={"value": tls.mode is ServerTLSMode.MUTUAL},
        common_tls_context={
            "alpn_protocols": alpn,
            "tls_params": {
                "tls_minimum_protocol_version": _VERSIONS.get(tls.min_protocol_version, "TLSv1_2"),
                "tls_maximum_protocol_version": _VERSIONS.get(tls.max_protocol_version, "TLSv1_3"),
            },
            "tls_certificate_sds_secret_configs": [ads_secret(name) for name in _certificates(tls)],
            **_validation(tls),
        },
    )
    # What Envoy does not know is left out: it would refuse the whole listener. Validation warns of it.
    ciphers = [name for name in dict.fromkeys(tls.cipher_suites) if name in CIPHER_SUITES]
    apply_tls_config(context.common_tls_context, mesh.tls_defaults)
    if ciphers:
        parameters = context.common_tls_context.tls_params
        del parameters.cipher_suites[:]
        parameters.cipher_suites.extend(ciphers)
    return context


def _certificates(tls: ServerTLSSettings) -> list[str]:
    credentials = certificate_credentials(tls)
    if credentials:
        return [names.credential(each) for each in credentials]
    return [
        names.file_certificate(each.server_certificate, each.private_key) for each in certificate_files(tls)
    ]


def _validation(tls: ServerTLSSettings) -> dict[str, Any]:
    """What is checked of a caller's certificate."""
    if tls.mode not in ASKS_FOR_CERTIFICATE:
        return {}
    if tls.insecure_skip_verify:
        return {"validation_context": {"trust_chain_verification": "ACCEPT_UNTRUSTED"}}
    roots = (
        names.credential(roots_credential(tls))
        if roots_credential(tls)
        else names.file_roots(roots_file(tls), tls.ca_crl)
    )
    own = {
        "match_typed_subject_alt_names": [
            {"san_type": kind, "matcher": {"exact": name}}
            for name in tls.subject_alt_names
            for kind in _SAN_TYPES
        ],
        "verify_certificate_spki": tls.verify_certificate_spki,
        "verify_certificate_hash": tls.verify_certificate_hash,
    }
    return {
        "combined_validation_context": {
            "default_validation_context": own,
            "validation_context_sds_secret_config": ads_secret(roots),
        }
    }
