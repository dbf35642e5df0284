"""security.istio.io: PeerAuthentication and AuthorizationPolicy."""

from enum import Enum

from msgspec import field

from mizzen.config.types.message import Message
from mizzen.frozen import EMPTY, FrozenMap


class WorkloadSelector(Message):
    """Workloads of the resource's namespace (of every namespace where that is the root namespace)."""

    match_labels: FrozenMap[str, str] = EMPTY  # all must hold; EMPTY: every workload


class PolicyTargetReference(Message):
    """Names what a policy attaches to, in the policy's own namespace."""

    kind: str
    name: str
    group: str = ""  # "": core
    namespace: str = ""  # reserved by the API: must be ""


class MutualTLSMode(Enum):
    """The API's PeerAuthentication.MutualTLS.Mode."""

    UNSET = "UNSET"  # as the wider policy says; PERMISSIVE where there is none
    DISABLE = "DISABLE"
    PERMISSIVE = "PERMISSIVE"  # mTLS and plain text
    STRICT = "STRICT"  # mTLS only


class MutualTLS(Message):
    mode: MutualTLSMode = MutualTLSMode.UNSET


class PeerAuthentication(Message):
    """What a workload accepts from its peers. The workload's policy wins over the namespace's over the mesh's."""

    selector: WorkloadSelector | None = None
    mtls: MutualTLS | None = None
    port_level_mtls: FrozenMap[str, MutualTLS] = FrozenMap()  # the workload's port in decimals -> mode


class Action(Enum):
    """The API's AuthorizationPolicy.Action. Evaluated in the order CUSTOM, DENY, ALLOW."""

    ALLOW = "ALLOW"
    DENY = "DENY"
    AUDIT = "AUDIT"
    CUSTOM = "CUSTOM"


class ExtensionProvider(Message):
    name: str = ""  # of MeshConfig.extensionProviders


class Source(Message):
    """All that is set must hold; each list is "any of". "*", "prefix*" and "*suffix" are allowed but in IP blocks."""

    principals: tuple[str, ...] = ()  # <trust domain>/ns/<namespace>/sa/<service account>
    not_principals: tuple[str, ...] = ()
    request_principals: tuple[str, ...] = ()  # <issuer>/<subject> of the request's JWT
    not_request_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()  # of the peer's certificate
    not_namespaces: tuple[str, ...] = ()
    ip_blocks: tuple[str, ...] = ()  # the peer's address, or CIDR
    not_ip_blocks: tuple[str, ...] = ()
    remote_ip_blocks: tuple[str, ...] = ()  # the original client's, from X-Forwarded-For or PROXY protocol
    not_remote_ip_blocks: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()  # "name" in the policy's namespace, or "namespace/name"
    not_service_accounts: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()
    not_trust_domains: tuple[str, ...] = ()


class From(Message):
    source: Source | None = None


class Operation(Message):
    """All that is set must hold; each list is "any of"; HTTP fields never match plain TCP."""

    hosts: tuple[str, ...] = ()  # case-insensitive
    not_hosts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()  # in decimals
    not_ports: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()  # without query; "{*}" and "{**}" match segments
    not_paths: tuple[str, ...] = ()


class To(Message):
    operation: Operation | None = None


class Condition(Message):
    key: str  # request.headers[name], source.ip, destination.port, connection.sni, ...
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()


class Rule(Message):
    """Matches where one of `from`, one of `to` and all of `when` match. What is absent always matches."""

    from_: tuple[From, ...] = field(default=(), name="from")
    to: tuple[To, ...] = ()
    when: tuple[Condition, ...] = ()


class AuthorizationPolicy(Message):
    """Who may do what. Without rules it never matches: an ALLOW policy without rules denies everything."""

    selector: WorkloadSelector | None = None
    target_ref: PolicyTargetReference | None = None  # deprecated: target_refs
    target_refs: tuple[PolicyTargetReference, ...] = ()
    action: Action = Action.ALLOW
    rules: tuple[Rule, ...] = ()
    provider: ExtensionProvider | None = None  # for CUSTOM
