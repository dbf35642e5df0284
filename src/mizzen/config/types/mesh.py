"""mesh.istio.io: MeshConfig, the settings of the whole mesh, and MeshNetworks, how its networks reach one another.

Defaults are the values that are in force where a document leaves a setting out. What has no effect yet is known to
config/support.py, which warns where it is set.
"""

from enum import Enum
from typing import ClassVar

from msgspec import field

from mizzen.config.types.message import Duration, Int32, Message, OneOf, UInt32
from mizzen.config.types.networking import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    HTTPRetry,
    LocalityLoadBalancerSetting,
    OutlierDetection,
    TcpKeepalive,
    ZoneAwareLoadBalancerSetting,
)
from mizzen.config.types.providers import ExtensionProvider
from mizzen.config.types.proxy import ProxyConfig
from mizzen.frozen import EMPTY, FrozenMap


class LabelSelectorRequirement(Message):
    key: str = ""  # of the label
    operator: str = ""  # In, NotIn, Exists, DoesNotExist
    values: tuple[str, ...] = ()  # for In and NotIn


class LabelSelector(Message):
    """As in Kubernetes. All that is set must hold; nothing set: everything."""

    match_labels: FrozenMap[str, str] = EMPTY  # label -> value
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()  # conditions on labels


# --- traffic ----------------------------------------------------------------------------------------------------


class OutboundTrafficMode(Enum):
    """The API's MeshConfig.OutboundTrafficPolicy.Mode."""

    REGISTRY_ONLY = "REGISTRY_ONLY"  # what the registry does not know is refused
    ALLOW_ANY = "ALLOW_ANY"
    ALLOW_ANY_DYNAMIC_DNS = "ALLOW_ANY_DYNAMIC_DNS"  # with the name in the request resolved by the proxy


class OutboundTrafficPolicy(Message):
    mode: OutboundTrafficMode = OutboundTrafficMode.ALLOW_ANY  # for what the registry does not know
    tls: ClientTLSSettings | None = None  # towards it, for ALLOW_ANY_DYNAMIC_DNS; None: as the caller sent it


class InboundTrafficMode(Enum):
    """The API's MeshConfig.InboundTrafficPolicy.Mode: the address at which a sidecar reaches its workload."""

    PASSTHROUGH = "PASSTHROUGH"  # the one that the caller addressed
    LOCALHOST = "LOCALHOST"  # 127.0.0.1


class InboundTrafficPolicy(Message):
    mode: InboundTrafficMode = InboundTrafficMode.PASSTHROUGH  # where the workload is reached


class H2UpgradePolicy(Enum):
    """The API's MeshConfig.H2UpgradePolicy: HTTP/1.1 to HTTP/2 between sidecars."""

    DO_NOT_UPGRADE = "DO_NOT_UPGRADE"
    UPGRADE = "UPGRADE"


class NormalizationType(Enum):
    """The API's ProxyPathNormalization.NormalizationType: of paths, before policies and routes see them."""

    DEFAULT = "DEFAULT"  # BASE
    NONE = "NONE"  # as they came
    BASE = "BASE"  # RFC 3986: "..", "." and backslashes resolved
    MERGE_SLASHES = "MERGE_SLASHES"  # and "//" becomes "/"
    DECODE_AND_MERGE_SLASHES = "DECODE_AND_MERGE_SLASHES"  # and %2F, %5C are decoded before


class ProxyPathNormalization(Message):
    normalization: NormalizationType = NormalizationType.DEFAULT  # how far it goes


class DefaultTrafficPolicy(Message):
    """What holds where no DestinationRule says otherwise."""

    connection_pool: ConnectionPoolSettings | None = None  # None: Envoy's limits
    outlier_detection: OutlierDetection | None = None  # None: off


# --- certificates and TLS ---------------------------------------------------------------------------------------


class MeshTLSProtocol(Enum):
    """The API's MeshConfig.TLSConfig.TLSProtocol."""

    TLS_AUTO = "TLS_AUTO"  # 1.2
    TLSV1_2 = "TLSV1_2"
    TLSV1_3 = "TLSV1_3"


class TLSConfig(Message):
    min_protocol_version: MeshTLSProtocol = MeshTLSProtocol.TLS_AUTO  # oldest version that is spoken
    ecdh_curves: tuple[str, ...] = ()  # such as P-256, best first; (): Envoy's
    cipher_suites: tuple[str, ...] = ()  # of TLS 1.2, by OpenSSL's names; (): Envoy's


class CertificateData(Message):
    """Roots that are trusted besides the mesh's own. One of pem and spiffe_bundle_url."""

    ONE_OF: ClassVar[OneOf] = (("pem", "spiffeBundleUrl"),)

    pem: str | None = None  # certificates in PEM
    spiffe_bundle_url: str | None = None  # of a SPIFFE bundle endpoint
    cert_signers: tuple[str, ...] = ()  # Kubernetes signers that they belong to; (): all
    trust_domains: tuple[str, ...] = ()  # that they vouch for; (): trust_domain and its aliases


