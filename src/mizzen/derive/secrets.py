"""Secrets of the mesh's edges: what a Secret holds, and whose it is.

The proxy's namespace, from its certificate, decides: nobody reads a secret of another namespace. Source: Istio's
rule for credentialName.
"""

from mizzen.config import credentials
from mizzen.config.credentials import CA_SUFFIX, KeyPair, Trust, UnusableSecretError
from mizzen.config.resource import ResourceKey
from mizzen.config.types.kubernetes import Secret
from mizzen.derive.inputs import RESOURCES
from mizzen.incremental import Database, query

_SCHEME = "kubernetes://"


def secret_key(credential: str, namespace: str) -> ResourceKey | None:
    """The Secret that a credentialName means to a proxy of a namespace; None: nothing that it may read.

    Written "name", "kubernetes://name" or "kubernetes://namespace/name". A secret of another namespace is nobody's to
    ask for: to the proxy it looks like one that is not there.
    """
    owner, slash, name = credential.removeprefix(_SCHEME).rpartition("/")
    if not name or (slash and owner != namespace):
        return None
    return ResourceKey("Secret", namespace, name)


@query
def key_pair(db: Database, key: ResourceKey) -> KeyPair | None:
    """The certificate and key in a secret; None: there is no such secret, or no proxy could use it."""
    secret = _secret(db, key)
    try:
        return credentials.key_pair(secret) if secret else None
    except UnusableSecretError:
        return None  # validation and analysis say why


def trust_key(db: Database, key: ResourceKey) -> ResourceKey:
    """The secret with the roots of "x-cacert": of that name, or where there is none, "x" itself (Istio's rule)."""
    if _secret(db, key) is None and key.name.endswith(CA_SUFFIX):
        return ResourceKey(key.kind, key.namespace, key.name.removesuffix(CA_SUFFIX))
    return key


@query
def trust(db: Database, key: ResourceKey) -> Trust | None:
    """The roots that a secret tells to trust, and what they revoked."""
    secret = _secret(db, key)
    try:
        return credentials.trust(secret) if secret else None
    except UnusableSecretError:
        return None


def _secret(db: Database, key: ResourceKey) -> Secret | None:
    resource = RESOURCES(db, key)
    return resource.spec if resource is not None and isinstance(resource.spec, Secret) else None
