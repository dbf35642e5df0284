"""Secrets as Envoy takes them by discovery: certificates with their keys, and roots to verify the other side with.

Only a proxy whose bundle names a secret is ever sent it (`translate.bundle`); whoever asks for another one is told that
there is none. So is a proxy whose secret is missing or unusable: Envoy then closes the connections that need it, and no
others; one that it had before it goes on using.
"""

from collections.abc import Iterator
from typing import Any

from mizzen.config.credentials import CA_SUFFIX
from mizzen.config.resource import ResourceKey
from mizzen.config.types.networking import ClientTLSSettings, ServerTLSMode, ServerTLSSettings, TLSCertificate
from mizzen.derive.destination_rules import destination_rule, rules_for
from mizzen.derive.gateways import is_chosen, merged_gateway
from mizzen.derive.inbound import InboundScope, inbound_ports, own_tls
from mizzen.derive.inputs import BY_KIND
from mizzen.derive.rbac import may_list_secrets
from mizzen.derive.secrets import key_pair, secret_key, trust, trust_key
from mizzen.derive.tls_files import naming_file
from mizzen.derive.visibility import visible_services
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope
from mizzen.proto.api import Secret
from mizzen.translate import names
from mizzen.translate.built import Built, Origin, ResourceRef, built
from mizzen.xds.resource import SECRET

ASKS_FOR_CERTIFICATE = frozenset({ServerTLSMode.MUTUAL, ServerTLSMode.OPTIONAL_MUTUAL})


# --- which secrets settings name ------------------------------------------------------------------------------


def certificate_credentials(tls: ServerTLSSettings) -> tuple[str, ...]:
    """The credentialNames of a server's certificates."""
    return tls.credential_names or ((tls.credential_name,) if tls.credential_name else ())


def roots_credential(tls: ServerTLSSettings) -> str:
    """The credentialName of the roots for a server's callers: its own, else the certificate's with Istio's suffix."""
    own = certificate_credentials(tls)
    return tls.ca_cert_credential_name or (own[0] + CA_SUFFIX if own else "")


def certificate_files(tls: ServerTLSSettings) -> tuple[TLSCertificate, ...]:
    """The files of a server's certificates."""
    if tls.tls_certificates or not tls.server_certificate:
        return tls.tls_certificates
    return (TLSCertificate(server_certificate=tls.server_certificate, private_key=tls.private_key),)


def roots_file(tls: ServerTLSSettings) -> str:
    """The file with the roots for a server's callers."""
    return tls.ca_certificates or next((one.ca_certificates for one in tls.tls_certificates), "")


# --- which secrets a proxy gets -------------------------------------------------------------------------------


@query
def gateway_secrets(db: Database, scope: InboundScope) -> tuple[ResourceRef, ...]:
    """What the servers name that a gateway workload runs. Gateways of any namespace may select it; the secrets are those
    of its own. Of a workload that only says it is a gateway (derive.gateways.is_chosen): files of its machine alone.
    """
    chosen = is_chosen(db, scope)
    refs: dict[str, ResourceRef] = {}
    for port in merged_gateway(db, scope).ports:
        for found in port.servers:
            tls = found.server.tls
            if tls is not None:
                secrets = _server_secrets(db, scope.namespace, tls) if chosen else ()
                refs.update({ref.name: ref for ref in (*secrets, *_file_refs(tls))})
    return tuple(refs.values())


@query
def gateway_client_secrets(
    db: Database, served: InboundScope, scope: OutboundScope
) -> tuple[ResourceRef, ...]:
    """What DestinationRules tell a gateway to present or trust."""
    return client_secrets(db, scope) if is_chosen(db, served) else ()


@query
def ingress_secrets(db: Database, scope: InboundScope) -> tuple[ResourceRef, ...]:
    """What the ports name at which a sidecar ends TLS: files of the workload's machine, never Secrets."""
    settings = (own_tls(db, scope, port) for port in inbound_ports(db, scope))
    return tuple({ref.name: ref for tls in settings if tls for ref in _file_refs(tls)}.values())


def _server_secrets(db: Database, namespace: str, tls: ServerTLSSettings) -> Iterator[ResourceRef]:
    for credential in certificate_credentials(tls):
        yield from _key_pair_ref(db, namespace, credential)
    if tls.mode in ASKS_FOR_CERTIFICATE and roots_credential(tls):
        yield from _trust_ref(db, namespace, roots_credential(tls))


def _file_refs(tls: ServerTLSSettings) -> Iterator[ResourceRef]:
    for files in certificate_files(tls):
        name = names.file_certificate(files.server_certificate, files.private_key)
        yield ResourceRef(SECRET, name, file_certificate, (files.server_certificate, files.private_key))
    if tls.mode in ASKS_FOR_CERTIFICATE and roots_file(tls) and not roots_credential(tls):
        name = names.file_roots(roots_file(tls), tls.ca_crl)
        yield ResourceRef(SECRET, name, file_roots, (roots_file(tls), tls.ca_crl))