class Certificate(Message):
    """A certificate that Istio's CA made for others. Removed from Istio."""

    secret_name: str = ""  # where it was put
    dns_names: tuple[str, ...] = ()  # in it


class CA(Message):
    """A CA outside of the control plane. Never released by Istio."""

    address: str = ""  # host:port
    tls_settings: ClientTLSSettings | None = None  # towards it; None: plain text
    request_timeout: Duration | None = None  # None: 10 s
    istiod_side: bool = False  # the control plane asks it for the workloads


# --- who sees what ----------------------------------------------------------------------------------------------


class ServiceSettingsSettings(Message):
    """The API's MeshConfig.ServiceSettings.Settings."""

    cluster_local: bool = False  # endpoints in other clusters are not used


class ServiceSettings(Message):
    """What holds for some services."""

    settings: ServiceSettingsSettings | None = None  # None: nothing
    hosts: tuple[str, ...] = ()  # full names; "*.example.com" allowed


class Scope(Enum):
    """The API's MeshConfig.ServiceScopeConfigs.Scope."""

    LOCAL = "LOCAL"  # endpoints of the caller's cluster only
    GLOBAL = "GLOBAL"  # endpoints of all clusters


class ServiceScopeConfigs(Message):
    """The scope of the services that both selectors pick (ambient)."""

    namespace_selector: LabelSelector | None = None  # None: all namespaces
    services_selector: LabelSelector | None = None  # None: all services
    scope: Scope = Scope.LOCAL  # for them


class Visibility(Enum):
    """The API's ServiceEntryVisibility.Visibility: how far the widest exportTo of a ServiceEntry may reach."""

    VISIBILITY_UNSPECIFIED = "VISIBILITY_UNSPECIFIED"  # as PUBLIC
    NONE = "NONE"
    NAMESPACE = "NAMESPACE"
    PUBLIC = "PUBLIC"


class MatchRule(Message):
    """The API's ServiceEntryVisibility.MatchRule."""

    namespace_selector: LabelSelector | None = None  # of the ServiceEntry's namespace


class VisibilityPolicy(Message):
    """The API's ServiceEntryVisibility.Policy."""

    visibility: Visibility = Visibility.VISIBILITY_UNSPECIFIED  # where one of the rules matches
    matching_rules: tuple[MatchRule, ...] = ()  # all of them; (): every namespace


class ServiceEntryVisibility(Message):
    default_visibility: Visibility = Visibility.VISIBILITY_UNSPECIFIED  # where no policy matches
    apply_to_sidecars: bool = False  # not only to ambient's proxies
    policies: tuple[VisibilityPolicy, ...] = ()  # the first that matches


# --- the daemon's sources ---------------------------------------------------------------------------------------


class IngressControllerMode(Enum):
    """The API's MeshConfig.IngressControllerMode: which Ingress objects are served."""

    UNSPECIFIED = "UNSPECIFIED"  # as OFF
    OFF = "OFF"
    DEFAULT = "DEFAULT"  # those of ingress_class and those without a class
    STRICT = "STRICT"  # those of ingress_class


class ResourceSource(Enum):
    """The API's mesh.v1alpha1.Resource."""

    SERVICE_REGISTRY = "SERVICE_REGISTRY"


class ConfigSource(Message):
    """Where configuration comes from besides the Kubernetes API."""

    address: str = ""  # fs:///folder, xds://host:port or k8s://
    tls_settings: ClientTLSSettings | None = None  # towards it
    subscribed_resources: tuple[ResourceSource, ...] = ()  # what it is asked for besides configuration


class DefaultProviders(Message):
    """Providers that hold where no Telemetry names any."""

    tracing: tuple[str, ...] = ()  # names of extension providers; one at most
    metrics: tuple[str, ...] = ()  # names of extension providers
    access_logging: tuple[str, ...] = ()  # names of extension providers


class AccessLogEncoding(Enum):
    TEXT = "TEXT"
    JSON = "JSON"


