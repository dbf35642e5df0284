"""security.istio.io: PeerAuthentication, RequestAuthentication and AuthorizationPolicy."""

from enum import Enum
from typing import Annotated, ClassVar

from msgspec import Meta, field

from mizzen.config.types.constraints import AtLeast1ms, NonEmpty, Size, at_most_one
from mizzen.config.types.message import Cel, Message, OneOf
from mizzen.config.types.targets import PolicyTargetReference, TargetRefs, WorkloadSelector
from mizzen.frozen import FrozenMap


class MutualTLSMode(Enum):
    """The API's PeerAuthentication.MutualTLS.Mode."""

    UNSET = "UNSET"  # as the wider policy says; PERMISSIVE where there is none
    DISABLE = "DISABLE"
    PERMISSIVE = "PERMISSIVE"  # mTLS and plain text
    STRICT = "STRICT"  # mTLS only


class MutualTLS(Message):
    mode: MutualTLSMode = MutualTLSMode.UNSET  # what is accepted


class PeerAuthentication(Message):
    """What a workload accepts from its peers. The workload's policy wins over the namespace's over the mesh's."""

    CEL: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "has(self.portLevelMtls) ? (((has(self.selector) && has(self.selector.matchLabels))"
            " ? self.selector.matchLabels : {}).size() > 0) : true",
            "portLevelMtls requires selector",
        ),
    )

    selector: WorkloadSelector | None = None  # None: all of the namespace
    mtls: MutualTLS | None = None  # None: as the wider policy says; PERMISSIVE where there is none
    port_level_mtls: Annotated[
        FrozenMap[str, MutualTLS],
        Size(least=1),
        Cel("self.all(key, 0 < int(key) && int(key) <= 65535)", "port must be between 1-65535"),
    ] = FrozenMap()  # the workload's port in decimals -> mode; needs a selector


class JWTHeader(Message):
    """A request header that carries a token."""

    name: NonEmpty  # of the header
    prefix: str = ""  # before the token, such as "Bearer "; "": none


class ClaimToHeader(Message):
    """A claim that is handed to the workload as a header."""

    header: Annotated[str, Meta(min_length=1, pattern="^[-_A-Za-z0-9]+$")]  # what it replaces, if it is there
    claim: NonEmpty  # a.b for what is inside a claim


_HTTP_URL = Cel('url(self).getScheme() in ["http", "https"]', "url must have scheme http:// or https://")
_JwksUri = Annotated[str, Meta(min_length=1, max_length=2048), _HTTP_URL]


class JWTRule(Message):
    """An issuer of tokens, how they are verified, and where in a request they are looked for.

    Without from_headers, from_params and from_cookies: `Authorization: Bearer` and the query parameter access_token.
    """

    CEL: ClassVar[tuple[Cel, ...]] = (
        at_most_one("only one of jwks or jwksUri can be set", "jwksUri", "jwks_uri", "jwks"),
    )

    issuer: NonEmpty = ""  # the token's "iss"; "": any
    audiences: tuple[NonEmpty, ...] = ()  # one of which is the token's "aud"; (): any
    jwks_uri: _JwksUri = ""  # of the issuer's public keys; "": found by OpenID discovery
    jwks_uri_snake: _JwksUri = field(default="", name="jwks_uri")  # the same, deprecated spelling
    jwks: str = ""  # the public keys themselves (JSON Web Key Set); excludes jwks_uri
    from_headers: tuple[JWTHeader, ...] = ()  # where the token may be
    from_params: tuple[NonEmpty, ...] = ()  # query parameters where it may be
    from_cookies: tuple[NonEmpty, ...] = ()  # cookies where it may be
    output_payload_to_header: str = ""  # header for the verified payload, in base64url; "": none
    forward_original_token: bool = False  # whether the workload gets the token, too
    output_claim_to_headers: tuple[ClaimToHeader, ...] = ()  # of scalar claims
    timeout: AtLeast1ms | None = None  # of fetching jwks_uri; None: 5 s
    space_delimited_claims: Annotated[
        tuple[NonEmpty, ...], Meta(max_length=64)
    ] = ()  # read as lists, like "scope"


_ONE_TARGET = at_most_one(
    "only one of targetRefs or selector can be set", "selector", "targetRef", "targetRefs"
)