def _key_pair_ref(db: Database, namespace: str, credential: str) -> Iterator[ResourceRef]:
    key = secret_key(credential, namespace)
    if key is not None and key_pair(db, key) is not None:
        name = names.credential(credential)
        yield ResourceRef(SECRET, name, key_pair_secret, (name, key))


def _trust_ref(db: Database, namespace: str, credential: str) -> Iterator[ResourceRef]:
    named = secret_key(credential, namespace)
    key = trust_key(db, named) if named is not None else None
    if key is not None and trust(db, key) is not None:
        name = names.credential(credential)
        yield ResourceRef(SECRET, name, trust_secret, (name, key))


@query
def sidecar_secrets(db: Database, scope: OutboundScope, service_account: str) -> tuple[ResourceRef, ...]:
    """What DestinationRules tell a sidecar to present or trust: only if RBAC lets its service account list the secrets
    of its namespace (Istio's rule). A gateway that a Gateway chose needs no such role: it is there to hold certificates.
    """
    if not _credential_rules(db) or not may_list_secrets(db, scope.namespace, service_account):
        return ()
    return client_secrets(db, scope)


@query
def client_secrets(db: Database, scope: OutboundScope) -> tuple[ResourceRef, ...]:
    """What the DestinationRules name that hold for a scope's calls."""
    with_credentials = _credential_rules(db)
    refs: dict[str, ResourceRef] = {}
    for service in visible_services(db, scope) if with_credentials else ():
        for key in with_credentials.intersection(rules_for(db, scope, service)):
            for credential in _rule_credentials(db, key):
                for ref in _client_refs(db, scope.namespace, credential):
                    refs[ref.name] = ref
    return tuple(refs[name] for name in sorted(refs))


def _client_refs(db: Database, namespace: str, credential: str) -> Iterator[ResourceRef]:
    yield from _key_pair_ref(db, namespace, credential)
    yield from _trust_ref(db, namespace, credential + CA_SUFFIX)


@query
def _credential_rules(db: Database) -> frozenset[ResourceKey]:
    """The DestinationRules that name secrets: mostly none, which spares looking at every service."""
    return frozenset(key for key in BY_KIND(db, "DestinationRule") if _rule_credentials(db, key))


@query
def _rule_credentials(db: Database, key: ResourceKey) -> tuple[str, ...]:
    rule = destination_rule(db, key)
    if rule is None:
        return ()
    policies = (rule.traffic_policy, *(subset.traffic_policy for subset in rule.subsets))
    settings: list[ClientTLSSettings | None] = []
    for policy in policies:
        if policy is not None:
            settings += (policy.tls, *(port.tls for port in policy.port_level_settings))
    return tuple(dict.fromkeys(tls.credential_name for tls in settings if tls and tls.credential_name))


# --- secrets --------------------------------------------------------------------------------------------------


@query
def key_pair_secret(db: Database, name: str, key: ResourceKey) -> Built:
    """A certificate and its key, from a Secret."""
    found = key_pair(db, key)
    if found is None:
        raise LookupError(f"{key} holds no certificate")
    certificate: dict[str, Any] = {
        "certificate_chain": {"inline_bytes": found.chain},
        "private_key": {"inline_bytes": found.key.reveal()},
    }
    if found.staple:
        certificate["ocsp_staple"] = {"inline_bytes": found.staple}
    return built(SECRET, Secret(name=name, tls_certificate=certificate), (Origin("", key),))


@query
def trust_secret(db: Database, name: str, key: ResourceKey) -> Built:
    """Roots and what they have revoked, from a Secret."""
    found = trust(db, key)
    if found is None:
        raise LookupError(f"{key} holds no roots")
    context: dict[str, Any] = {"trusted_ca": {"inline_bytes": found.roots}}
    if found.revoked:
        context["crl"] = {"inline_bytes": found.revoked}
    return built(SECRET, Secret(name=name, validation_context=context), (Origin("", key),))


@query
def file_certificate(db: Database, certificate: str, key: str) -> Built:
    """A certificate and its key from files of the proxy's machine, read again when their folder's links move.

    As a secret of its own it can be refused alone: a file that is not there closes this server, not the whole port.
    """
    files = {
        "certificate_chain": {"filename": certificate},
        "private_key": {"filename": key},
        "watched_directory": {"path": _folder(certificate)},
    }
    secret = Secret(name=names.file_certificate(certificate, key), tls_certificate=files)
    return built(SECRET, secret, _named_by(db, certificate))


@query
def file_roots(db: Database, roots: str, revoked: str) -> Built:
    """Roots, and a revocation list ("" for none), from files of the proxy's machine."""
    context: dict[str, Any] = {
        "trusted_ca": {"filename": roots},
        "watched_directory": {"path": _folder(roots)},
    }
    if revoked:
        context["crl"] = {"filename": revoked}
    secret = Secret(name=names.file_roots(roots, revoked), validation_context=context)
    return built(SECRET, secret, _named_by(db, roots))


def _named_by(db: Database, file: str) -> tuple[Origin, ...]:
    return tuple(Origin("", key, path) for key, path in naming_file(db, file))


def _folder(file: str) -> str:
    return file.rpartition("/")[0] or "/"