class MeshConfig(Message):
    """The settings of the mesh."""

    trust_domain: str = "cluster.local"  # of the identities that the mesh issues
    trust_domain_aliases: tuple[str, ...] = ()  # whose identities count as those of trust_domain
    root_namespace: str = "istio-system"  # policies there hold for all namespaces
    outbound_traffic_policy: OutboundTrafficPolicy = OutboundTrafficPolicy()  # to unknown hosts
    inbound_traffic_policy: InboundTrafficPolicy = InboundTrafficPolicy()  # from a sidecar to its workload
    enable_auto_mtls: bool = True  # mTLS to every workload that has a sidecar, without a DestinationRule
    access_log_file: str = ""  # /dev/stdout; "": no access log
    access_log_encoding: AccessLogEncoding = AccessLogEncoding.TEXT  # of its lines
    access_log_format: str = ""  # Envoy's format string, or a JSON object for JSON; "": Istio's default
    enable_envoy_access_log_service: bool = False  # to default_config.envoy_access_log_service
    disable_envoy_listener_log: bool = False  # no lines for connections that no filter chain takes
    default_config: ProxyConfig = ProxyConfig()  # of every proxy
    default_service_export_to: tuple[str, ...] = ("*",)  # of services that do not say
    default_virtual_service_export_to: tuple[str, ...] = ("*",)  # of VirtualServices that do not say
    default_destination_rule_export_to: tuple[str, ...] = ("*",)  # of DestinationRules that do not say
    connect_timeout: Duration = Duration(seconds=10)  # of TCP connections to other proxies and services
    hbone_idle_timeout: Duration | None = None  # of an ambient tunnel; None: 1 h
    protocol_detection_timeout: Duration | None = (
        None  # 0: wait without limit; None: 1 s where a port says no protocol, else without limit
    )
    tcp_keepalive: TcpKeepalive | None = None  # None: the system's
    default_http_retry_policy: HTTPRetry | None = None  # None: 2 attempts with Istio's conditions
    default_traffic_policy: DefaultTrafficPolicy | None = None  # where no DestinationRule says otherwise
    locality_lb_setting: LocalityLoadBalancerSetting | None = None  # None: on, failover by topology
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None  # None: off
    dns_refresh_rate: Duration = Duration(seconds=60)  # of names that Envoy resolves; ends with the TTL
    h2_upgrade_policy: H2UpgradePolicy = H2UpgradePolicy.DO_NOT_UPGRADE  # between sidecars
    path_normalization: ProxyPathNormalization | None = None  # None: BASE
    proxy_listen_port: Int32 = 15001  # where captured outbound traffic arrives
    proxy_inbound_listen_port: Int32 = 15006  # where captured inbound traffic arrives
    proxy_http_port: Int32 = 0  # of the sidecar as HTTP proxy; 0: none
    mesh_mtls: TLSConfig | None = field(
        default=None, name="meshMTLS"
    )  # between workloads; None: TLS 1.2 and later
    tls_defaults: TLSConfig | None = None  # of all other TLS; None: Envoy's
    ca_certificates: tuple[CertificateData, ...] = ()  # roots besides the mesh's own
    certificates: tuple[Certificate, ...] = ()  # removed from Istio
    verify_certificate_at_client: bool | None = None  # deprecated: the system's roots outbound; None: True
    ca: CA | None = None  # never released by Istio
    ingress_class: str = "istio"  # Ingress objects of this class are served
    ingress_service: str = "istio-ingressgateway"  # the Service of the gateway that serves them
    ingress_controller_mode: IngressControllerMode = IngressControllerMode.STRICT  # which Ingress objects
    ingress_selector: str = ""  # value of the label istio of the gateway's workloads; "": ingress_service's
    enable_tracing: bool = True  # spans are made
    enable_prometheus_merge: bool = True  # the application's metrics are served with the proxy's
    inbound_cluster_stat_name: str = ""  # pattern of inbound clusters in statistics; "": the cluster's name
    outbound_cluster_stat_name: str = ""  # pattern of outbound clusters in statistics; "": the cluster's name
    extension_providers: tuple[ExtensionProvider, ...] = ()  # that policies and Telemetry name
    default_providers: DefaultProviders | None = None  # None: metrics to Prometheus
    config_sources: tuple[ConfigSource, ...] = ()  # (): the Kubernetes API
    discovery_selectors: tuple[LabelSelector, ...] = ()  # namespaces that the mesh looks at; (): all
    service_settings: tuple[ServiceSettings, ...] = ()  # the first that matches a service
    service_scope_configs: tuple[ServiceScopeConfigs, ...] = ()  # the first that matches a service
    service_entry_visibility: ServiceEntryVisibility | None = None  # None: as exportTo says


# --- networks ---------------------------------------------------------------------------------------------------


class NetworkEndpoints(Message):
    """The API's Network.NetworkEndpoints: which endpoints are in a network. One of the two."""

    ONE_OF: ClassVar[OneOf] = (("fromCidr", "fromRegistry"),)

    from_cidr: str | None = None  # by address
    from_registry: str | None = None  # all of a cluster, by the cluster's name


class IstioNetworkGateway(Message):
    """The API's Network.IstioNetworkGateway: where other networks enter. One of registry_service_name and address."""

    ONE_OF: ClassVar[OneOf] = (("registryServiceName", "address"),)

    registry_service_name: str | None = None  # the gateway's Service, by its full name
    address: str | None = None  # IP address or host name
    port: UInt32 = 0  # where the gateway listens
    locality: str = ""  # region/zone/subzone of the gateway


class Network(Message):
    endpoints: tuple[NetworkEndpoints, ...] = ()  # in this network: any of these
    gateways: tuple[IstioNetworkGateway, ...] = ()  # into it


class MeshNetworks(Message):
    """Within a network workloads reach one another; between networks they go through gateways."""

    networks: FrozenMap[str, Network] = FrozenMap()  # name -> network
