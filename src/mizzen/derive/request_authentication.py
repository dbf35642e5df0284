"""RequestAuthentications: which issuers of tokens hold for a workload, and which key sets have to be fetched for them.

Source: Istio: the policies of the root namespace and of the workload's own count together, whatever their order.
"""

from datetime import timedelta

from mizzen.config.json_web_keys import usable_keys
from mizzen.config.resource import ResourceKey
from mizzen.config.types.security import JWTRule, RequestAuthentication
from mizzen.derive.attachment import Attachment
from mizzen.derive.inputs import BY_KIND, BY_NAMESPACE, KEY_SETS, RESOURCES, KeySource
from mizzen.derive.mesh import root_namespace
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query

DISCOVERY_PATH = "/.well-known/openid-configuration"
"""Where an issuer says where its keys are (OpenID Connect Discovery)."""

_KIND = "RequestAuthentication"
_TIMEOUT = timedelta(seconds=5)


@query
def request_authentications(
    db: Database, namespace: str, labels: FrozenMap[str, str]
) -> tuple[ResourceKey, ...]:
    """The policies that hold for a workload."""
    return tuple(
        key
        for owner in dict.fromkeys((root_namespace(db), namespace))
        for key in sorted(BY_NAMESPACE(db, (_KIND, owner)))
        if (attachment := _attachment(db, key)) is not None and attachment.holds_for(labels)
    )


@query
def _attachment(db: Database, key: ResourceKey) -> Attachment | None:
    resource = RESOURCES(db, key)
    return Attachment.of(resource.spec) if resource is not None else None


def rules_of(db: Database, key: ResourceKey) -> tuple[JWTRule, ...]:
    resource = RESOURCES(db, key)
    spec = resource.spec if resource is not None else None
    return spec.jwt_rules if isinstance(spec, RequestAuthentication) else ()


def key_source(rule: JWTRule) -> KeySource | None:
    """Where a rule's keys come from; None where it holds them itself, or nothing says where they are."""
    if rule.jwks:
        return None
    if uri := rule.jwks_uri or rule.jwks_uri_snake:
        return KeySource(uri)
    if rule.issuer.startswith(("https://", "http://")):
        return KeySource(rule.issuer.rstrip("/") + DISCOVERY_PATH, discovered=True)
    return None


def key_set(db: Database, rule: JWTRule) -> str | None:
    """The JSON Web Key Set by which the tokens of a rule are verified; None while none is known that could be used."""
    if rule.jwks:
        return usable_keys(rule.jwks, secret=True)
    source = key_source(rule)
    return KEY_SETS(db, source) if source is not None else None


@query
def wanted_key_sets(db: Database) -> FrozenMap[KeySource, timedelta]:
    """All that has to be fetched, with the patience for one try."""
    found: dict[KeySource, timedelta] = {}
    for key in BY_KIND(db, _KIND):
        for rule in rules_of(db, key):
            source = key_source(rule)
            if source is not None:
                found[source] = max(found.get(source, timedelta()), rule.timeout or _TIMEOUT)
    return FrozenMap(found)
