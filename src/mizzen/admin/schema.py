"""The documents of the JSON API, as frozen structs. GET /api/v1/<name in lower case> answers each.

Times are seconds since the epoch. Names of workloads and objects are "namespace/name".
"""

import msgspec


class _Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=False):
    pass


class SyncState(_Document, frozen=True, kw_only=True):
    """How far one resource type of one proxy has come. state: synced, pending, or rejected (NACK)."""

    type_name: str  # clusters, endpoints, listeners, routes, secrets; names, of the agent beside it
    state: str
    resources: int
    version: str = ""


class Rejection(_Document, frozen=True, kw_only=True):
    """A resource version that a proxy refused (NACK); it is held back until its bytes change."""

    proxy: str
    type_name: str
    resource: str
    error: str  # Envoy's own words
    origins: tuple[str, ...] = ()  # "VirtualService bookinfo/reviews at samples/bookinfo/routes.yaml:12:3"
    since: float = 0.0


class WorkloadStatus(_Document, frozen=True, kw_only=True):
    """A registered workload and, where its proxy is connected, the proxy."""

    name: str  # "namespace/name"
    kind: str  # sidecar, gateway, or application: one without a proxy
    address: str
    labels: dict[str, str]
    identity: str  # its SPIFFE ID
    connected: bool
    healthy: bool
    health_reason: str = ""
    certificate_expires: float | None = None
    sync: tuple[SyncState, ...] = ()


class ProxyStart(_Document, frozen=True, kw_only=True):
    """What is set for the proxy of a workload and must be known when it starts (MeshConfig.defaultConfig, ProxyConfig, the
    workload's annotation). None: as the agent has it.
    """

    concurrency: int | None = None  # worker threads; 0: one per core
    environment: dict[str, str] = {}
    listener_drain_seconds: float | None = None  # how long a replaced listener keeps its connections
    drain_seconds: float | None = None  # the most that leaving may take
    statistics: tuple[str, ...] = ()  # kept besides the agent's own: prefix=..., suffix=... or regex=...
    runtime: dict[str, str] = {}  # Envoy's runtime: feature -> value
    max_connections: int | None = None  # of all callers together
    outbound_port: int | None = None  # where captured traffic arrives that the application sends
    inbound_port: int | None = None  # and where that arrives which is meant for it
    interception: str | None = None  # TPROXY where it is not REDIRECT
    hold_application: bool = False  # the application starts when the proxy is ready
    merge_metrics: bool = True  # the application's metrics are served with the proxy's


class Edge(_Document, frozen=True, kw_only=True):
    """Traffic from one workload to another, seen by the caller's proxy over the last window."""

    source: str  # "namespace/name" of a workload
    destination: str  # "namespace/name" of a workload, or the service's host where no workload answered
    service: str  # host of the service that was called
    protocol: str
    mutual_tls: bool
    source_principal: str = ""
    destination_principal: str = ""
    requests_per_second: float = 0.0  # connections where the protocol is tcp
    errors_per_second: float = 0.0  # 5xx and those that never got an answer
    mean_milliseconds: float | None = None  # of requests, over the last window; None: there were none
    denied_per_second: float = 0.0  # 403
    requests_total: int = 0


class Split(_Document, frozen=True, kw_only=True):
    """How the calls to one service were shared among versions, in requests, over the last window."""

    service: str
    requests_by_version: dict[str, int]


class Denial(_Document, frozen=True, kw_only=True):
    """Requests that an AuthorizationPolicy refused."""

    source_principal: str  # empty for plaintext
    destination: str  # "namespace/name" of the workload that refused
    policy: str  # "DENY policy bookinfo/x", or "no ALLOW policy matched (bookinfo/reviews-viewer)"
    requests_total: int
    last_seen: float  # 0: before the daemon began to watch


class PlaintextCaller(_Document, frozen=True, kw_only=True):
    """Somebody who reaches a workload in plaintext."""

    source: str  # "namespace/name" of a workload whose proxy speaks plaintext; empty: whoever has no proxy
    total: int  # requests and TCP connections
    last_seen: float  # 0: before the daemon began to watch


class WorkloadMutualTls(_Document, frozen=True, kw_only=True):
    """How one workload is reached, by its own proxy's count of requests and TCP connections."""

    workload: str  # "namespace/name"
    mode: str  # PeerAuthentication's: PERMISSIVE, STRICT or DISABLE
    mutual_total: int
    plaintext_total: int
    callers: tuple[PlaintextCaller, ...]


class MutualTlsReport(_Document, frozen=True, kw_only=True):
    """GET /api/v1/mutual-tls: who would be refused if STRICT were switched on."""

    since: float  # when the daemon began to watch; proxies count from their own start
    workloads: tuple[WorkloadMutualTls, ...]


class TrafficReport(_Document, frozen=True, kw_only=True):
    window_seconds: float
    requests_per_second: float
    edges: tuple[Edge, ...]
    splits: tuple[Split, ...]
    denials: tuple[Denial, ...]


class DiagnosticReport(_Document, frozen=True, kw_only=True):
    code: str
    severity: str  # error, warning, info
    message: str
    resource: str  # "VirtualService bookinfo/reviews", or empty
    location: str  # "routes.yaml:12:3", or empty
    hint: str = ""


class ChangeReport(_Document, frozen=True, kw_only=True):
    """One revision of the configuration and how far its delivery has come."""

    revision: int
    time: float
    objects: tuple[str, ...]  # "VirtualService bookinfo/reviews"
    proxies: dict[
        str, str
    ]  # "namespace/name" of each proxy that the change concerned -> acked, pending, rejected


class MeshName(_Document, frozen=True, kw_only=True):
    """What DNS knows of a name: its addresses, or the host that an ExternalName Service stands for."""

    addresses: tuple[str, ...]
    external_name: str = ""


class ServiceAddress(_Document, frozen=True, kw_only=True):
    """One TCP port of a Kubernetes Service at one of its addresses, for whoever has no proxy to ask."""

    address: str
    port: int
    endpoints: tuple[tuple[str, int], ...]  # address and port of those that are ready


class ScrapeTarget(_Document, frozen=True, kw_only=True):
    """What Prometheus scrapes, in the form of its HTTP and file service discovery. GET /api/v1/prometheus/targets lists them."""

    targets: tuple[str, ...]  # HOST:PORT, of one workload's agent
    labels: dict[str, str]


class MeshStatus(_Document, frozen=True, kw_only=True):
    """GET /api/v1/status: everything the terminal and the console show, in one document."""

    version: str
    revision: int
    started: float
    now: float
    trust_domain: str
    workloads: tuple[WorkloadStatus, ...]
    rejections: tuple[Rejection, ...]
    diagnostics: tuple[DiagnosticReport, ...]
    changes: tuple[ChangeReport, ...]  # newest first, bounded
    traffic: TrafficReport