class RequestAuthentication(Message):
    """Which tokens are verified. A request with an invalid one is refused; one without any is not."""

    CEL: ClassVar[tuple[Cel, ...]] = (_ONE_TARGET,)

    selector: WorkloadSelector | None = None  # None: all of the namespace
    target_ref: PolicyTargetReference | None = None  # deprecated: target_refs
    target_refs: TargetRefs = ()  # gateways and services that it attaches to; excludes selector
    jwt_rules: Annotated[tuple[JWTRule, ...], Meta(max_length=4096)] = ()  # one an issuer


class Action(Enum):
    """The API's AuthorizationPolicy.Action. Evaluated in the order CUSTOM, DENY, ALLOW."""

    ALLOW = "ALLOW"
    DENY = "DENY"
    AUDIT = "AUDIT"
    CUSTOM = "CUSTOM"


class ExtensionProvider(Message):
    name: str = ""  # of MeshConfig.extensionProviders


_ServiceAccounts = Annotated[tuple[Annotated[str, Meta(max_length=320)], ...], Meta(max_length=16)]


class Source(Message):
    """All that is set must hold; each list is "any of". "*", "prefix*" and "*suffix" are allowed but in IP blocks."""

    CEL: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "(has(self.serviceAccounts) || has(self.notServiceAccounts)) ? (!has(self.principals) &&\n"
            "!has(self.notPrincipals) && !has(self.namespaces) && !has(self.notNamespaces)) : true",
            "Cannot set serviceAccounts with namespaces or principals",
        ),
    )

    principals: tuple[str, ...] = ()  # <trust domain>/ns/<namespace>/sa/<service account>
    not_principals: tuple[str, ...] = ()  # none of these
    request_principals: tuple[str, ...] = ()  # <issuer>/<subject> of the request's JWT
    not_request_principals: tuple[str, ...] = ()  # none of these
    namespaces: tuple[str, ...] = ()  # of the peer's certificate
    not_namespaces: tuple[str, ...] = ()  # none of these
    ip_blocks: tuple[str, ...] = ()  # the peer's address, or CIDR
    not_ip_blocks: tuple[str, ...] = ()  # none of these
    remote_ip_blocks: tuple[str, ...] = ()  # the original client's, from X-Forwarded-For or PROXY protocol
    not_remote_ip_blocks: tuple[str, ...] = ()  # none of these
    service_accounts: _ServiceAccounts = ()  # "name" in the policy's namespace, or "namespace/name"
    not_service_accounts: _ServiceAccounts = ()  # none of these
    trust_domains: tuple[str, ...] = ()  # of the peer's certificate
    not_trust_domains: tuple[str, ...] = ()  # none of these


class From(Message):
    source: Source | None = None  # the caller; None: any


class Operation(Message):
    """All that is set must hold; each list is "any of"; HTTP fields never match plain TCP."""

    hosts: tuple[str, ...] = ()  # case-insensitive
    not_hosts: tuple[str, ...] = ()  # none of these
    ports: tuple[str, ...] = ()  # in decimals
    not_ports: tuple[str, ...] = ()  # none of these
    methods: tuple[str, ...] = ()  # GET and so on; gRPC is POST
    not_methods: tuple[str, ...] = ()  # none of these
    paths: tuple[str, ...] = ()  # without query; "{*}" and "{**}" match segments
    not_paths: tuple[str, ...] = ()  # none of these


class To(Message):
    operation: Operation | None = None  # the request; None: any


class Condition(Message):
    key: str  # request.headers[name], source.ip, destination.port, connection.sni, ...
    values: tuple[str, ...] = ()  # any of these
    not_values: tuple[str, ...] = ()  # none of these


class Rule(Message):
    """Matches where one of `from`, one of `to` and all of `when` match. What is absent always matches."""

    from_: Annotated[tuple[From, ...], Meta(max_length=512)] = field(
        default=(), name="from"
    )  # any of these; (): every caller
    to: tuple[To, ...] = ()  # any of these; (): every request
    when: tuple[Condition, ...] = ()  # all of these


class AuthorizationPolicy(Message):
    """Who may do what. Without rules it never matches: an ALLOW policy without rules denies everything."""

    ONE_OF: ClassVar[OneOf] = (("provider",),)
    CEL: ClassVar[tuple[Cel, ...]] = (_ONE_TARGET,)

    selector: WorkloadSelector | None = None  # None: all of the namespace
    target_ref: PolicyTargetReference | None = None  # deprecated: target_refs
    target_refs: TargetRefs = ()  # gateways and services that it attaches to; excludes selector
    action: Action = Action.ALLOW  # what a match means
    rules: Annotated[tuple[Rule, ...], Meta(max_length=512)] = ()  # any of them
    provider: ExtensionProvider | None = None  # for CUSTOM
